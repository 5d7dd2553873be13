//! What the files define.

use crate::domain::extension::Extension;
use crate::domain::record::{Cut, Fields, Record, Value, record};

/// An extension as files want it.
#[derive(Debug, Clone, PartialEq)]
pub struct Wanted<'a> {
    /// As it was checked.
    pub extension: &'a Extension,
    /// As it is to be written.
    pub record: Record<'a>,
}

impl<'a> From<&'a Extension> for Wanted<'a> {
    fn from(extension: &'a Extension) -> Self {
        let mut record = record(extension);
        uncut(&mut record.own, &extension.cuts);
        for (fields, version) in record.versions.iter_mut().zip(&extension.versions) {
            uncut(fields, &version.cuts);
        }
        Self { record, extension }
    }
}

/// Gives back what the file says, in place of this deployment's limits.
fn uncut(fields: &mut Fields<'_>, cuts: &[Cut]) {
    for cut in cuts {
        fields.set(cut.field, Value::Number(cut.value));
    }
}

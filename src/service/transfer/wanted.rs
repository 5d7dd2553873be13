//! What the files define.

use crate::domain::extension::Extension;
use crate::domain::record::{Record, record};

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
        Self {
            record: record(extension),
            extension,
        }
    }
}

impl Wanted<'_> {
    /// How many bytes its fields hold, about.
    pub(super) fn bytes(&self) -> usize {
        crate::domain::record::size(&self.record)
    }
}

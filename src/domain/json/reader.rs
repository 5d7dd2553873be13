//! Settings in an object, taken one by one.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::{JsonObject, KeyFault};
use crate::domain::quote::quoted;

/// Unknown keys named at once; a bound on the message that one record can cause.
const MAX_UNKNOWN: usize = 8;

/// Reads keys, null like none, and gathers faults.
#[derive(Debug)]
pub struct Reader<'a> {
    prefix: &'static str,
    fields: BTreeMap<String, &'a RawValue>,
    /// What is wrong with the keys so far.
    pub faults: Vec<KeyFault>,
}

impl<'a> Reader<'a> {
    /// Of `object`; faults name its keys after `prefix`.
    pub fn of(object: &'a JsonObject, prefix: &'static str) -> Self {
        Self {
            prefix,
            fields: object.members(),
            faults: Vec::new(),
        }
    }

    /// What `parse` makes of the value of `key`; none where it is not set, or at fault.
    pub fn read<T, E: Into<String>>(
        &mut self,
        key: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let value = self.fields.remove(key).map(RawValue::get);
        let value = value.filter(|value| *value != "null")?;
        parse(value).map_err(|rule| self.fault(key, rule)).ok()
    }

    /// Notes that `key` breaks `rule`.
    pub fn fault(&mut self, key: &str, rule: impl Into<String>) {
        let key = format!("{}{}", self.prefix, quoted(key));
        self.faults.push(KeyFault::new(key, rule));
    }

    /// Notes that keys which were not read break `rule`.
    pub fn refuse_the_rest(&mut self, rule: &str) {
        let unknown = std::mem::take(&mut self.fields);
        for key in unknown.keys().take(MAX_UNKNOWN) {
            self.fault(key, rule);
        }
    }

    /// `value`, or every fault.
    pub fn done<T>(self, value: T) -> Result<T, Vec<KeyFault>> {
        match self.faults.is_empty() {
            true => Ok(value),
            false => Err(self.faults),
        }
    }
}

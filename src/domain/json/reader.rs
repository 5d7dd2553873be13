//! Settings in an object, taken one by one.

use std::borrow::Cow;

use super::{JsonObject, KeyFault, members};
use crate::domain::quote::quoted;

/// Unknown keys named at once; a bound on the message that one record can cause.
const MAX_UNKNOWN: usize = 8;

/// Reads keys, null like none, and gathers faults.
#[derive(Debug)]
pub struct Reader<'a> {
    prefix: &'static str,
    /// Not a table: few keys are asked for, of each record that is loaded.
    fields: Vec<(Cow<'a, str>, &'a str)>,
    /// What is wrong with the keys so far.
    pub faults: Vec<KeyFault>,
}

impl<'a> Reader<'a> {
    /// Of `object`; faults name its keys after `prefix`.
    pub fn of(object: &'a JsonObject, prefix: &'static str) -> Self {
        let fields = members(object.as_str()).into_iter().flatten();
        Self {
            prefix,
            fields: fields.filter_map(|it| Some((it.key?, it.value))).collect(),
            faults: Vec::new(),
        }
    }

    /// What `parse` makes of the value of `key`; none where it is not set, or at fault.
    pub fn read<T, E: Into<String>>(
        &mut self,
        key: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let at = self.fields.iter().position(|(name, _)| name == key)?;
        let (_, value) = self.fields.swap_remove(at);
        if value == "null" {
            return None;
        }
        parse(value).map_err(|rule| self.fault(key, rule)).ok()
    }

    /// Has what [`Reader::read`] reads take the place of `value`.
    pub fn set<T, E: Into<String>>(
        &mut self,
        value: &mut T,
        key: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) {
        if let Some(read) = self.read(key, parse) {
            *value = read;
        }
    }

    /// Notes that `key` breaks `rule`.
    pub fn fault(&mut self, key: &str, rule: impl Into<String>) {
        let key = format!("{}{}", self.prefix, quoted(key));
        self.faults.push(KeyFault::new(key, rule));
    }

    /// Notes that keys which were not read break `rule`.
    pub fn refuse_the_rest(&mut self, rule: &str) {
        let mut unknown = std::mem::take(&mut self.fields);
        unknown.sort_unstable();
        for (key, _) in unknown.iter().take(MAX_UNKNOWN) {
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

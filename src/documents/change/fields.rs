//! Fields of a body, taken one by one; faults are gathered.

use serde::de::DeserializeOwned;

use super::Body;
use crate::service::administration::Values;
use crate::service::error::{BadField, MAX_FAULTS, RegistryError, shortened};

/// The most characters of a field's name that are told back.
const MAX_NAME: usize = 100;

/// What a body gives.
pub(super) struct Given {
    body: Body,
    faults: Vec<BadField>,
}

impl Given {
    /// The fields of `body`; those not `known` are faults.
    pub(super) fn new(body: Body, known: impl Iterator<Item = &'static str>) -> Self {
        let known: Vec<_> = known.collect();
        let unknown = body.keys().filter(|name| !known.contains(&name.as_str()));
        let faults = unknown.take(MAX_FAULTS).map(|name| BadField {
            field: name.chars().take(MAX_NAME).collect::<String>().into(),
            value: None,
            rule: "is unknown".into(),
        });
        Self {
            faults: faults.collect(),
            body,
        }
    }

    /// The id that the subject or path has; one in the body must be the same.
    pub(super) fn id_stands_elsewhere(&mut self, id: Option<&str>) {
        let Some(id) = id else { return };
        match self.text("id") {
            None => self.body.extend(super::of_id(id)),
            Some(own) if own != id => {
                self.fault("id", "differs from the id in the subject or path")
            }
            Some(_) => {}
        }
    }

    /// A field that must not be there.
    pub(super) fn refuse(&mut self, field: &'static str, rule: &str) {
        if self.body.contains_key(field) {
            self.fault(field, rule);
        }
    }

    /// A name that must be there.
    pub(super) fn name<T, E: ToString>(
        &mut self,
        field: &'static str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<T> {
        if !self.is_there(field) {
            self.fault(field, "is missing");
            return None;
        }
        let text = self.text(field)?;
        let parsed = parse(&text).map_err(|rule| self.fault(field, &rule.to_string()));
        parsed.ok()
    }

    /// A text that must be there; an empty one where it is not.
    pub(super) fn required_text(&mut self, field: &'static str) -> String {
        if !self.is_there(field) {
            self.fault(field, "is missing");
        }
        self.text(field).unwrap_or_default()
    }

    /// A text; none and null are the same.
    pub(super) fn text(&mut self, field: &'static str) -> Option<String> {
        self.value(field, "must be a string")
    }

    /// A whole number.
    pub(super) fn integer(&mut self, field: &'static str) -> Option<i64> {
        self.value(field, "must be a whole number")
    }

    /// A whole number from 0.
    pub(super) fn unsigned(&mut self, field: &'static str) -> Option<u64> {
        self.value(field, "must be a whole number from 0")
    }

    /// True or false.
    pub(super) fn boolean(&mut self, field: &'static str) -> Option<bool> {
        self.value(field, "must be true or false")
    }

    /// JSON of any shape, as text.
    pub(super) fn json(&mut self, field: &'static str) -> Option<String> {
        let text = self.body.get(field)?.get();
        (text != "null").then(|| text.to_owned())
    }

    /// A field that may be left alone: the outer `None`.
    pub(super) fn patch<T>(
        &mut self,
        field: &'static str,
        take: impl Fn(&mut Self, &'static str) -> Option<T>,
    ) -> Option<Option<T>> {
        self.body.contains_key(field).then(|| take(self, field))
    }

    /// The values for later errors, or all faults so far.
    pub(super) fn finish(self) -> Result<Values, RegistryError> {
        if !self.faults.is_empty() {
            return Err(RegistryError::BadFields(self.faults));
        }
        let values = self.body.into_iter();
        let values = values.map(|(field, value)| (field.into(), value.get().into()));
        Ok(Values(values.collect()))
    }

    fn value<T: DeserializeOwned>(&mut self, field: &'static str, rule: &str) -> Option<T> {
        let parsed = serde_json::from_str::<Option<T>>(self.body.get(field)?.get());
        parsed.map_err(|_| self.fault(field, rule)).ok().flatten()
    }

    fn is_there(&self, field: &str) -> bool {
        self.body.get(field).is_some_and(|raw| raw.get() != "null")
    }

    fn fault(&mut self, field: &'static str, rule: &str) {
        // A field that is taken twice is one fault.
        if self.faults.iter().any(|fault| *fault.field == *field) {
            return;
        }
        self.faults.push(BadField {
            field: field.into(),
            value: self.body.get(field).map(|raw| raw.get().into()),
            rule: shortened(rule).into(),
        });
    }
}

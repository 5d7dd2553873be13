//! The body of a change before its fields are known.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::documents::members::Members;
use crate::documents::request::{object_or_bare, optional_object};
use crate::documents::verb::Verb;
use crate::service::error::RegistryError;

/// The fields of a request as they came.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(from = "Members<Box<RawValue>>")]
pub struct Body {
    /// By name.
    pub fields: BTreeMap<String, Box<RawValue>>,
    /// Names that came more than once. Readers differ in which of the values counts, so none does.
    pub(super) repeated: BTreeSet<String>,
}

impl From<Members<Box<RawValue>>> for Body {
    fn from(Members(members): Members<Box<RawValue>>) -> Self {
        let mut body = Self::default();
        for (name, value) in members {
            if body.fields.insert(name.clone(), value).is_some() {
                body.repeated.insert(name);
            }
        }
        body
    }
}

impl Body {
    /// Reads a JSON object; a verb that needs only an id takes it bare, or nothing where the subject
    /// has it.
    ///
    /// # Errors
    /// It is none.
    pub fn read(verb: Verb, payload: &[u8]) -> Result<Self, RegistryError> {
        match verb.needs_only_an_id() {
            true => object_or_bare(payload, "id"),
            false => optional_object(payload),
        }
    }

    /// A body that has only an id.
    pub fn of_id(id: &str) -> Self {
        let text = serde_json::Value::from(id).to_string();
        let id = RawValue::from_string(text).ok();
        let fields = id.map(|id| ("id".to_owned(), id)).into_iter().collect();
        Self {
            fields,
            ..Self::default()
        }
    }

    /// Whether nothing is to be written.
    pub fn is_dry_run(&self) -> bool {
        self.json("dry_run") == Some("true")
    }

    /// The JSON of a field that is there; none and null are the same.
    pub(super) fn json(&self, field: &str) -> Option<&str> {
        let raw = self.fields.get(field)?.get();
        (raw != "null").then_some(raw)
    }
}

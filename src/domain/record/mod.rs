//! One record: what files, requests and the database have of an extension, by field, unchecked.
//!
//! [`fields`](self::fields) is the one table of the fields there are. [`gate`] makes checked types
//! of a record, naming every fault at once ([`check`] reads a field); [`said`] writes out again
//! what was checked. Requests, files, columns, schemas, comparison and sizes go through the table
//! by name: a new field is a line there, a line in the gate and one in `said`.

mod check;
mod difference;
mod fields;
mod gate;
mod refusals;
mod said;
mod storage;
mod value;
mod warnings;

pub use check::{Checked, Cut, FieldFault, describe};
pub use difference::{Difference, differences};
pub use fields::{EXTENSION, Field, INSTANCE, Kind, VERSION, field};
pub use gate::{Gate, NO_HALT};
pub use refusals::refusals;
pub use said::{extension, instance, record, version};
pub use storage::{MAX_PARTS, MAX_RECORD_BYTES, beyond_limits, faults, size, unstorable};
pub use value::{MAX_VALUE_BYTES, Value};
pub use warnings::{ignored, warnings};

use serde::ser::{Serialize, Serializer};

use super::ids::VersionName;

/// The fields of one object, in the order in which they were given. A field that is not among them
/// was not mentioned; one that is [`Value::Unset`] was, as null.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fields<'a>(Vec<(&'static str, Value<'a>)>);

impl<'a> Fields<'a> {
    /// The fields in `table` among the members of an object: names, and values as valid JSON.
    pub fn read<N: AsRef<str>>(
        table: &'static [Field],
        members: impl IntoIterator<Item = (N, &'a str)>,
    ) -> Self {
        let known = members.into_iter().filter_map(|(name, json)| {
            let field = field(table, name.as_ref())?;
            Some((field.name, Value::read(json)))
        });
        Self(known.collect())
    }

    /// The value of `name`; nothing where it is not mentioned.
    pub fn get(&self, name: &str) -> &Value<'a> {
        let mut all = self.0.iter();
        all.find(|(known, _)| *known == name)
            .map_or(&Value::Unset, |(_, value)| value)
    }

    /// The text of `name`, where it is one.
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.get(name) {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Whether `name` is mentioned.
    pub fn mentions(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| *known == name)
    }

    /// Sets `name` to `value`, whatever it was before.
    pub fn set(&mut self, name: &'static str, value: Value<'a>) {
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, old)) => *old = value,
            None => self.0.push((name, value)),
        }
    }

    /// These with `patch` laid over them, field by field.
    pub fn with(&self, patch: &Self) -> Self {
        let mut all = self.clone();
        for (name, value) in patch.iter() {
            all.set(name, value.clone());
        }
        all
    }

    /// These but `name`.
    pub fn without(mut self, name: &str) -> Self {
        self.0.retain(|(known, _)| *known != name);
        self
    }

    /// Of these the fields that `other` mentions.
    pub fn mentioned_by(&self, other: &Fields<'_>) -> Self {
        let mentioned = self.iter().filter(|(name, _)| other.mentions(name));
        Self(mentioned.cloned().collect())
    }

    /// All fields that are given.
    pub fn iter(&self) -> impl Iterator<Item = &(&'static str, Value<'a>)> {
        self.0.iter()
    }

    /// The texts of all JSON in it, to be rewritten in another's notation.
    pub fn json_mut(&mut self) -> impl Iterator<Item = &mut std::borrow::Cow<'a, str>> {
        self.0.iter_mut().filter_map(|(_, value)| match value {
            Value::Json(text) => Some(text),
            _ => None,
        })
    }

    /// The same, on its own.
    pub fn into_owned(self) -> Fields<'static> {
        let all = self.0.into_iter();
        let all = all.map(|(name, value)| (name, value.into_owned()));
        Fields(all.collect())
    }
}

/// As JSON: every field that is mentioned, in order.
impl Serialize for Fields<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter().map(|(name, value)| (name, value)))
    }
}

impl<'a> FromIterator<(&'static str, Value<'a>)> for Fields<'a> {
    fn from_iter<I: IntoIterator<Item = (&'static str, Value<'a>)>>(all: I) -> Self {
        Self(all.into_iter().collect())
    }
}

/// An extension with its versions and instances.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Record<'a> {
    /// Its own fields, see [`EXTENSION`].
    pub own: Fields<'a>,
    /// Rows of versions, see [`VERSION`].
    pub versions: Vec<Fields<'a>>,
    /// Its instances, see [`INSTANCE`].
    pub instances: Vec<Fields<'a>>,
}

impl<'a> Record<'a> {
    /// Whether `version` is the current one.
    pub fn runs(&self, version: &VersionName) -> bool {
        self.own.text("version") == Some(version.as_str())
    }

    /// The row of a version.
    pub fn version(&self, version: &str) -> Option<&Fields<'a>> {
        let mut rows = self.versions.iter();
        rows.find(|row| row.text("version") == Some(version))
    }

    /// The fields of everything, the extension's own first.
    pub fn all(&self) -> impl Iterator<Item = &Fields<'a>> {
        let parts = self.versions.iter().chain(&self.instances);
        std::iter::once(&self.own).chain(parts)
    }

    /// The texts of all JSON in it.
    pub fn json_mut(&mut self) -> impl Iterator<Item = &mut std::borrow::Cow<'a, str>> {
        let parts = self.versions.iter_mut().chain(&mut self.instances);
        let all = std::iter::once(&mut self.own).chain(parts);
        all.flat_map(Fields::json_mut)
    }
}

#[cfg(test)]
mod tests;

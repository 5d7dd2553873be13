//! The context of a request: tenant, environment, policy and whatever else rules ask for.
//!
//! Every verb reads it here, so that none can take a request for another tenant's than the others do.

use std::fmt;
use std::hash::{Hash, Hasher};

use serde_json::value::RawValue;
use smol_str::SmolStr;

use super::decimal::Decimal;
use super::json::{KeyFault, Member, ObjectError, members, string};
use super::quote::quoted;

/// A value that rules compare and rollouts hash.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Scalar {
    /// A JSON string.
    Text(SmolStr),
    /// A JSON number.
    Number(Number),
    /// A JSON boolean.
    Bool(bool),
}

/// A number with the text that it came in. Equal numbers are equal however they are written.
#[derive(Debug, Clone)]
pub struct Number {
    written: SmolStr,
    value: Decimal,
}

impl Number {
    /// The number as it was written: what an extension receives.
    pub fn written(&self) -> &str {
        &self.written
    }
}

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl Eq for Number {}

impl Hash for Number {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.value.hash(state);
    }
}

impl Scalar {
    /// Reads valid JSON. `None` for what cannot be compared: null, lists, objects, numbers beyond
    /// [`Decimal`], and strings that are no text.
    pub fn read(json: &str) -> Option<Self> {
        match json.bytes().next()? {
            b'"' => string(json).map(|text| Self::Text(text.into())),
            b't' => Some(Self::Bool(true)),
            b'f' => Some(Self::Bool(false)),
            b'-' | b'0'..=b'9' => Decimal::parse(json).map(|value| {
                let written = json.into();
                Self::Number(Number { written, value })
            }),
            _ => None,
        }
    }
}

impl fmt::Display for Scalar {
    /// The value as text: what a rollout hashes. Of a number, the shortest: see [`Decimal`].
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Number(number) => write!(f, "{}", number.value),
            Self::Bool(value) => write!(f, "{value}"),
        }
    }
}

/// The tenant of a request must not be guessed: these are ignored in no case.
const IDENTITIES: [&str; 2] = ["tenant_id", "trace_id"];

/// The most keys of a context. One takes a hundred bytes and more, however few it has in its text.
const MAX_KEYS: usize = 1024;

const IDENTITY: &str =
    "must be a string, true or false, or a number of up to 64 digits below 1e308; or null for none";

/// The context of one request, by key: a handful, so a list beats a map.
#[derive(Debug, Clone, Default)]
pub struct Context(Vec<(SmolStr, Scalar)>);

impl Context {
    /// Reads a JSON object. What rules cannot compare is left out, like null.
    ///
    /// # Errors
    /// Nothing of it can be used: the field at fault.
    pub fn read(json: &RawValue) -> Result<Self, KeyFault> {
        let fault = |key: &str, rule: &str| KeyFault::new(format!("context{key}"), rule);
        let not_an_object = || fault("", &ObjectError::NotAnObject.to_string());
        let members = members(json.get()).ok_or_else(not_an_object)?;
        let mut fields = Vec::new();
        for (count, Member { key, value }) in members.enumerate() {
            if count == MAX_KEYS {
                return Err(fault("", &format!("must have at most {MAX_KEYS} keys")));
            }
            // A key that is no text is the key of no rule.
            let Some(key) = key else { continue };
            let scalar = Scalar::read(value);
            if scalar.is_none() && value != "null" {
                let mut identities = IDENTITIES.into_iter();
                if let Some(identity) = identities.find(|identity| *identity == key) {
                    return Err(fault(&format!(".{identity}"), IDENTITY));
                }
            }
            fields.push((SmolStr::from(key), scalar));
        }
        fields.sort_by(|(a, _), (b, _)| a.cmp(b));
        let mut pairs = fields.windows(2);
        let twice = pairs.find_map(|pair| match pair {
            [(first, _), (second, _)] if first == second => Some(first.to_string()),
            _ => None,
        });
        if let Some(key) = twice {
            return Err(fault(&format!(".{}", quoted(&key)), "is given twice"));
        }
        let fields = fields.into_iter();
        let comparable = fields.filter_map(|(key, value)| Some((key, value?)));
        Ok(Self(comparable.collect()))
    }

    /// The value of `key`, if the request has one that rules can compare.
    pub fn get(&self, key: &str) -> Option<&Scalar> {
        let place = self.place(key).ok()?;
        self.0.get(place).map(|(_, value)| value)
    }

    /// Adds `key` unless the request already has it.
    pub fn set_default(&mut self, key: &str, value: &str) {
        if let Err(place) = self.place(key) {
            let value = Scalar::Text(value.into());
            self.0.insert(place, (key.into(), value));
        }
    }

    fn place(&self, key: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|(name, _)| name.as_str().cmp(key))
    }
}

#[cfg(test)]
#[path = "context_tests.rs"]
mod tests;

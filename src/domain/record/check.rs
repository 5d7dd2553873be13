//! Reads the fields of a record one by one, each by its rule, and gathers all that is wrong.

use std::ops::RangeInclusive;

use thiserror::Error;

use super::gate::Gate;
use super::{Fields, MAX_VALUE_BYTES, Value};
use crate::domain::breaker::Settings;
use crate::domain::call_rules::CallRules;
use crate::domain::ids::VersionName;
use crate::domain::json::{JsonObject, KeyFault, compact};
use crate::domain::metadata::OwnLimits;
use crate::domain::quote::quoted_within;
use crate::domain::rollout::Rollout;
use crate::domain::subject::Subject;
use crate::domain::whole::{rule, whole};

/// A field and the rule it breaks.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{field}` {rule}")]
pub struct FieldFault {
    /// The field's name as users write it.
    pub field: &'static str,
    /// The rule, readable after the field's name.
    pub rule: String,
}

/// A number that was cut to this deployment's limit.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{field}` {value} is cut to {limit}")]
pub struct Cut {
    /// The field's name.
    pub field: &'static str,
    /// What was given.
    pub value: i64,
    /// What is served.
    pub limit: i64,
}

/// The outcome of a check: everything that is wrong, not just the first thing.
pub type Checked<T> = Result<T, Vec<FieldFault>>;

/// One line that names every fault.
pub fn describe(faults: &[FieldFault]) -> String {
    let faults: Vec<_> = faults.iter().map(ToString::to_string).collect();
    faults.join("; ")
}

/// The most bytes of a rule that is broken; some name what breaks them.
const MAX_RULE: usize = 300;

/// Gathers faults while fields are checked one by one.
pub(super) struct Check<'c, 'a> {
    fields: &'c Fields<'a>,
    gate: Gate<'c>,
    pub(super) faults: Vec<FieldFault>,
    pub(super) cuts: Vec<Cut>,
}

impl<'c, 'a> Check<'c, 'a> {
    pub(super) fn of(fields: &'c Fields<'a>, gate: Gate<'c>) -> Self {
        Self {
            fields,
            gate,
            faults: Vec::new(),
            cuts: Vec::new(),
        }
    }

    pub(super) fn done<T>(self, value: T) -> Checked<T> {
        if self.faults.is_empty() {
            Ok(value)
        } else {
            Err(self.faults)
        }
    }

    /// The value, or none and the fault that `result` is.
    pub(super) fn sound<T, E: ToString>(
        &mut self,
        field: &'static str,
        result: Result<T, E>,
    ) -> Option<T> {
        let fault = |error: E| FieldFault {
            field,
            rule: quoted_within(&error.to_string(), MAX_RULE),
        };
        result.map_err(|error| self.faults.push(fault(error))).ok()
    }

    pub(super) fn required<T, E: ToString>(
        &mut self,
        field: &'static str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        match self.fields.get(field) {
            Value::Unset => self.sound(field, Err("is missing")),
            _ => self.optional(field, parse),
        }
    }

    pub(super) fn optional<T, E: ToString>(
        &mut self,
        field: &'static str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let text = match self.fields.get(field) {
            Value::Unset => return None,
            value => self.sound(field, value.as_text())?,
        };
        self.sound(field, parse(text))
    }

    /// A version's name, or `default`.
    pub(super) fn version(&mut self, default: &str) -> Option<VersionName> {
        let given = self.optional("version", VersionName::parse);
        given.or_else(|| VersionName::parse(default).ok())
    }

    pub(super) fn switch(&mut self, field: &'static str) -> Option<bool> {
        match self.fields.get(field) {
            Value::Unset => None,
            Value::Switch(on) => Some(*on),
            _ => self.sound(field, Err("must be true or false")),
        }
    }

    pub(super) fn whole<T: TryFrom<i64>>(
        &mut self,
        field: &'static str,
        range: &RangeInclusive<i64>,
    ) -> Option<T> {
        let number = self.number(field, range, *range.end())?;
        let within = T::try_from(number).map_err(|_| rule(range.start(), range.end()));
        self.sound(field, within)
    }

    /// A number from the start of `range` to `most`, which may lie beyond its end.
    fn number(
        &mut self,
        field: &'static str,
        range: &RangeInclusive<i64>,
        most: i64,
    ) -> Option<i64> {
        let readable = *range.start()..=most;
        let number = match self.fields.get(field) {
            Value::Unset => return None,
            Value::Number(number) => Some(*number).filter(|number| readable.contains(number)),
            Value::Json(json) => whole(json, &readable).ok(),
            _ => None,
        };
        let number = number.ok_or_else(|| rule(range.start(), range.end()));
        self.sound(field, number)
    }

    pub(super) fn subject(&mut self) -> Option<Subject> {
        let policy = self.gate.policy;
        self.required("subject", |text| policy.subject(text))
    }

    pub(super) fn timeout(&mut self, default: Option<i64>) -> Option<u32> {
        self.limited("timeout_ms", default, &self.gate.policy.timeouts_ms())
    }

    pub(super) fn retry(&mut self, default: Option<i64>) -> Option<u32> {
        self.limited("retry", default, &self.gate.policy.retries())
    }

    /// A number above `range` is cut to its end, or a fault, see [`Gate`].
    fn limited(
        &mut self,
        field: &'static str,
        default: Option<i64>,
        range: &RangeInclusive<i64>,
    ) -> Option<u32> {
        let limit = *range.end();
        let value = match self.fields.get(field) {
            Value::Unset => default?,
            _ if self.gate.strict => self.number(field, range, limit)?,
            _ => self.number(field, range, i64::MAX)?,
        };
        if value > limit {
            self.cuts.push(Cut {
                field,
                value,
                limit,
            });
        }
        u32::try_from(value.min(limit)).ok()
    }

    /// JSON text; a fault names the rule that it breaks.
    pub(super) fn json<T, E: ToString>(
        &mut self,
        field: &'static str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        match self.fields.get(field) {
            Value::Unset => None,
            Value::Json(json) => self.sound(field, parse(json)),
            value if value.is_too_large() => {
                let rule = format!("must be at most {MAX_VALUE_BYTES} bytes");
                self.sound(field, Err(rule))
            }
            // Parsers have words for what is neither object nor list.
            _ => self.sound(field, parse("0")),
        }
    }

    pub(super) fn object(&mut self, field: &'static str) -> Option<JsonObject> {
        self.json(field, JsonObject::parse)
    }

    pub(super) fn rollout(&mut self) -> Option<Rollout> {
        match self.fields.get("rollout") {
            Value::Json(json) if compact(json) == "{}" => None,
            _ => self.json("rollout", Rollout::parse),
        }
    }

    /// The object is kept as it was written; each of its keys at fault is a fault of the field.
    pub(super) fn circuit_breaker(&mut self) -> Option<JsonObject> {
        let object = self.object("circuit_breaker")?;
        self.keys("circuit_breaker", Settings::default().overridden(&object));
        Some(object)
    }

    pub(super) fn metadata(&mut self) -> Option<JsonObject> {
        let object = self.object("metadata")?;
        self.keys("metadata", OwnLimits::read(&object));
        if self.gate.strict {
            self.keys("metadata", Err::<(), _>(CallRules::read(&object).1));
        }
        Some(object)
    }

    fn keys<T>(&mut self, field: &'static str, read: Result<T, Vec<KeyFault>>) {
        for fault in read.err().unwrap_or_default() {
            self.sound(field, Err::<(), _>(fault));
        }
    }
}

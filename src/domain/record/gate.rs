//! The one gate: fields become an [`Extension`], a [`Version`] or an [`Instance`], or a list of faults.
//!
//! Rows, files and requests all pass here, so that none can bring in what another would refuse.

use std::ops::RangeInclusive;

use thiserror::Error;

use super::{Fields, MAX_VALUE_BYTES, Value};
use crate::domain::breaker::Overrides;
use crate::domain::call_rules::CallRules;
use crate::domain::extension::{Extension, ExtensionType, Instance, Provenance, Version};
use crate::domain::ids::{ExtensionId, InstanceId, VersionName};
use crate::domain::json::{JsonObject, KeyFault, compact};
use crate::domain::line::line;
use crate::domain::metadata::OwnLimits;
use crate::domain::policy::Policy;
use crate::domain::quote::quoted_within;
use crate::domain::rollout::Rollout;
use crate::domain::rules::Rules;
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

/// The timeout of an extension that names none, in milliseconds.
const DEFAULT_TIMEOUT_MS: i64 = 5000;
/// The retries of an extension that names none.
const DEFAULT_RETRY: i64 = 1;
/// The version of an extension that names none.
const DEFAULT_VERSION: &str = "v1";
/// The weight of an instance that names none.
const DEFAULT_WEIGHT: u8 = 100;
/// The most bytes of a rule that is broken; some name what breaks them.
const MAX_RULE: usize = 300;
/// The priorities that a version may have.
pub(super) const PRIORITIES: RangeInclusive<i64> = i32::MIN as i64..=i32::MAX as i64;
/// The weights that an instance may have.
pub(super) const WEIGHTS: RangeInclusive<i64> = 0..=100;
/// Nothing could take over from it.
pub const NO_HALT: &str = "`halt` is for a version beside the current one";
/// Longer than any team's name.
const MAX_OWNER_CHARS: usize = 200;
/// More fallbacks than are of use; a bound on what one record can cost.
const MAX_FALLBACKS: usize = 16;

/// What passes the gate, by a deployment's policy.
#[derive(Debug, Clone, Copy)]
pub struct Gate<'p> {
    policy: &'p Policy,
    /// Whether a number above a limit is a fault; else it is cut to it.
    strict: bool,
}

impl<'p> Gate<'p> {
    /// The gate for what is there: a row of another deployment serves, within this one's limits.
    pub fn of(policy: &'p Policy) -> Self {
        Self {
            policy,
            strict: false,
        }
    }

    /// The gate for what is written.
    pub fn strict(policy: &'p Policy) -> Self {
        Self {
            policy,
            strict: true,
        }
    }

    /// Checks the fields of an extension.
    ///
    /// # Errors
    /// Every fault.
    pub fn extension(self, fields: &Fields<'_>) -> Checked<Extension> {
        let mut check = Check::of(fields, self);
        let id = check.required("id", ExtensionId::parse_new);
        let kind = check.required("type", ExtensionType::parse);
        let subject = check.subject();
        let timeout_ms = check.timeout(Some(DEFAULT_TIMEOUT_MS));
        let retry = check.retry(Some(DEFAULT_RETRY));
        let enabled = check.switch("enabled").unwrap_or(true);
        let auto_disabled = check.switch("auto_disabled").unwrap_or(false);
        let version = check.version(DEFAULT_VERSION);
        let owner = check.optional("owner", |text| line(text, MAX_OWNER_CHARS));
        let config = check.object("config").unwrap_or_default();
        let metadata = check.metadata().unwrap_or_default();
        let fallback = check.json("fallback", fallback).unwrap_or_default();
        let routing_rules = check.json("routing_rules", Rules::parse);
        let rollout = check.rollout();
        if self.strict && rollout.as_ref().is_some_and(|it| it.halt().is_some()) {
            check.sound("rollout", Err::<(), _>(NO_HALT));
        }
        let circuit_breaker = check.circuit_breaker();
        let (Some(id), Some(kind), Some(subject), Some(version), Some(timeout_ms), Some(retry)) =
            (id, kind, subject, version, timeout_ms, retry)
        else {
            return Err(check.faults);
        };
        let cuts = std::mem::take(&mut check.cuts);
        check.done(Extension {
            id,
            kind,
            subject,
            timeout_ms,
            retry,
            enabled,
            auto_disabled,
            version,
            owner,
            config,
            metadata,
            fallback,
            routing_rules,
            rollout,
            circuit_breaker,
            versions: Vec::new(),
            instances: Vec::new(),
            revision: 0,
            incarnation: None,
            digest: 0,
            provenance: Provenance::default(),
            cuts,
        })
    }

    /// Checks the fields of a version. Without `enabled`, a version with rules or a rollout takes
    /// part, one without (or with `{}`, which matches everything) does not: it would take over all
    /// traffic. A row that names the `current` version takes part too: it would switch it off.
    ///
    /// # Errors
    /// Every fault.
    pub fn version(self, fields: &Fields<'_>, current: &str) -> Checked<Version> {
        let mut check = Check::of(fields, self);
        let version = check.required("version", VersionName::parse);
        let subject = check.subject();
        let timeout_ms = check.timeout(None);
        let retry = check.retry(None);
        let config = check.object("config");
        let metadata = check.metadata();
        let routing_rules = check.json("routing_rules", Rules::parse);
        let rollout = check.rollout();
        let priority = check.whole("priority", &PRIORITIES);
        let enabled = check.switch("enabled");
        let (Some(version), Some(subject)) = (version, subject) else {
            return Err(check.faults);
        };
        let targeted = routing_rules.as_ref().is_some_and(|rules| rules.keys() > 0);
        let takes_part = targeted || rollout.is_some() || version.as_str() == current;
        let cuts = std::mem::take(&mut check.cuts);
        check.done(Version {
            version,
            subject,
            timeout_ms,
            retry,
            config,
            metadata,
            enabled: enabled.unwrap_or(takes_part),
            routing_rules,
            rollout,
            priority: priority.unwrap_or(0),
            provenance: Provenance::default(),
            cuts,
        })
    }

    /// Checks the fields of an instance; without a version it runs `current`.
    ///
    /// # Errors
    /// Every fault.
    pub fn instance(self, fields: &Fields<'_>, current: &str) -> Checked<Instance> {
        let mut check = Check::of(fields, self);
        let instance_id = check.required("instance_id", InstanceId::parse);
        let version = check.version(current);
        let subject = check.subject();
        let weight = check.whole("weight", &WEIGHTS);
        let enabled = check.switch("enabled").unwrap_or(true);
        let (Some(instance_id), Some(version), Some(subject)) = (instance_id, version, subject)
        else {
            return Err(check.faults);
        };
        check.done(Instance {
            instance_id,
            version,
            subject,
            weight: weight.unwrap_or(DEFAULT_WEIGHT),
            enabled,
        })
    }
}

/// Gathers faults while fields are checked one by one.
struct Check<'c, 'a> {
    fields: &'c Fields<'a>,
    gate: Gate<'c>,
    faults: Vec<FieldFault>,
    cuts: Vec<Cut>,
}

impl<'c, 'a> Check<'c, 'a> {
    fn of(fields: &'c Fields<'a>, gate: Gate<'c>) -> Self {
        Self {
            fields,
            gate,
            faults: Vec::new(),
            cuts: Vec::new(),
        }
    }

    fn done<T>(self, value: T) -> Checked<T> {
        if self.faults.is_empty() {
            Ok(value)
        } else {
            Err(self.faults)
        }
    }

    /// The value, or none and the fault that `result` is.
    fn sound<T, E: ToString>(&mut self, field: &'static str, result: Result<T, E>) -> Option<T> {
        let fault = |error: E| FieldFault {
            field,
            rule: quoted_within(&error.to_string(), MAX_RULE),
        };
        result.map_err(|error| self.faults.push(fault(error))).ok()
    }

    fn required<T, E: ToString>(
        &mut self,
        field: &'static str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        match self.fields.get(field) {
            Value::Unset => self.sound(field, Err("is missing")),
            _ => self.optional(field, parse),
        }
    }

    fn optional<T, E: ToString>(
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
    fn version(&mut self, default: &str) -> Option<VersionName> {
        let given = self.optional("version", VersionName::parse);
        given.or_else(|| VersionName::parse(default).ok())
    }

    fn switch(&mut self, field: &'static str) -> Option<bool> {
        match self.fields.get(field) {
            Value::Unset => None,
            Value::Switch(on) => Some(*on),
            _ => self.sound(field, Err("must be true or false")),
        }
    }

    fn whole<T: TryFrom<i64>>(
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

    fn subject(&mut self) -> Option<Subject> {
        let policy = self.gate.policy;
        self.required("subject", |text| policy.subject(text))
    }

    fn timeout(&mut self, default: Option<i64>) -> Option<u32> {
        self.limited("timeout_ms", default, &self.gate.policy.timeouts_ms())
    }

    fn retry(&mut self, default: Option<i64>) -> Option<u32> {
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
    fn json<T, E: ToString>(
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

    fn object(&mut self, field: &'static str) -> Option<JsonObject> {
        self.json(field, JsonObject::parse)
    }

    fn rollout(&mut self) -> Option<Rollout> {
        match self.fields.get("rollout") {
            Value::Json(json) if compact(json) == "{}" => None,
            _ => self.json("rollout", Rollout::parse),
        }
    }

    /// The object is kept as it was written; each of its keys at fault is a fault of the field.
    fn circuit_breaker(&mut self) -> Option<JsonObject> {
        let object = self.object("circuit_breaker")?;
        self.keys("circuit_breaker", Overrides::parse(&object));
        Some(object)
    }

    fn metadata(&mut self) -> Option<JsonObject> {
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

fn fallback(json: &str) -> Result<Vec<ExtensionId>, String> {
    let ids: Vec<String> = serde_json::from_str(json).map_err(|_| "must be a list of ids")?;
    if ids.len() > MAX_FALLBACKS {
        return Err(format!("must have at most {MAX_FALLBACKS} ids"));
    }
    let ids = ids.iter().map(|id| ExtensionId::parse(id));
    ids.collect::<Result<_, _>>()
        .map_err(|error| error.to_string())
}

#[cfg(test)]
#[path = "gate_tests.rs"]
mod tests;

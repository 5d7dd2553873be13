//! The one gate into the domain: unchecked fields become an [`Extension`] or a list of faults.
//!
//! Rows, files and operators' requests all pass here, so that none can bring in what
//! another would refuse.

use std::fmt;
use std::ops::RangeInclusive;

use super::breaker::Overrides;
use super::extension::{Extension, ExtensionType, Instance, Provenance, Version};
use super::ids::{ExtensionId, InstanceId, VersionName};
use super::json::{JsonObject, KeyFault};
use super::metadata::OwnLimits;
use super::policy::Policy;
use super::quote::quoted_within;
use super::rollout::Rollout;
use super::rules::Rules;
use super::whole;

/// A field and the rule it breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldFault {
    /// The field's name as users write it.
    pub field: &'static str,
    /// The rule, readable after the field's name.
    pub rule: String,
}

impl fmt::Display for FieldFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` {}", self.field, self.rule)
    }
}

/// The outcome of a check: everything that is wrong, not just the first thing.
pub type Checked<T> = Result<T, Vec<FieldFault>>;

/// One line that names every fault.
pub fn describe(faults: &[FieldFault]) -> String {
    faults
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("; ")
}

/// An extension's own fields, unchecked. JSON comes as text; `None` and `null` mean the default.
#[derive(Debug, Clone, Default)]
#[expect(
    missing_docs,
    reason = "the fields of `Extension`, before they are checked"
)]
pub struct ExtensionDraft<'a> {
    pub id: &'a str,
    pub kind: &'a str,
    pub subject: &'a str,
    pub timeout_ms: Option<i64>,
    pub retry: Option<i64>,
    pub enabled: Option<bool>,
    pub auto_disabled: bool,
    pub version: Option<&'a str>,
    pub config: Option<&'a str>,
    pub metadata: Option<&'a str>,
    pub fallback: Option<&'a str>,
    pub routing_rules: Option<&'a str>,
    pub rollout: Option<&'a str>,
    pub circuit_breaker: Option<&'a str>,
}

/// A version's fields, unchecked.
#[derive(Debug, Clone, Default)]
#[expect(
    missing_docs,
    reason = "the fields of `Version`, before they are checked"
)]
pub struct VersionDraft<'a> {
    pub version: &'a str,
    pub subject: &'a str,
    pub timeout_ms: Option<i64>,
    pub retry: Option<i64>,
    pub config: Option<&'a str>,
    pub metadata: Option<&'a str>,
    pub routing_rules: Option<&'a str>,
    pub rollout: Option<&'a str>,
    pub priority: Option<i64>,
    pub enabled: Option<bool>,
}

/// An instance's fields, unchecked.
#[derive(Debug, Clone, Default)]
#[expect(
    missing_docs,
    reason = "the fields of `Instance`, before they are checked"
)]
pub struct InstanceDraft<'a> {
    pub instance_id: &'a str,
    pub version: Option<&'a str>,
    pub subject: &'a str,
    pub weight: Option<i64>,
    pub enabled: Option<bool>,
}

/// The timeout of an extension that names none, in milliseconds.
const DEFAULT_TIMEOUT_MS: i64 = 5000;
/// The retries of an extension that names none.
const DEFAULT_RETRY: i64 = 1;
/// The version of an extension that names none.
const DEFAULT_VERSION: &str = "v1";
/// The weight of an instance that names none.
const DEFAULT_WEIGHT: i64 = 100;
/// The most bytes of a rule that is broken; some name what breaks them.
const MAX_RULE: usize = 300;
/// The priorities that a version may have.
pub const PRIORITIES: RangeInclusive<i64> = i32::MIN as i64..=i32::MAX as i64;
/// The weights that an instance may have.
pub const WEIGHTS: RangeInclusive<i64> = 0..=100;
/// More fallbacks than anyone follows; a bound on what one record can cost.
const MAX_FALLBACKS: usize = 16;

impl ExtensionDraft<'_> {
    /// Checks every field. Values above the policy's limits are cut to them.
    pub fn check(&self, policy: &Policy) -> Checked<Extension> {
        let mut check = Check::default();
        let id = check.field("id", ExtensionId::parse_new(self.id));
        let kind = check.field("type", ExtensionType::parse(self.kind));
        let subject = check.field("subject", policy.subject(self.subject));
        let timeout_ms = check.timeout(Some(self.timeout_ms.unwrap_or(DEFAULT_TIMEOUT_MS)), policy);
        let retry = check.retry(Some(self.retry.unwrap_or(DEFAULT_RETRY)), policy);
        let version = check.field(
            "version",
            VersionName::parse(self.version.unwrap_or(DEFAULT_VERSION)),
        );
        let config = check.object("config", self.config);
        let metadata = check.metadata(self.metadata);
        let fallback = check.field("fallback", fallback(present(self.fallback)));
        let routing_rules = check.rules(self.routing_rules);
        let rollout = check.rollout(self.rollout);
        let circuit_breaker = check.circuit_breaker(self.circuit_breaker);
        let (Some(id), Some(kind), Some(subject), Some(version), Some(fallback)) =
            (id, kind, subject, version, fallback)
        else {
            return Err(check.faults);
        };
        let cuts = std::mem::take(&mut check.cuts);
        check.done(Extension {
            id,
            kind,
            subject,
            timeout_ms: timeout_ms.unwrap_or_default(),
            retry: retry.unwrap_or_default(),
            enabled: self.enabled.unwrap_or(true),
            auto_disabled: self.auto_disabled,
            version,
            config: config.unwrap_or_default(),
            metadata: metadata.unwrap_or_default(),
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
}

impl VersionDraft<'_> {
    /// Checks every field. Without `enabled`, a version with rules or a rollout takes part, one
    /// without (or with `{}`, which matches everything) does not: it would take over all traffic.
    pub fn check(&self, policy: &Policy) -> Checked<Version> {
        let mut check = Check::default();
        let version = check.field("version", VersionName::parse(self.version));
        let subject = check.field("subject", policy.subject(self.subject));
        let timeout_ms = check.timeout(self.timeout_ms, policy);
        let retry = check.retry(self.retry, policy);
        let config = check.object("config", self.config);
        let metadata = check.metadata(self.metadata);
        let routing_rules = check.rules(self.routing_rules);
        let rollout = check.rollout(self.rollout);
        let priority = check.field(
            "priority",
            i32::try_from(self.priority.unwrap_or(0))
                .map_err(|_| whole::rule(PRIORITIES.start(), PRIORITIES.end())),
        );
        let (Some(version), Some(subject), Some(priority)) = (version, subject, priority) else {
            return Err(check.faults);
        };
        let targeted = routing_rules.as_ref().is_some_and(|rules| rules.keys() > 0);
        let conditional = targeted || rollout.is_some();
        let cuts = std::mem::take(&mut check.cuts);
        check.done(Version {
            version,
            subject,
            timeout_ms,
            retry,
            config,
            metadata,
            enabled: self.enabled.unwrap_or(conditional),
            routing_rules,
            rollout,
            priority,
            provenance: Provenance::default(),
            cuts,
        })
    }
}

impl InstanceDraft<'_> {
    /// Checks every field; without a version it runs `current`.
    pub fn check(&self, current: &VersionName, policy: &Policy) -> Checked<Instance> {
        let mut check = Check::default();
        let instance_id = check.field("instance_id", InstanceId::parse(self.instance_id));
        let version = match self.version {
            None => Some(current.clone()),
            Some(version) => check.field("version", VersionName::parse(version)),
        };
        let subject = check.field("subject", policy.subject(self.subject));
        let weight = self.weight.unwrap_or(DEFAULT_WEIGHT);
        let weight = Some(weight).filter(|weight| WEIGHTS.contains(weight));
        let weight = weight.and_then(|weight| u8::try_from(weight).ok());
        let rule = || whole::rule(WEIGHTS.start(), WEIGHTS.end());
        let weight = check.field("weight", weight.ok_or_else(rule));
        match (instance_id, version, subject, weight) {
            (Some(instance_id), Some(version), Some(subject), Some(weight)) => {
                let enabled = self.enabled.unwrap_or(true);
                check.done(Instance {
                    instance_id,
                    version,
                    subject,
                    weight,
                    enabled,
                })
            }
            _ => Err(check.faults),
        }
    }
}

/// Gathers faults while fields are checked one by one.
#[derive(Default)]
struct Check {
    faults: Vec<FieldFault>,
    /// Values that were cut to a limit.
    cuts: Vec<Box<str>>,
}

impl Check {
    fn field<T, E: ToString>(&mut self, field: &'static str, result: Result<T, E>) -> Option<T> {
        result
            .map_err(|error| {
                self.faults.push(FieldFault {
                    field,
                    rule: quoted_within(&error.to_string(), MAX_RULE),
                })
            })
            .ok()
    }

    fn object(&mut self, field: &'static str, text: Option<&str>) -> Option<JsonObject> {
        present(text).and_then(|text| self.field(field, JsonObject::parse(text)))
    }

    fn rules(&mut self, text: Option<&str>) -> Option<Rules> {
        present(text).and_then(|text| self.field("routing_rules", Rules::parse(text)))
    }

    fn rollout(&mut self, text: Option<&str>) -> Option<Rollout> {
        let given = present(text).filter(|text| text.trim() != "{}");
        given.and_then(|text| self.field("rollout", Rollout::parse(text)))
    }

    /// The object is kept as it was written; each of its keys at fault is a fault of the field.
    fn circuit_breaker(&mut self, text: Option<&str>) -> Option<JsonObject> {
        let field = "circuit_breaker";
        let object = self.object(field, text)?;
        self.keys(field, Overrides::parse(&object));
        Some(object)
    }

    fn metadata(&mut self, text: Option<&str>) -> Option<JsonObject> {
        let object = self.object("metadata", text)?;
        self.keys("metadata", OwnLimits::read(&object));
        Some(object)
    }

    fn keys<T>(&mut self, field: &'static str, read: Result<T, Vec<KeyFault>>) {
        for fault in read.err().unwrap_or_default() {
            self.field(field, Err::<(), _>(fault));
        }
    }

    fn timeout(&mut self, value: Option<i64>, policy: &Policy) -> Option<u32> {
        let parsed = at_least(value?, &policy.timeouts_ms());
        let parsed = self.field("timeout_ms", parsed)?;
        Some(self.cut("timeout_ms", parsed, policy.max_timeout_ms))
    }

    fn retry(&mut self, value: Option<i64>, policy: &Policy) -> Option<u32> {
        let parsed = at_least(value?, &policy.retries());
        let parsed = self.field("retry", parsed)?;
        Some(self.cut("retry", parsed, policy.max_retries))
    }

    fn cut(&mut self, field: &str, value: u32, limit: u32) -> u32 {
        if value > limit {
            self.cuts
                .push(format!("`{field}` {value} is cut to {limit}").into());
        }
        value.min(limit)
    }

    fn done<T>(self, value: T) -> Checked<T> {
        if self.faults.is_empty() {
            Ok(value)
        } else {
            Err(self.faults)
        }
    }
}

/// SQL NULL, JSON `null` and a missing field all mean the default.
fn present(text: Option<&str>) -> Option<&str> {
    text.filter(|text| text.trim() != "null")
}

/// What lies beyond the end of `range` is cut to it later.
fn at_least(value: i64, range: &RangeInclusive<i64>) -> Result<u32, String> {
    if value < *range.start() {
        return Err(whole::rule(range.start(), range.end()));
    }
    Ok(u32::try_from(value).unwrap_or(u32::MAX))
}

fn fallback(text: Option<&str>) -> Result<Vec<ExtensionId>, String> {
    let Some(text) = text else {
        return Ok(Vec::new());
    };
    let ids: Vec<String> =
        serde_json::from_str(text).map_err(|_| "must be a list of ids".to_owned())?;
    if ids.len() > MAX_FALLBACKS {
        return Err(format!("must have at most {MAX_FALLBACKS} ids"));
    }
    ids.iter()
        .map(|id| ExtensionId::parse(id).map_err(|error| error.to_string()))
        .collect()
}

#[cfg(test)]
#[path = "draft_tests.rs"]
mod tests;

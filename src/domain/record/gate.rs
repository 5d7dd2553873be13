//! The one gate: fields become an [`Extension`], a [`Version`] or an [`Instance`], or a list of
//! faults.
//!
//! Rows, files and requests all pass here, so that none can bring in what another would refuse. How
//! a field is read is in [`check`](super::check).

use std::ops::RangeInclusive;

use super::Fields;
use super::check::{Check, Checked};
use crate::domain::extension::{Extension, ExtensionType, Instance, Provenance, Version};
use crate::domain::ids::{ExtensionId, InstanceId, VersionName};
use crate::domain::line::line;
use crate::domain::policy::Policy;
use crate::domain::rules::Rules;

/// The timeout of an extension that names none, in milliseconds.
const DEFAULT_TIMEOUT_MS: i64 = 5000;
/// The retries of an extension that names none.
const DEFAULT_RETRY: i64 = 1;
/// The version of an extension that names none.
const DEFAULT_VERSION: &str = "v1";
/// The weight of an instance that names none.
const DEFAULT_WEIGHT: u8 = 100;
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
    pub(super) policy: &'p Policy,
    /// Whether a number above a limit is a fault; else it is cut to it.
    pub(super) strict: bool,
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
        let cuts = std::mem::take(&mut check.cuts).into();
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
            routing_rules: routing_rules.map(Box::new),
            rollout: rollout.map(Box::new),
            circuit_breaker: circuit_breaker.map(Box::new),
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
        let cuts = std::mem::take(&mut check.cuts).into();
        check.done(Version {
            version,
            subject,
            timeout_ms,
            retry,
            config,
            metadata,
            enabled: enabled.unwrap_or(takes_part),
            routing_rules: routing_rules.map(Box::new),
            rollout: rollout.map(Box::new),
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

fn fallback(json: &str) -> Result<Box<[ExtensionId]>, String> {
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

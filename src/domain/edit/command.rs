//! What is to be done to one extension.

use super::stored::{ExtensionFields, InstanceFields, VersionFields};
use crate::domain::ids::{InstanceId, VersionName};

/// A field of an update: left alone, set back to its default, or set.
pub type Patch<T> = Option<Option<T>>;

/// The fields that an update changes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "the fields of `ExtensionFields` that may change"
)]
pub struct ExtensionPatch {
    pub subject: Patch<String>,
    pub timeout_ms: Patch<i64>,
    pub retry: Patch<i64>,
    pub enabled: Patch<bool>,
    pub config: Patch<String>,
    pub metadata: Patch<String>,
    pub fallback: Patch<String>,
    pub routing_rules: Patch<String>,
    pub rollout: Patch<String>,
    pub circuit_breaker: Patch<String>,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Make it.
    Create(Box<ExtensionFields>),
    /// Change some of its fields.
    Update(Box<ExtensionPatch>),
    /// Remove it with its versions and instances.
    Delete,
    /// Let it serve, also where the machine had taken it out of service.
    Enable,
    /// Take it out of service.
    Disable,
    /// Add or replace a version.
    PutVersion(Box<VersionFields>),
    /// Remove a version.
    DeleteVersion(VersionName),
    /// Make a version the current one.
    Promote(VersionName),
    /// Add or replace an instance.
    PutInstance(InstanceFields),
    /// Remove an instance.
    DeleteInstance(InstanceId),
}

impl ExtensionPatch {
    /// `fields` with this patch laid over them.
    pub fn over(&self, fields: &ExtensionFields) -> ExtensionFields {
        fn lay<T: Clone>(patch: &Patch<T>, old: &Option<T>) -> Option<T> {
            patch.clone().unwrap_or_else(|| old.clone())
        }
        let subject = lay(&self.subject, &Some(fields.subject.clone()));
        ExtensionFields {
            // A subject has no default: an empty one breaks the rule for subjects.
            subject: subject.unwrap_or_default(),
            timeout_ms: lay(&self.timeout_ms, &fields.timeout_ms),
            retry: lay(&self.retry, &fields.retry),
            enabled: lay(&self.enabled, &fields.enabled),
            config: lay(&self.config, &fields.config),
            metadata: lay(&self.metadata, &fields.metadata),
            fallback: lay(&self.fallback, &fields.fallback),
            routing_rules: lay(&self.routing_rules, &fields.routing_rules),
            rollout: lay(&self.rollout, &fields.rollout),
            circuit_breaker: lay(&self.circuit_breaker, &fields.circuit_breaker),
            ..fields.clone()
        }
    }
}

//! A record as it is stored, before anything about it is checked: what is broken must be mendable.

use crate::domain::draft::{ExtensionDraft, InstanceDraft, VersionDraft};

/// The fields of an extension. JSON is text; `None` means the default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields of `Extension`, unchecked")]
pub struct ExtensionFields {
    pub id: String,
    pub kind: String,
    pub subject: String,
    pub timeout_ms: Option<i64>,
    pub retry: Option<i64>,
    pub enabled: Option<bool>,
    pub auto_disabled: bool,
    pub version: Option<String>,
    pub config: Option<String>,
    pub metadata: Option<String>,
    pub fallback: Option<String>,
    pub routing_rules: Option<String>,
    pub rollout: Option<String>,
    pub circuit_breaker: Option<String>,
}

/// The fields of a version. `None` means the extension's own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields of `Version`, unchecked")]
pub struct VersionFields {
    pub version: String,
    pub subject: String,
    pub timeout_ms: Option<i64>,
    pub retry: Option<i64>,
    pub config: Option<String>,
    pub metadata: Option<String>,
    pub routing_rules: Option<String>,
    pub rollout: Option<String>,
    pub priority: Option<i64>,
    pub enabled: Option<bool>,
}

/// The fields of an instance. Without a version, it runs the current one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields of `Instance`, unchecked")]
pub struct InstanceFields {
    pub instance_id: String,
    pub version: Option<String>,
    pub subject: String,
    pub weight: Option<i64>,
    pub enabled: Option<bool>,
}

/// Everything stored about one extension.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoredRecord {
    /// Its own fields.
    pub extension: ExtensionFields,
    /// Its versions besides the current one.
    pub versions: Vec<VersionFields>,
    /// Its instances.
    pub instances: Vec<InstanceFields>,
    /// The revision of its last change.
    pub revision: u64,
}

impl ExtensionFields {
    /// The fields for a check.
    pub fn draft(&self) -> ExtensionDraft<'_> {
        ExtensionDraft {
            id: &self.id,
            kind: &self.kind,
            subject: &self.subject,
            timeout_ms: self.timeout_ms,
            retry: self.retry,
            enabled: self.enabled,
            auto_disabled: self.auto_disabled,
            version: self.version.as_deref(),
            config: self.config.as_deref(),
            metadata: self.metadata.as_deref(),
            fallback: self.fallback.as_deref(),
            routing_rules: self.routing_rules.as_deref(),
            rollout: self.rollout.as_deref(),
            circuit_breaker: self.circuit_breaker.as_deref(),
        }
    }
}

impl VersionFields {
    /// The fields for a check.
    pub fn draft(&self) -> VersionDraft<'_> {
        VersionDraft {
            version: &self.version,
            subject: &self.subject,
            timeout_ms: self.timeout_ms,
            retry: self.retry,
            config: self.config.as_deref(),
            metadata: self.metadata.as_deref(),
            routing_rules: self.routing_rules.as_deref(),
            rollout: self.rollout.as_deref(),
            priority: self.priority,
            enabled: self.enabled,
        }
    }
}

impl InstanceFields {
    /// The fields for a check.
    pub fn draft(&self) -> InstanceDraft<'_> {
        InstanceDraft {
            instance_id: &self.instance_id,
            version: self.version.as_deref(),
            subject: &self.subject,
            weight: self.weight,
            enabled: self.enabled,
        }
    }
}

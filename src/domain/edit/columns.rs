//! What an update writes: new values of some of an extension's own columns.

use super::command::{ExtensionPatch, Patch};
use super::stored::VersionFields;
use crate::domain::extension::Extension;

/// New values; `None` leaves a column as it is, whatever it holds. JSON is text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "columns named as the fields of `Extension`")]
pub struct ExtensionColumns {
    pub subject: Option<String>,
    pub version: Option<String>,
    pub timeout_ms: Option<i32>,
    pub retry: Option<i32>,
    pub enabled: Option<bool>,
    pub config: Option<String>,
    pub metadata: Option<String>,
    pub fallback: Patch<String>,
    pub routing_rules: Patch<String>,
    pub rollout: Patch<String>,
    pub circuit_breaker: Patch<String>,
}

impl ExtensionColumns {
    /// The fields that `patch` names, with the values they have in `result`: those that were
    /// checked, defaults in place of nulls.
    pub(super) fn of(patch: &ExtensionPatch, result: &Extension) -> Self {
        fn named<P, T>(patch: &Patch<P>, value: impl FnOnce() -> T) -> Option<T> {
            patch.as_ref().map(|_| value())
        }
        Self {
            subject: named(&patch.subject, || result.subject.to_string()),
            version: None,
            timeout_ms: named(&patch.timeout_ms, || integer(result.timeout_ms)),
            retry: named(&patch.retry, || integer(result.retry)),
            enabled: named(&patch.enabled, || result.enabled),
            config: named(&patch.config, || result.config.to_string()),
            metadata: named(&patch.metadata, || result.metadata.to_string()),
            fallback: named(&patch.fallback, || {
                let ids: Vec<_> = result.fallback.iter().map(|id| id.as_str()).collect();
                (!ids.is_empty()).then(|| serde_json::Value::from(ids).to_string())
            }),
            routing_rules: named(&patch.routing_rules, || {
                let rules = result.routing_rules.as_ref();
                rules.map(|rules| rules.source().to_string())
            }),
            rollout: named(&patch.rollout, || {
                let rollout = result.rollout.as_ref();
                rollout.map(|rollout| rollout.source().to_string())
            }),
            circuit_breaker: named(&patch.circuit_breaker, || {
                let breaker = result.circuit_breaker.as_ref();
                breaker.map(ToString::to_string)
            }),
        }
    }

    /// What a version that becomes the current one has of its own, as it is stored.
    pub(super) fn promoted(version: &VersionFields) -> Self {
        let own = |text: &Option<String>| text.clone().filter(|text| text.trim() != "null");
        Self {
            subject: Some(version.subject.clone()),
            version: Some(version.version.clone()),
            timeout_ms: version.timeout_ms.map(stored_integer),
            retry: version.retry.map(stored_integer),
            config: own(&version.config),
            metadata: own(&version.metadata),
            ..Self::default()
        }
    }
}

/// Limits were checked: no timeout and no number of retries comes near 2^31.
fn integer(value: u32) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}

/// Came from a column of this type.
fn stored_integer(value: i64) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}

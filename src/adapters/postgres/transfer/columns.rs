//! Records turned into columns, one list per column, as `unnest` takes them.
//!
//! Each record is taken apart by every field, so that a new field cannot be forgotten.

use crate::domain::extension::{Extension, Instance, Version};

type Texts<'a> = Vec<&'a str>;
type MaybeTexts<'a> = Vec<Option<&'a str>>;

/// Rows of `extensions`.
#[derive(Default)]
pub(super) struct Extensions<'a> {
    pub(super) ids: Texts<'a>,
    pub(super) kinds: Texts<'a>,
    pub(super) subjects: Texts<'a>,
    pub(super) timeouts_ms: Vec<i32>,
    pub(super) retries: Vec<i32>,
    pub(super) enabled: Vec<bool>,
    pub(super) versions: Texts<'a>,
    pub(super) configs: Texts<'a>,
    pub(super) metadata: Texts<'a>,
    pub(super) fallbacks: Vec<Option<String>>,
    pub(super) routing_rules: MaybeTexts<'a>,
    pub(super) rollouts: MaybeTexts<'a>,
    pub(super) circuit_breakers: MaybeTexts<'a>,
}

impl<'a> Extensions<'a> {
    pub(super) fn of(extensions: &[&'a Extension]) -> Self {
        let mut columns = Self::default();
        for extension in extensions {
            columns.add(extension);
        }
        columns
    }

    fn add(&mut self, extension: &'a Extension) {
        let Extension {
            id,
            kind,
            subject,
            timeout_ms,
            retry,
            enabled,
            auto_disabled: _,
            version,
            config,
            metadata,
            fallback,
            routing_rules,
            rollout,
            circuit_breaker,
            versions: _,
            instances: _,
            incarnation: _,
            revision: _,
            digest: _,
            provenance: _,
            cuts: _,
        } = extension;
        let fallback = (!fallback.is_empty()).then(|| {
            let ids: Vec<_> = fallback.iter().map(|id| id.as_str()).collect();
            serde_json::Value::from(ids).to_string()
        });
        self.ids.push(id.as_str());
        self.kinds.push(kind.as_str());
        self.subjects.push(subject.as_str());
        self.timeouts_ms.push(integer(*timeout_ms));
        self.retries.push(integer(*retry));
        self.enabled.push(*enabled);
        self.versions.push(version.as_str());
        self.configs.push(config.as_str());
        self.metadata.push(metadata.as_str());
        self.fallbacks.push(fallback);
        self.routing_rules
            .push(routing_rules.as_ref().map(|it| it.source().as_str()));
        self.rollouts
            .push(rollout.as_ref().map(|it| it.source().as_str()));
        self.circuit_breakers
            .push(circuit_breaker.as_ref().map(|it| it.as_str()));
    }
}

/// Rows of `extension_versions`.
#[derive(Default)]
pub(super) struct Versions<'a> {
    pub(super) ids: Texts<'a>,
    pub(super) versions: Texts<'a>,
    pub(super) subjects: Texts<'a>,
    pub(super) timeouts_ms: Vec<Option<i32>>,
    pub(super) retries: Vec<Option<i32>>,
    pub(super) configs: MaybeTexts<'a>,
    pub(super) metadata: MaybeTexts<'a>,
    pub(super) routing_rules: MaybeTexts<'a>,
    pub(super) rollouts: MaybeTexts<'a>,
    pub(super) priorities: Vec<i32>,
    pub(super) enabled: Vec<bool>,
}

impl<'a> Versions<'a> {
    pub(super) fn of(extensions: &[&'a Extension]) -> Self {
        let mut columns = Self::default();
        for extension in extensions {
            for version in &extension.versions {
                columns.add(extension.id.as_str(), version);
            }
        }
        columns
    }

    fn add(&mut self, id: &'a str, version: &'a Version) {
        let Version {
            version,
            subject,
            timeout_ms,
            retry,
            config,
            metadata,
            routing_rules,
            rollout,
            priority,
            enabled,
            provenance: _,
            cuts: _,
        } = version;
        self.ids.push(id);
        self.versions.push(version.as_str());
        self.subjects.push(subject.as_str());
        self.timeouts_ms.push(timeout_ms.map(integer));
        self.retries.push(retry.map(integer));
        self.configs.push(config.as_ref().map(|it| it.as_str()));
        self.metadata.push(metadata.as_ref().map(|it| it.as_str()));
        self.routing_rules
            .push(routing_rules.as_ref().map(|it| it.source().as_str()));
        self.rollouts
            .push(rollout.as_ref().map(|it| it.source().as_str()));
        self.priorities.push(*priority);
        self.enabled.push(*enabled);
    }
}

/// Rows of `extension_instances`.
#[derive(Default)]
pub(super) struct Instances<'a> {
    pub(super) ids: Texts<'a>,
    pub(super) instances: Texts<'a>,
    pub(super) versions: Texts<'a>,
    pub(super) subjects: Texts<'a>,
    pub(super) weights: Vec<i32>,
    pub(super) enabled: Vec<bool>,
}

impl<'a> Instances<'a> {
    pub(super) fn of(extensions: &[&'a Extension]) -> Self {
        let mut columns = Self::default();
        for extension in extensions {
            for instance in &extension.instances {
                columns.add(extension.id.as_str(), instance);
            }
        }
        columns
    }

    fn add(&mut self, id: &'a str, instance: &'a Instance) {
        let Instance {
            instance_id,
            version,
            subject,
            weight,
            enabled,
        } = instance;
        self.ids.push(id);
        self.instances.push(instance_id.as_str());
        self.versions.push(version.as_str());
        self.subjects.push(subject.as_str());
        self.weights.push(i32::from(*weight));
        self.enabled.push(*enabled);
    }
}

/// Limits were checked: no timeout and no number of retries comes near 2^31.
fn integer(value: u32) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}

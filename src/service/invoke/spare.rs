//! What a call keeps of its request for a fallback.
//!
//! The body is not kept twice: it is made of the other's, see [`crate::domain::envelope::Body`].

use std::time::Duration;

use serde_json::value::RawValue;

use super::limits::Limits;
use super::request::Invocation;
use crate::domain::context::Context;
use crate::domain::ids::ExtensionId;
use crate::service::selection::Target;

/// The parts of a request that decide about a fallback.
#[derive(Debug)]
pub(super) struct Spare {
    /// What rules and rollouts read.
    pub(super) context: Context,
    configs: Vec<(String, Box<RawValue>)>,
    /// How long the caller wants to wait for an attempt: a fallback may have more time of its own.
    pub(super) timeout: Option<Duration>,
    payload_bytes: usize,
    metadata_bytes: usize,
}

impl Spare {
    /// Takes from `invocation` what may still be needed; nothing where `target` has no usable
    /// fallback: it has no fallback or is one, or its version was asked for by name.
    pub(super) fn of(invocation: &mut Invocation<'_>, target: &Target) -> Option<Self> {
        let fallback = &target.resolved().extension.fallback;
        if fallback.is_empty() || target.fallback_from.is_some() || invocation.version.is_some() {
            return None;
        }
        // Of others nobody will ask, and each takes many times its bytes.
        let configs = invocation.fallback_config.drain();
        let configs = configs.filter(|(id, _)| fallback.iter().any(|known| known.as_str() == id));
        let configs = configs.map(|(id, config)| (id.into_owned(), config.to_owned()));
        Some(Self {
            configs: configs.collect(),
            context: std::mem::take(&mut invocation.context),
            timeout: invocation.timeout,
            payload_bytes: invocation.payload.get().len(),
            metadata_bytes: invocation.metadata.map_or(0, |it| it.get().len()),
        })
    }

    /// The request's own config for the fallback `id`.
    pub(super) fn config(&self, id: &ExtensionId) -> Option<&RawValue> {
        let mut configs = self.configs.iter();
        configs.find_map(|(known, config)| (known == id.as_str()).then_some(&**config))
    }

    /// Whether the request is not too large for an extension with `limits`.
    pub(super) fn fits(&self, limits: &Limits) -> bool {
        self.payload_bytes <= limits.max_payload_bytes
            && self.metadata_bytes <= limits.max_metadata_bytes
    }
}

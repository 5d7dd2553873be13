//! Circuits as operators want them.

use std::future::Future;
use std::time::{Duration, Instant};

use super::StoreError;
use crate::domain::actor::Actor;
use crate::domain::extension::Incarnation;
use crate::domain::ids::{ExtensionId, VersionName};
use crate::domain::words::words;

words! {
    /// What an operator wants of a circuit.
    pub enum OverrideAction {
        /// Held open.
        Open = "open",
        /// Held closed.
        Close = "close",
        /// Overrides end, and the circuit begins anew: once, when it is first seen.
        Reset = "reset",
    }
}

/// An override in force, or a reset of the last ten minutes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Override {
    /// Of which extension.
    pub extension: ExtensionId,
    /// Which extension of the id it is; `None` where no source has given it.
    pub incarnation: Option<Incarnation>,
    /// Of which version.
    pub version: VersionName,
    /// What is wanted.
    pub action: OverrideAction,
    /// The number that it was written with, for a reader that must apply each once.
    pub change: u128,
    /// When it ends by itself.
    pub until: Option<Instant>,
}

/// An override that an operator orders.
#[derive(Debug)]
pub struct NewOverride {
    /// Of which extension.
    pub extension: ExtensionId,
    /// Which extension of the id it is; `None` where no source has given it.
    pub incarnation: Option<Incarnation>,
    /// Of which version.
    pub version: VersionName,
    /// What is wanted.
    pub action: OverrideAction,
    /// How long it holds; `None` until the next one. A reset has no length.
    pub ttl: Option<Duration>,
    /// Why, in the operator's words.
    pub reason: Option<String>,
    /// Its actor.
    pub actor: Actor,
}

/// Circuits forced by operators.
pub trait Overrides: Send + Sync + 'static {
    /// Writes one, audits it and notifies every sidecar; `false` when there is no such extension.
    /// It takes no revision. `change` is a fresh random number, repeated with a repeated attempt,
    /// which then does nothing.
    fn set_override(
        &self,
        new: &NewOverride,
        change: u128,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// All that are in force.
    fn overrides(&self) -> impl Future<Output = Result<Vec<Override>, StoreError>> + Send;
}

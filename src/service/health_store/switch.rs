//! Extensions taken out of service and back automatically, for the whole fleet.

use std::future::Future;
use std::time::Duration;

use super::StoreError;
use crate::domain::extension::Incarnation;
use crate::domain::ids::ExtensionId;

/// The result of an attempt to disable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AutoDisabled {
    /// Done, in this revision.
    Disabled(u64),
    /// As many as may be are auto-disabled.
    CapReached,
    /// Another sidecar saw it succeed within the last minute.
    SeenAlive,
    /// It is auto-disabled already, or disabled by an operator.
    AlreadyDisabled,
    /// There is no such extension, or another one of its id, or the version that failed is not its
    /// current one any more, or an operator holds its circuit.
    Gone,
}

/// Switching extensions for the whole fleet. Repeating a call is harmless.
pub trait AutoSwitch: Send + Sync + 'static {
    /// Takes an extension out of service, if at most `max_percent` of the enabled ones, but at
    /// least one, are then auto-disabled. `reason` is a JSON document for audit and event; the
    /// `version` in it has to be the current one still.
    fn auto_disable(
        &self,
        extension: &ExtensionId,
        incarnation: Option<Incarnation>,
        reason: &str,
        max_percent: u8,
    ) -> impl Future<Output = Result<AutoDisabled, StoreError>> + Send;

    /// Takes it back into service: in this revision, or not, where it was not auto-disabled, is gone,
    /// or is another one of its id; `reason` as above.
    fn auto_enable(
        &self,
        extension: &ExtensionId,
        incarnation: Option<Incarnation>,
        reason: &str,
    ) -> impl Future<Output = Result<Option<u64>, StoreError>> + Send;

    /// Takes or renews the right to probe, for `ttl` from before the call; `false` while another
    /// sidecar has it.
    fn take_probe_lease(
        &self,
        ttl: Duration,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Gives the right to probe back, if it is held.
    fn release_probe_lease(&self) -> impl Future<Output = Result<(), StoreError>> + Send;
}

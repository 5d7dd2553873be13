//! Ports: what the fleet shares through the database besides definitions.
//!
//! [`HealthReports`] adds what each sidecar counts to the fleet's sums, exactly once, through a
//! [`Ledger`](ledger::Ledger). [`Overrides`], [`AutoSwitch`] and [`Claims`] are the decisions that
//! hold for all: forced circuits, automatic disabling, probing, publishing.
//!
//! Moments are from this process's monotonic clock: a store carries them as ages, so clocks need
//! neither agree nor stay as they are set.

pub mod ledger;

use std::future::Future;
use std::time::{Duration, Instant, SystemTime};

use thiserror::Error;

use crate::domain::breaker::CircuitState;
use crate::domain::extension::Incarnation;
use crate::domain::health::HealthSums;
use crate::domain::ids::{ExtensionId, VersionName};
use crate::domain::words::words;
use crate::service::trouble::DatabaseError;

/// Why the store did not do what was asked. `Display` is fit for operators; no secrets.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum StoreError {
    /// Nothing was written.
    #[error(transparent)]
    Failed(#[from] DatabaseError),
    /// The connection broke before the answer: it may have been written, and may be repeated.
    #[error("{0}; it may have been written")]
    Unknown(DatabaseError),
}

impl StoreError {
    /// The trouble with the database.
    pub const fn database(&self) -> &DatabaseError {
        let (Self::Failed(error) | Self::Unknown(error)) = self;
        error
    }
}

/// A run of a sidecar as the store knows it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Boot(pub Box<str>);

/// What is known of one extension's calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Figures {
    /// Whose they are.
    pub extension: ExtensionId,
    /// Which extension of the id it is; `None` where no source has given it.
    pub incarnation: Option<Incarnation>,
    /// What was counted.
    pub sums: HealthSums,
}

/// What a flush reports of one extension.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The calls: in [`Flush`] those since the last flush, for the ledger all since the start.
    pub figures: Figures,
    /// When a call of our own last succeeded: what routers report is no proof of life to others.
    pub last_answer: Option<Instant>,
    /// Consecutive failures that open its circuit.
    pub failure_threshold: u32,
    /// Trial calls at a time while it is half open.
    pub half_open_max_requests: u32,
}

/// A circuit that a sidecar holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldCircuit {
    /// Whose it is.
    pub extension: ExtensionId,
    /// Which extension of the id it is; `None` where no source has given it.
    pub incarnation: Option<Incarnation>,
    /// Of which version.
    pub version: VersionName,
    /// Open or half open.
    pub state: CircuitState,
    /// When it opened.
    pub opened_at: Instant,
    /// From when on a trial is due.
    pub retry_at: Instant,
    /// Trial calls under way.
    pub half_open_requests: u32,
}

/// One flush; a heartbeat when there is nothing to report.
#[derive(Debug, Clone, Copy)]
pub struct Flush<'a> {
    /// Whose flush it is.
    pub boot: &'a Boot,
    /// One more than the number of the last flush written under the boot, from 1 on.
    pub sequence: u64,
    /// Time between flushes: after three without one, the sidecar's circuits no longer count.
    pub interval: Duration,
    /// What was counted since; at most [`MAX_REPORTS`], each extension once.
    pub reports: &'a [Report],
    /// All circuits held now; those beyond [`MAX_CIRCUITS`] are left out.
    pub circuits: &'a [HeldCircuit],
}

/// Most reports in one flush.
pub const MAX_REPORTS: usize = 1000;

/// Most circuits in one flush.
pub const MAX_CIRCUITS: usize = 10_000;

/// The last flush that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Its number.
    pub sequence: u64,
    /// The extensions it left out because they were locked; they count in a later one.
    pub held_back: Vec<ExtensionId>,
}

/// The result of a flush.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Flushed {
    /// It is written, now or by an earlier attempt.
    Written(Written),
    /// The boot had been silent for too long and was folded. This was its last flush; `None` when
    /// that is no longer known, after 7 days.
    Fenced(Option<Written>),
}

/// What a sidecar takes over when it starts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Restored {
    /// The fleet's figures.
    pub figures: Vec<Figures>,
    /// Circuits held by at least half of the sidecars that flushed within 3 intervals, at the time
    /// of the earliest trial of any; all as [`CircuitState::Open`].
    pub circuits: Vec<HeldCircuit>,
}

/// Health of the fleet. Every call is bounded in time.
pub trait HealthReports: Send + Sync + 'static {
    /// Begins a boot. Of one whose answer was lost nothing remains in the figures.
    fn register(&self, interval: Duration)
    -> impl Future<Output = Result<Boot, StoreError>> + Send;

    /// Writes a flush. Repeating it adds nothing.
    fn flush(&self, flush: Flush<'_>) -> impl Future<Output = Result<Flushed, StoreError>> + Send;

    /// The figures of all extensions without the share of `boot`; with `changed_within`, only the
    /// ones flushed by any sidecar in that time.
    fn others(
        &self,
        boot: &Boot,
        changed_within: Option<Duration>,
    ) -> impl Future<Output = Result<Vec<Figures>, StoreError>> + Send;

    /// What to start with, as of one moment, less what is of `boot`.
    fn restore(&self, boot: &Boot) -> impl Future<Output = Result<Restored, StoreError>> + Send;

    /// The sidecars that started or flushed within 3 of their intervals.
    fn alive(&self) -> impl Future<Output = Result<Sidecars, StoreError>> + Send;

    /// Folds boots that are long silent, brings the states of all extensions up to date, and forgets what
    /// has expired; answers how many were folded. To be called by any sidecar about once in an interval
    /// of flushes.
    fn tidy(&self) -> impl Future<Output = Result<u64, StoreError>> + Send;
}

/// Sidecars, as the store knows them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sidecars {
    /// How many there are.
    pub total: u64,
    /// Their instance ids in order, of the first [`MAX_NAMED`] of them.
    pub instance_ids: Vec<String>,
}

/// The most sidecars that are named; more are only counted.
pub const MAX_NAMED: usize = 50;

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
    /// The number of [`NewOverride::change`], for a reader that must apply each once.
    pub change: u128,
    /// When it ends by itself.
    pub until: Option<SystemTime>,
}

/// An override to be written.
#[derive(Debug, Clone, Copy)]
pub struct NewOverride<'a> {
    /// Of which extension.
    pub extension: &'a ExtensionId,
    /// Of which version.
    pub version: &'a VersionName,
    /// What is wanted.
    pub action: OverrideAction,
    /// A fresh random number; repeated with a repeated attempt, which then does nothing.
    pub change: u128,
    /// How long it holds; `None` until the next one. A reset has no length.
    pub ttl: Option<Duration>,
    /// Why, in the operator's words.
    pub reason: Option<&'a str>,
    /// Its actor: the audit's `changed_by`.
    pub actor: &'a str,
    /// How we know: the audit's `actor_source`.
    pub actor_source: &'a str,
}

/// Circuits forced by operators.
pub trait Overrides: Send + Sync + 'static {
    /// Writes one, audits it and notifies every sidecar; `false` when there is no such extension.
    /// It takes no revision.
    fn set_override(
        &self,
        new: NewOverride<'_>,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// All that are in force.
    fn overrides(&self) -> impl Future<Output = Result<Vec<Override>, StoreError>> + Send;
}

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
    /// There is no such extension, or another one of its id.
    Gone,
}

/// Switching extensions for the whole fleet. Repeating a call is harmless.
pub trait AutoSwitch: Send + Sync + 'static {
    /// Takes an extension out of service, if at most `max_percent` of the enabled ones, but at
    /// least one, are then auto-disabled. `reason` is a JSON document for audit and event.
    fn auto_disable(
        &self,
        extension: &ExtensionId,
        incarnation: Option<Incarnation>,
        reason: &str,
        max_percent: u8,
    ) -> impl Future<Output = Result<AutoDisabled, StoreError>> + Send;

    /// Takes it back into service: in this revision, or not, where it was not auto-disabled, is gone,
    /// or is another one of its id.
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

words! {
    /// What a change event reports.
    pub enum ChangeKind {
        /// The extension is new.
        Created = "extension_created",
        /// Its definition, a version or an instance changed.
        Updated = "extension_updated",
        /// It is gone.
        Deleted = "extension_deleted",
        /// An operator enabled it.
        Enabled = "extension_enabled",
        /// An operator disabled it.
        Disabled = "extension_disabled",
        /// It was auto-disabled.
        AutoDisabled = "auto_disabled",
        /// It was enabled again automatically.
        AutoEnabled = "auto_enabled",
        /// A version of it failed and lost its share.
        RolloutHalted = "rollout_halted",
    }
}

/// One change of one extension.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Whose; as found, which may break the rules of ids.
    pub extension: Box<str>,
    /// What.
    pub kind: ChangeKind,
    /// The names of the fields that changed; none for a creation or a deletion.
    pub fields: Vec<Box<str>>,
    /// Of an automatic change the reason, a JSON document.
    pub reason: Option<Box<str>>,
}

/// All changes of one revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevisionChanges {
    /// The revision.
    pub revision: u64,
    /// When they were made, by the database's clock, as the audit has it; `None` for a time that no
    /// event can write.
    pub at: Option<SystemTime>,
    /// How many changes it has.
    pub total: u64,
    /// How many of them made an extension.
    pub created: u64,
    /// How many of them deleted one.
    pub deleted: u64,
    /// Their actor.
    pub changed_by: Option<Box<str>>,
    /// The first of them, at most [`MAX_CHANGES`].
    pub changes: Vec<Change>,
}

/// The most changes published of one revision.
pub const MAX_CHANGES: usize = 100;

/// Revisions whose events are now ours alone to publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed {
    /// The last one claimed; lower than asked for when there are many: ask again.
    pub up_to: u64,
    /// Those that still have audit entries, in order.
    pub revisions: Vec<RevisionChanges>,
}

/// Events that are published once per fleet.
pub trait Claims: Send + Sync + 'static {
    /// Claims what is unclaimed up to `revision`, and reads its changes; `None` when there is
    /// nothing, or the database is of another epoch.
    ///
    /// At most once: events of a sidecar that dies between this answer and publishing are lost.
    fn claim(
        &self,
        epoch: &str,
        revision: u64,
    ) -> impl Future<Output = Result<Option<Claimed>, StoreError>> + Send;
}

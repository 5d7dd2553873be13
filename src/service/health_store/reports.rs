//! Health, to and from the fleet.

use std::future::Future;
use std::time::{Duration, Instant};

use super::StoreError;
use crate::domain::extension::Incarnation;
use crate::domain::health::HealthSums;
use crate::domain::ids::{ExtensionId, VersionName};
use crate::service::circuits::Listed;

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

/// An open circuit that a start takes over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldCircuit {
    /// Whose it is.
    pub extension: ExtensionId,
    /// Which extension of the id it is; `None` where no source has given it.
    pub incarnation: Option<Incarnation>,
    /// Of which version.
    pub version: VersionName,
    /// From when on a trial is due.
    pub retry_at: Instant,
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
    /// All circuits that are not closed now; those beyond [`MAX_CIRCUITS`] are left out.
    pub circuits: &'a [Listed],
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

    /// The circuits to start with: those held by at least half of the sidecars that flushed within
    /// 3 intervals, `boot` left out, at the time of the earliest trial of any.
    fn held(
        &self,
        boot: &Boot,
    ) -> impl Future<Output = Result<Vec<HeldCircuit>, StoreError>> + Send;

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

//! The state of this sidecar, gathered for `stats`.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::clock::Clock;
use super::fleet::Alive;
use super::health_store::Sidecars;
use super::invoke::{Runtimes, Summary};
use super::lookup::Lookups;
use super::meter::LookupMeter;
use super::observe::ListenerState;
use super::skipped::Skipped;
use super::status::{DatabaseState, LastReload, SourceMode, Status};
use crate::domain::catalog::{Catalog, Head};
use crate::domain::distinct::Distinct;
use crate::domain::quarantine::Quarantine;

/// Everything in `stats`.
#[derive(Debug)]
#[expect(
    missing_docs,
    reason = "each field is described in section 3.1 of the contract"
)]
pub struct Figures<'a> {
    pub mode: SourceMode,
    pub head: Arc<Head>,
    pub quarantine: Arc<Quarantine>,
    pub total: usize,
    pub enabled: usize,
    pub loads: u64,
    pub load_errors: u64,
    pub last_error: Option<String>,
    pub last_reload: Option<LastReload>,
    pub staleness: Option<Duration>,
    pub lookups: &'a LookupMeter,
    pub invocations: Summary,
    pub listener: ListenerState,
    pub database: DatabaseState,
    pub nats_up: bool,
    pub sidecars: Arc<Sidecars>,
    pub settings: &'a Distinct,
    pub instance_id: &'a str,
    pub started_at: SystemTime,
    pub uptime: Duration,
}

/// Gathers [`Figures`].
#[derive(Debug)]
pub struct Stats {
    catalog: Arc<Catalog>,
    status: Arc<Status>,
    lookups: Arc<Lookups>,
    runtimes: Arc<Runtimes>,
    skipped: Arc<Skipped>,
    alive: Alive,
    settings: Distinct,
    instance_id: String,
    started: Instant,
}

impl Stats {
    /// Statistics of a sidecar that starts now.
    pub fn new(
        catalog: Arc<Catalog>,
        status: Arc<Status>,
        lookups: Arc<Lookups>,
        runtimes: Arc<Runtimes>,
        skipped: Arc<Skipped>,
        settings: Distinct,
        instance_id: String,
    ) -> Self {
        let started = Instant::now();
        Self {
            catalog,
            status,
            lookups,
            runtimes,
            skipped,
            alive: Alive::default(),
            settings,
            instance_id,
            started,
        }
    }

    /// With what is known of the other sidecars.
    #[must_use]
    pub fn beside(self, alive: Alive) -> Self {
        Self { alive, ..self }
    }

    /// The name of this sidecar.
    pub fn instance_id(&self) -> &str {
        &self.instance_id
    }

    /// What distinguishes its settings from others'.
    pub fn settings(&self) -> &Distinct {
        &self.settings
    }

    /// When this sidecar started.
    pub fn started_at(&self) -> SystemTime {
        Clock::default().wall_of(self.started.into_std())
    }

    /// What is quarantined of the definitions, and what is skipped of the rest.
    fn quarantine(&self) -> Arc<Quarantine> {
        let definitions = self.catalog.quarantine();
        let skipped = self.skipped.faults();
        if skipped.is_empty() {
            return definitions;
        }
        Arc::new(Quarantine::new(
            definitions.faults().cloned().chain(skipped),
        ))
    }

    /// The figures now.
    pub fn figures(&self) -> Figures<'_> {
        let (total, enabled) = self.catalog.sizes();
        let (loads, load_errors, last_reload) = self.status.load_figures();
        Figures {
            mode: self.status.mode(),
            head: self.catalog.head(),
            quarantine: self.quarantine(),
            total,
            enabled,
            loads,
            load_errors,
            last_error: self.status.last_error(),
            last_reload,
            staleness: self.status.staleness(),
            lookups: &self.lookups.meter,
            invocations: self.runtimes.summary(),
            listener: self.status.listener(),
            database: self.status.database(),
            nats_up: self.status.nats_up(),
            sidecars: self.alive.sidecars(),
            settings: &self.settings,
            instance_id: &self.instance_id,
            started_at: self.started_at(),
            uptime: self.started.elapsed(),
        }
    }
}

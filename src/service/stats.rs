//! The state of this sidecar, for `stats`.

use std::sync::Arc;
use std::time::SystemTime;

use tokio::time::Instant;

use super::clock::Clock;
use super::fleet::Alive;
use super::invoke::Runtimes;
use super::lookup::Lookups;
use super::skipped::Skipped;
use super::status::Status;
use crate::domain::catalog::Catalog;
use crate::domain::distinct::Distinct;
use crate::domain::quarantine::Quarantine;

/// What `stats` reads.
#[derive(Debug)]
pub struct Stats {
    /// The definitions.
    pub catalog: Arc<Catalog>,
    /// Sources and links.
    pub status: Arc<Status>,
    /// The results of lookups.
    pub lookups: Arc<Lookups>,
    /// The outcomes of calls.
    pub runtimes: Arc<Runtimes>,
    /// Rows that are read without.
    pub skipped: Arc<Skipped>,
    /// The other sidecars.
    pub alive: Alive,
    /// What distinguishes its settings from others'.
    pub settings: Distinct,
    /// The name of this sidecar.
    pub instance_id: String,
    /// When it started.
    pub started: Instant,
}

impl Stats {
    /// When this sidecar started, by the wall clock as it is set now.
    pub fn started_at(&self) -> SystemTime {
        Clock::default().wall_of(self.started.into_std())
    }

    /// What is quarantined of the definitions, and what is skipped of the rest.
    pub fn quarantine(&self) -> Arc<Quarantine> {
        let definitions = self.catalog.quarantine();
        let skipped = self.skipped.faults();
        if skipped.is_empty() {
            return definitions;
        }
        Arc::new(Quarantine::new(
            definitions.faults().cloned().chain(skipped),
        ))
    }
}

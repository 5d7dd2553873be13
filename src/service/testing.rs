//! What tests of this layer share.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::circuits::Circuits;
use super::clock::Clock;
use super::fleet::Alive;
use super::invoke::{Limits, Runtimes, Tools};
use super::lookup::Lookups;
use super::observe::Observers;
use super::selection::Selector;
use super::stats::Stats;
use super::status::Status;
use crate::domain::breaker::Settings;
use crate::domain::catalog::Catalog;
use crate::domain::distinct::Distinct;

/// A selector whose circuits are all closed.
pub(crate) fn selector(catalog: Arc<Catalog>, environment: Option<String>) -> Selector {
    Selector {
        catalog,
        environment,
        circuits: Arc::default(),
        health_routing: true,
        min_success_rate: 0.8,
        clock: Clock::default(),
    }
}

/// What calls need, around `catalog`; without observers. A circuit opens at the second failure in a
/// row, for 10 ms; a success rate counts from the second call on.
pub(crate) fn tools(catalog: Arc<Catalog>) -> Tools {
    let breaker = Settings {
        enabled: true,
        failure_threshold: 2,
        error_rate_threshold: 1.0,
        window: Duration::from_secs(60),
        minimum_requests: 2,
        slow_calls: None,
        open_time: Duration::from_millis(10),
        max_open_time: Duration::from_millis(10),
        half_open_max_requests: 3,
        trial_limit: Duration::from_secs(60),
    };
    let (circuits, clock) = (Arc::<Circuits>::default(), Clock::default());
    let defaults = Limits {
        max_payload_bytes: 1000,
        max_metadata_bytes: 1000,
        max_in_flight: 10,
        breaker,
    };
    Tools {
        selector: Arc::new(Selector {
            catalog,
            environment: None,
            circuits: Arc::clone(&circuits),
            health_routing: true,
            min_success_rate: 0.8,
            clock,
        }),
        runtimes: Arc::new(Runtimes::new(defaults)),
        circuits,
        clock,
        observers: Observers::new(Vec::new()),
        spans: Default::default(),
    }
}

/// The figures of a sidecar that nobody has asked for anything.
pub(crate) fn stats(tools: &Tools, status: Status) -> Stats {
    Stats {
        catalog: Arc::clone(tools.selector.catalog()),
        status: Arc::new(status),
        lookups: Arc::new(Lookups::new(Arc::clone(&tools.selector))),
        runtimes: Arc::clone(&tools.runtimes),
        skipped: Arc::default(),
        alive: Alive::default(),
        settings: Distinct::default(),
        instance_id: "test".to_owned(),
        started: Instant::now(),
    }
}

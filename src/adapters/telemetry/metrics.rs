//! The metrics, in the text formats of OpenMetrics and Prometheus.
//!
//! Rare events are counted as they are observed; everything else is read from where it lives at
//! each scrape ([`Sources`]). Counters get their `_total`, and `build` its `_info`, from the
//! encoder. A labelled series begins with its first count.

use std::time::SystemTime;

use prometheus_client::encoding::text as open_metrics;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Metric, Registry};
use tracing::error;

pub use super::collector::Sources;
use super::page::help;
use super::text;
use crate::service::observe::{DropReason, Load, Observation, Observer};

/// Everything that can be scraped.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    observer: MetricsObserver,
}

/// Counts observations.
#[derive(Debug, Clone)]
pub struct MetricsObserver {
    sync_duration: Histogram,
    sync_errors: Counter,
    slow_consumer: Counter,
    flush_errors: Counter,
    overloaded: Counter,
    panics: Counter,
    nats_restarts: Counter,
    auto_disabled: Counter,
    rollouts_halted: Counter,
    dropped: Family<[(&'static str, &'static str); 1], Counter>,
}

impl Metrics {
    /// The metrics of one process.
    pub fn new(sources: Sources) -> Self {
        let mut registry = Registry::default();
        let observer = MetricsObserver::new(&mut registry);
        registry.register_collector(Box::new(sources));
        let build = Info::new([
            ("version", env!("CARGO_PKG_VERSION")),
            ("os", std::env::consts::OS),
            ("arch", std::env::consts::ARCH),
        ]);
        registry.register("build", help("build"), build);
        // The name that all client libraries use: another value is a restart.
        let start = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        let name = "process_start_time_seconds";
        registry.register(name, help(name), ConstGauge::new(start.as_secs_f64()));
        Self { registry, observer }
    }

    /// The observer that counts for these metrics.
    pub fn observer(&self) -> MetricsObserver {
        self.observer.clone()
    }

    /// All metrics as OpenMetrics text.
    pub fn render(&self) -> String {
        let mut page = String::new();
        if open_metrics::encode(&mut page, &self.registry).is_err() {
            // Writing to a string fails only if a metric fails, which is a bug.
            error!("metrics cannot be encoded");
        }
        page
    }

    /// All metrics as Prometheus text 0.0.4.
    pub fn render_text(&self) -> String {
        text::from_open_metrics(&self.render())
    }
}

fn register<M: Metric + Clone>(registry: &mut Registry, name: &str, metric: M) -> M {
    registry.register(name, help(name), metric.clone());
    metric
}

impl MetricsObserver {
    fn new(registry: &mut Registry) -> Self {
        // 0.5 ms to 8 s: one row of a database near by, up to 100,000 rows of a remote one.
        let sync_duration = Histogram::new(exponential_buckets(0.0005, 2.0, 15));
        let name = "extension_registry_sync_duration_seconds";
        let sync_duration = register(registry, name, sync_duration);
        let mut counter = |name: &str| register(registry, name, Counter::default());
        Self {
            sync_duration,
            sync_errors: counter("extension_registry_sync_errors"),
            slow_consumer: counter("extension_registry_slow_consumer"),
            flush_errors: counter("extension_registry_flush_errors"),
            overloaded: counter("extension_registry_overloaded"),
            rollouts_halted: counter("extension_registry_rollouts_halted"),
            panics: counter("extension_registry_panics"),
            nats_restarts: counter("extension_registry_nats_restarts"),
            auto_disabled: counter("extension_health_auto_disabled"),
            dropped: register(
                registry,
                "extension_registry_dropped_requests",
                Family::default(),
            ),
        }
    }

    fn dropped(&self, reason: DropReason) {
        let labels = [("reason", reason.as_str())];
        self.dropped.get_or_create(&labels).inc();
    }
}

impl Observer for MetricsObserver {
    fn observe(&self, observation: &Observation) {
        let counter = match observation {
            Observation::Loaded(Load { duration, .. }) | Observation::Unchanged(duration) => {
                return self.sync_duration.observe(duration.as_secs_f64());
            }
            Observation::LoadFailed { .. } => &self.sync_errors,
            Observation::SlowConsumer(_) => &self.slow_consumer,
            Observation::FlushFailed(_) => &self.flush_errors,
            Observation::Overloaded(_) => &self.overloaded,
            Observation::RolloutHalted { .. } => &self.rollouts_halted,
            Observation::Panicked => &self.panics,
            Observation::NatsRestarted(_) => &self.nats_restarts,
            Observation::Dropped { reason, .. } => return self.dropped(*reason),
            Observation::AutoSwitched { disabled: true, .. } => &self.auto_disabled,
            // Dropped events are counted where they are dropped: see `Sources`.
            _ => return,
        };
        counter.inc();
    }
}

#[cfg(test)]
#[path = "metrics_tests.rs"]
mod tests;

//! The answer to a scrape: metrics made at that moment.
//!
//! A family without series leaves no trace, not even its description.

use std::fmt::Error;

use prometheus_client::encoding::{
    DescriptorEncoder, EncodeLabelSet, EncodeMetric, MetricEncoder, NoLabelSet,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

/// Each metric with its description.
const HELP: &str = "\
build The running version
extension_auto_disabled Whether the extension is auto-disabled
extension_cancelled Cancellations sent to the extension
extension_circuit_breaker_failures Attempts that failed
extension_circuit_breaker_recoveries Times that a trial call closed the circuit
extension_circuit_breaker_state State of the circuit: 0 closed, 1 open, 2 half-open
extension_fallbacks Calls of the extension that went to a fallback
extension_health_auto_disabled Extensions that this sidecar auto-disabled
extension_health_avg_latency_ms Mean latency of this sidecar's calls, in milliseconds
extension_health_success_rate Share of successes among this sidecar's calls, 0 to 1
extension_invocation_duration_seconds From the receipt of an invocation to its answer
extension_invocation_retries Attempts after the first
extension_invocations Invocations, by outcome
extension_invocations_in_flight Invocations under way
extension_pushed_back Attempts that the extension pushed back as busy
extension_registry_database_up Whether the last read of the database succeeded
extension_registry_dropped_requests Requests that could not be answered
extension_registry_enabled_count Extensions enabled by an operator
extension_registry_events_dropped Events that could not be published
extension_registry_flush_errors Exchanges of health with the database that failed
extension_registry_listener_up Whether notifications of changes arrive
extension_registry_log_lines_dropped Log lines dropped because the reader was too slow
extension_registry_lookup_duration_seconds From the receipt of a lookup to its answer, within the process
extension_registry_lookups Ids looked up, by result
extension_registry_nats_restarts Connections to NATS reopened because their thread panicked
extension_registry_nats_up Whether every connection to NATS is up
extension_registry_overloaded Requests refused because of too much at once
extension_registry_panics Panics that cost one request or one turn of a loop; each is a bug
extension_registry_quarantined Rows, files and entries quarantined or skipped as faulty
extension_registry_revision Last revision applied; 0 for fixtures
extension_registry_rollouts_halted Rollouts that this sidecar halted: the version failed more often than the current one
extension_registry_size Extensions in the catalog
extension_registry_slow_consumer Extension replies dropped because earlier ones were not read in time
extension_registry_staleness_seconds Time since the database last confirmed the data
extension_registry_sync_duration_seconds How long reading and applying data took
extension_registry_sync_errors Loads that failed
process_start_time_seconds When this process started, in Unix time";

/// The description of the metric `name`.
pub(super) fn help(name: &str) -> &'static str {
    let mut all = HELP.lines().filter_map(|line| line.split_once(' '));
    let found = all.find(|(known, _)| *known == name);
    found.map_or("", |(_, help)| help)
}

/// The page that a scrape gets.
pub(super) struct Page<'a>(pub(super) DescriptorEncoder<'a>);

impl Page<'_> {
    pub(super) fn gauge<T>(&mut self, name: &str, value: T) -> Result<(), Error>
    where
        ConstGauge<T>: EncodeMetric,
    {
        self.metric(name, ConstGauge::new(value))
    }

    pub(super) fn gauges<L: EncodeLabelSet, T>(
        &mut self,
        name: &str,
        values: impl IntoIterator<Item = (L, T)>,
    ) -> Result<(), Error>
    where
        ConstGauge<T>: EncodeMetric,
    {
        let series = values.into_iter();
        let series = series.map(|(labels, value)| (labels, ConstGauge::new(value)));
        self.family(name, series)
    }

    pub(super) fn counter(&mut self, name: &str, count: u64) -> Result<(), Error> {
        self.metric(name, ConstCounter::new(count))
    }

    pub(super) fn counters<L: EncodeLabelSet>(
        &mut self,
        name: &str,
        counts: impl IntoIterator<Item = (L, u64)>,
    ) -> Result<(), Error> {
        let series = counts.into_iter();
        let series = series.map(|(labels, count)| (labels, ConstCounter::new(count)));
        self.family(name, series)
    }

    pub(super) fn metric(&mut self, name: &str, metric: impl EncodeMetric) -> Result<(), Error> {
        let (page, kind) = (&mut self.0, metric.metric_type());
        metric.encode(page.encode_descriptor(name, help(name), None, kind)?)
    }

    pub(super) fn family<L: EncodeLabelSet>(
        &mut self,
        name: &str,
        series: impl IntoIterator<Item = (L, impl EncodeMetric)>,
    ) -> Result<(), Error> {
        let mut series = series.into_iter().peekable();
        let Some((_, first)) = series.peek() else {
            return Ok(());
        };
        let kind = first.metric_type();
        let mut encoder = self.0.encode_descriptor(name, help(name), None, kind)?;
        for (labels, metric) in series {
            metric.encode(encoder.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

/// A histogram at one moment.
pub(super) struct ConstHistogram {
    sum: f64,
    count: u64,
    buckets: Vec<(f64, u64)>,
}

impl ConstHistogram {
    /// Of durations: their sum in seconds, and upper bounds in seconds, each with the durations in
    /// that bucket alone. The last bound is infinite, whatever its value.
    pub(super) fn of_seconds(sum: f64, mut buckets: Vec<(f64, u64)>) -> Self {
        if let Some((bound, _)) = buckets.last_mut() {
            *bound = f64::INFINITY;
        }
        Self {
            sum,
            count: buckets.iter().map(|(_, count)| count).sum(),
            buckets,
        }
    }

    /// How many durations it has.
    pub(super) fn count(&self) -> u64 {
        self.count
    }
}

impl EncodeMetric for &ConstHistogram {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), Error> {
        encoder.encode_histogram::<NoLabelSet>(self.sum, self.count, &self.buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}

/// The first metric of a page that has no description.
#[cfg(test)]
pub(super) fn undescribed(page: &str) -> Option<&str> {
    let mut help = page.lines().filter(|line| line.starts_with("# HELP "));
    help.find(|line| line.trim_end_matches(['.', ' ']).split(' ').count() < 4)
}

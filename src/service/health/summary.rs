//! All extensions together.

use std::time::Duration;

use super::standing::{Condition, Standing};

/// How all extensions are doing. Averages are over the extensions that have the figure, each
/// counting once however often it is called; `None` where none has it.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Summary {
    /// Extensions: the healthy, the unhealthy and the half-open ones.
    pub total: usize,
    /// Extensions that are enabled.
    pub enabled: usize,
    /// [`Condition::Healthy`] ones.
    pub healthy: usize,
    /// [`Condition::Unhealthy`] ones.
    pub unhealthy: usize,
    /// [`Condition::HalfOpen`] ones.
    pub half_open: usize,
    /// Mean success rate, 0 to 1.
    pub avg_success_rate: Option<f64>,
    /// Mean of the average latencies.
    pub avg_latency: Option<Duration>,
    /// Mean of the 95th percentiles.
    pub avg_p95_latency: Option<Duration>,
}

/// A summary in the making.
#[derive(Debug, Default)]
pub(super) struct Sums {
    counts: Summary,
    success_rate: Mean,
    latency_seconds: Mean,
    p95_seconds: Mean,
}

#[derive(Debug, Default)]
struct Mean {
    sum: f64,
    count: u32,
}

impl Mean {
    fn add(&mut self, value: Option<f64>) {
        if let Some(value) = value {
            self.sum += value;
            self.count += 1;
        }
    }

    fn value(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum / f64::from(self.count))
    }

    fn duration(&self) -> Option<Duration> {
        Duration::try_from_secs_f64(self.value()?).ok()
    }
}

impl Sums {
    /// Counts one extension.
    pub(super) fn add(&mut self, standing: &Standing) {
        let counts = &mut self.counts;
        counts.total += 1;
        *match standing.condition() {
            Condition::Healthy => &mut counts.healthy,
            Condition::Unhealthy => &mut counts.unhealthy,
            Condition::HalfOpen => &mut counts.half_open,
        } += 1;
        let latency = standing.sums.avg_latency();
        self.success_rate.add(standing.success_rate);
        let seconds = |latency: Duration| latency.as_secs_f64();
        self.latency_seconds.add(latency.map(seconds));
        self.p95_seconds.add(standing.p95.map(seconds));
    }

    /// The outcomes of all `total` extensions: what was not added is healthy.
    pub(super) fn summary(self, total: usize, enabled: usize) -> Summary {
        let others = total.saturating_sub(self.counts.total);
        Summary {
            total,
            enabled,
            healthy: self.counts.healthy + others,
            avg_success_rate: self.success_rate.value(),
            avg_latency: self.latency_seconds.duration(),
            avg_p95_latency: self.p95_seconds.duration(),
            ..self.counts
        }
    }
}

//! What callers of one extension got, for metrics.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::domain::words::words;
use crate::service::meter::Counter;

/// Upper bounds of the duration histogram, in milliseconds: doubling to 1 s, then fourfold to 65 s. They
/// are most of what a scrape of ten thousand extensions weighs.
const BOUNDS_MS: [u64; 14] = [
    1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096, 16_384, 65_536,
];

words! {
    /// The outcome of an invocation.
    pub enum Status {
        /// The extension answered.
        Success = "success",
        /// It failed.
        Failure = "failure",
        /// It did not answer in time.
        Timeout = "timeout",
        /// Neutral for the extension.
        Neutral = "neutral",
        /// It pushed back as busy, or rests since it did.
        PushedBack = "pushed_back",
        /// The call was cancelled.
        Cancelled = "cancelled",
        /// Its circuit let nothing pass.
        Rejected = "rejected",
        /// Too many calls at once.
        Overloaded = "overloaded",
    }
}

/// Counts by status.
#[derive(Debug, Default)]
pub(super) struct Statuses([AtomicU64; Status::ALL.len()]);

impl Statuses {
    pub(super) fn count(&self, status: Status) {
        if let Some(counter) = self.0.get(status as usize) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn all(&self) -> impl Iterator<Item = (Status, u64)> {
        let counts = self.0.iter().map(|count| count.load(Ordering::Relaxed));
        Status::ALL.into_iter().zip(counts)
    }
}

/// Counters of one extension.
#[derive(Debug, Default)]
pub struct InvocationMeter {
    pub(super) statuses: Statuses,
    /// Attempts after the first.
    pub retries: Counter,
    /// Calls that went to a fallback instead, or as well.
    pub fallbacks: Counter,
    /// Cancellations sent to it.
    pub cancelled: Counter,
}

/// Counters of one version.
#[derive(Debug, Default)]
pub struct DurationMeter {
    statuses: Statuses,
    buckets: [AtomicU64; BOUNDS_MS.len()],
    overflow: AtomicU64,
    sum_us: AtomicU64,
}

impl DurationMeter {
    /// Counts an invocation and the time that it took as a whole.
    pub(super) fn record(&self, status: Status, took: Duration) {
        self.statuses.count(status);
        let bucket = BOUNDS_MS
            .iter()
            .position(|bound| took <= Duration::from_millis(*bound));
        let bucket = bucket
            .and_then(|i| self.buckets.get(i))
            .unwrap_or(&self.overflow);
        bucket.fetch_add(1, Ordering::Relaxed);
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.sum_us.fetch_add(us, Ordering::Relaxed);
    }

    /// Invocations by status; only those that have happened.
    pub fn statuses(&self) -> impl Iterator<Item = (Status, u64)> {
        self.statuses.all().filter(|(_, count)| *count > 0)
    }

    /// Sum in seconds, and each bucket's upper bound in seconds with the count in it alone.
    #[expect(
        clippy::cast_precision_loss,
        reason = "a metric needs no more than 53 bits"
    )]
    pub fn durations(&self) -> (f64, Vec<(f64, u64)>) {
        let finite = BOUNDS_MS
            .iter()
            .zip(&self.buckets)
            .map(|(bound, count)| (*bound as f64 / 1e3, count.load(Ordering::Relaxed)));
        let overflow = (f64::MAX, self.overflow.load(Ordering::Relaxed));
        let sum = self.sum_us.load(Ordering::Relaxed) as f64 / 1e6;
        (sum, finite.chain([overflow]).collect())
    }
}

/// Invocations of all extensions together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// By status, in the order of [`Status::ALL`].
    statuses: [u64; Status::ALL.len()],
    /// Attempts after the first.
    pub retries: u64,
    /// Calls under way.
    pub in_flight: usize,
}

impl Summary {
    /// How many had `status`.
    pub fn of(&self, status: Status) -> u64 {
        let count = self.statuses.get(status as usize);
        count.copied().unwrap_or_default()
    }

    /// Adds what one extension's callers got.
    pub(super) fn add(&mut self, meter: &InvocationMeter, in_flight: usize) {
        for (sum, (_, count)) in self.statuses.iter_mut().zip(meter.statuses.all()) {
            *sum += count;
        }
        self.retries += meter.retries.get();
        self.in_flight += in_flight;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_call_has_one_status_and_one_bucket_whose_bound_it_does_not_exceed() {
        let meter = DurationMeter::default();
        assert_eq!(
            meter.statuses().count(),
            0,
            "no series before the first call"
        );
        let micros = Duration::from_micros;
        for (status, took) in [
            (Status::Success, micros(0)),
            (Status::Success, micros(1000)),
            (Status::Failure, micros(1001)),
            (Status::Timeout, micros(65_536_000)),
            (Status::Overloaded, micros(65_536_001)),
        ] {
            meter.record(status, took);
        }
        let statuses: Vec<_> = meter.statuses().map(|(s, n)| (s.as_str(), n)).collect();
        let expected = [
            ("success", 2),
            ("failure", 1),
            ("timeout", 1),
            ("overloaded", 1),
        ];
        assert_eq!(statuses, expected);
        let (sum, buckets) = meter.durations();
        assert!((sum - 131.074_002).abs() < 1e-6, "{sum}");
        let filled: Vec<_> = buckets
            .into_iter()
            .filter(|(_, count)| *count > 0)
            .collect();
        assert_eq!(filled, [(0.001, 2), (0.002, 1), (65.536, 1), (f64::MAX, 1)]);
    }

    #[test]
    fn a_summary_adds_up() {
        let (a, b) = (InvocationMeter::default(), InvocationMeter::default());
        a.statuses.count(Status::Success);
        for meter in [&a, &b] {
            meter.statuses.count(Status::Rejected);
            meter.retries.add(1);
        }
        let mut summary = Summary::default();
        summary.add(&a, 2);
        summary.add(&b, 3);
        let expected = Summary {
            statuses: [1, 0, 0, 0, 0, 0, 2, 0],
            retries: 2,
            in_flight: 5,
        };
        assert_eq!(summary, expected);
    }
}

//! Counters of what happens thousands of times a second: relaxed atomics, read when asked for.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A counter.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

/// One that one part writes and another reads.
pub type Count = Arc<Counter>;

impl Counter {
    /// Counts `more`.
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// The count now.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Upper bounds of the histogram's buckets, in nanoseconds: 250 ns to 16 ms, doubling.
const BOUNDS_NS: [u64; 17] = [
    250, 500, 1000, 2000, 4000, 8000, 16_000, 32_000, 64_000, 128_000, 256_000, 512_000, 1_024_000,
    2_048_000, 4_096_000, 8_192_000, 16_384_000,
];

/// A histogram of durations without a lock.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [AtomicU64; BOUNDS_NS.len()],
    overflow: AtomicU64,
    sum_ns: AtomicU64,
}

impl Histogram {
    /// Adds one duration.
    pub fn record(&self, duration: Duration) {
        let ns = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let bucket = BOUNDS_NS.iter().position(|bound| ns <= *bound);
        let counter = bucket
            .and_then(|i| self.buckets.get(i))
            .unwrap_or(&self.overflow);
        counter.fetch_add(1, Ordering::Relaxed);
        self.sum_ns.fetch_add(ns, Ordering::Relaxed);
    }

    /// The sum of all durations, in seconds; and of each bucket the upper bound in seconds (the last is
    /// infinite) and the durations in it alone.
    #[expect(
        clippy::cast_precision_loss,
        reason = "a metric needs no more than 53 bits"
    )]
    pub fn figures(&self) -> (f64, Vec<(f64, u64)>) {
        let finite = BOUNDS_NS
            .iter()
            .zip(&self.buckets)
            .map(|(bound, count)| (*bound as f64 / 1e9, count.load(Ordering::Relaxed)));
        let overflow = (f64::MAX, self.overflow.load(Ordering::Relaxed));
        let sum = self.sum_ns.load(Ordering::Relaxed) as f64 / 1e9;
        (sum, finite.chain([overflow]).collect())
    }
}

/// The results of lookups.
#[derive(Debug, Default)]
pub struct LookupMeter {
    /// Ids answered with a record.
    pub hits: Counter,
    /// Ids that no source knows.
    pub misses: Counter,
    /// Ids that exist but do not serve the request: disabled, not targeted, quarantined.
    pub refused: Counter,
    /// From the receipt of a request to its answer, within the process.
    pub duration: Histogram,
}

impl LookupMeter {
    /// Hits among the ids that a source knows or no source knows; `None` before the first.
    #[expect(
        clippy::cast_precision_loss,
        reason = "a ratio needs no more than 53 bits"
    )]
    pub fn hit_rate(&self) -> Option<f64> {
        let (hits, misses) = (self.hits.get(), self.misses.get());
        (hits + misses > 0).then(|| hits as f64 / (hits + misses) as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_counts_in_the_first_bucket_that_holds_it() {
        let histogram = Histogram::default();
        for ns in [0, 250, 251, 500, 16_384_000, 16_384_001] {
            histogram.record(Duration::from_nanos(ns));
        }
        let (sum, buckets) = histogram.figures();
        let filled: Vec<_> = buckets.iter().filter(|(_, count)| *count > 0).collect();
        assert_eq!(
            filled,
            [&(250e-9, 2), &(500e-9, 2), &(0.016_384, 1), &(f64::MAX, 1)]
        );
        assert!((sum - 0.032_769_002).abs() < 1e-12);
        assert!(buckets.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }

    #[test]
    fn refusals_are_neither_hits_nor_misses() {
        let meter = LookupMeter::default();
        assert_eq!(meter.hit_rate(), None, "no figure before the first lookup");
        meter.refused.add(1);
        assert_eq!(meter.hit_rate(), None);
        for _ in 0..3 {
            meter.hits.add(1);
        }
        meter.misses.add(1);
        let counted = [&meter.hits, &meter.misses, &meter.refused];
        assert_eq!(counted.map(Counter::get), [3, 1, 1]);
        assert_eq!(meter.hit_rate(), Some(0.75));
    }
}

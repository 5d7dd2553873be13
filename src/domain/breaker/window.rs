//! Calls, failures and slow calls of the last while, in constant space.
//!
//! The window is cut into [`BUCKETS`] aligned to the clock's origin, so it covers between eleven
//! and twelve twelfths of its length.

use std::time::Duration;

use super::tick::Tick;

/// Buckets per window: how finely old calls drop out.
pub(super) const BUCKETS: u64 = 12;

/// What was counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Counts {
    pub(super) calls: u32,
    pub(super) failures: u32,
    pub(super) slow: u32,
}

impl Counts {
    fn add(&mut self, other: Self) {
        self.calls = self.calls.saturating_add(other.calls);
        self.failures = self.failures.saturating_add(other.failures);
        self.slow = self.slow.saturating_add(other.slow);
    }

    /// Failures per call; `None` before the first call.
    pub(super) fn error_rate(self) -> Option<f64> {
        self.rate(self.failures)
    }

    /// Calls that did not fail per call; `None` before the first call.
    pub(super) fn success_rate(self) -> Option<f64> {
        self.rate(self.calls.saturating_sub(self.failures))
    }

    /// Slow calls per call; `None` before the first call.
    pub(super) fn slow_rate(self) -> Option<f64> {
        self.rate(self.slow)
    }

    /// A quotient, because 3 of 10 then is exactly the 0.3 that was written as a threshold.
    fn rate(self, part: u32) -> Option<f64> {
        (self.calls > 0).then(|| f64::from(part) / f64::from(self.calls))
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Bucket {
    /// Which stretch of time it counts, in bucket lengths since the origin.
    number: u64,
    counts: Counts,
    /// When the first of its failures came: milliseconds since its begin and 1 more; 0 for never.
    failed_ms: u32,
}

/// A rolling window.
#[derive(Debug, Clone)]
pub(super) struct Window {
    pub(super) length: Duration,
    ring: [Bucket; BUCKETS as usize],
}

impl Window {
    /// An empty window of `length`.
    pub(super) fn new(length: Duration) -> Self {
        Self {
            length,
            ring: Default::default(),
        }
    }

    /// Counts one call at `now`.
    pub(super) fn count(&mut self, now: Tick, failed: bool, slow: bool) {
        let number = self.number(now);
        let slot = usize::try_from(number % BUCKETS).unwrap_or_default();
        let begin = self.begin(number);
        let Some(bucket) = self.ring.get_mut(slot) else {
            return;
        };
        if bucket.number != number {
            *bucket = Bucket {
                number,
                ..Bucket::default()
            };
        }
        if failed && bucket.failed_ms == 0 {
            let since = now.elapsed().saturating_sub(begin);
            let ms = u32::try_from(since.as_millis()).unwrap_or(u32::MAX);
            bucket.failed_ms = ms.saturating_add(1);
        }
        bucket.counts.add(Counts {
            calls: 1,
            failures: u32::from(failed),
            slow: u32::from(slow),
        });
    }

    /// What the window holds at `now`.
    pub(super) fn counts(&self, now: Tick) -> Counts {
        let current = self.number(now);
        let mut sum = Counts::default();
        for bucket in self.held(current) {
            sum.add(bucket.counts);
        }
        sum
    }

    /// When the earliest failure came that it holds at `now`, to the millisecond.
    pub(super) fn first_failure(&self, now: Tick) -> Option<Tick> {
        let held = self.held(self.number(now));
        let failed = held.filter(|bucket| bucket.failed_ms > 0);
        let first = failed.min_by_key(|bucket| bucket.number)?;
        let since = Duration::from_millis(u64::from(first.failed_ms) - 1);
        Some(Tick::at(self.begin(first.number).saturating_add(since)))
    }

    fn held(&self, current: u64) -> impl Iterator<Item = &Bucket> {
        let is_held = move |it: &&Bucket| current.saturating_sub(it.number) < BUCKETS;
        self.ring.iter().filter(is_held)
    }

    fn number(&self, now: Tick) -> u64 {
        u64::try_from(now.elapsed().as_nanos() / self.width()).unwrap_or(u64::MAX)
    }

    /// When a bucket begins, since the origin.
    fn begin(&self, number: u64) -> Duration {
        let nanos = self.width().saturating_mul(number.into());
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    fn width(&self) -> u128 {
        (self.length.as_nanos() / u128::from(BUCKETS)).max(1)
    }
}

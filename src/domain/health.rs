//! The health of one extension: what this sidecar counted since it started, and the fleet's sums.
//!
//! Everything here is recorded with a few relaxed atomic additions. Counts only grow, so they can be
//! flushed as absolute values of this boot: a flush that is repeated adds nothing. A reader may,
//! while others record, see a call's count before its latency; the next reading has both.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::latency::{LatencyHistogram, microseconds};
use super::lock::locked;
use super::words::words;

/// The health of one extension as this sidecar sees it. Made at the first call: about 2 to 4 kB,
/// nearly all of it the histogram.
#[derive(Debug)]
pub struct ExtensionHealth {
    /// Successes and failures.
    pub outcomes: Outcomes,
    /// When counting began.
    start: Instant,
    /// Microseconds since the start, at least 1; 0 for never.
    last_success_us: AtomicU64,
    /// The same of our own attempts, reports left out.
    last_answer_us: AtomicU64,
    last_failure_us: AtomicU64,
    latency_sum_us: AtomicU64,
    latency_count: AtomicU64,
    latency: LatencyHistogram,
}

impl ExtensionHealth {
    /// Health before the first call.
    pub fn new(now: Instant) -> Self {
        Self {
            outcomes: Outcomes::default(),
            start: now,
            last_success_us: AtomicU64::default(),
            last_answer_us: AtomicU64::default(),
            last_failure_us: AtomicU64::default(),
            latency_sum_us: AtomicU64::default(),
            latency_count: AtomicU64::default(),
            latency: LatencyHistogram::new(now),
        }
    }

    /// When counting began: another moment means other counts.
    pub fn began(&self) -> Instant {
        self.start
    }

    /// Counts a success at `now`; `latency` where it is known.
    pub fn succeeded(&self, latency: Option<Duration>, now: Instant) {
        self.outcomes.succeeded();
        self.last_success_us
            .fetch_max(self.since_start_us(now), Ordering::Relaxed);
        self.took(latency, now);
    }

    /// Notes that an attempt of our own succeeded at `now`.
    pub fn answered(&self, now: Instant) {
        self.last_answer_us
            .fetch_max(self.since_start_us(now), Ordering::Relaxed);
    }

    /// When an attempt of our own last succeeded.
    pub fn last_answer(&self) -> Option<Instant> {
        self.moment(self.last_answer_us.load(Ordering::Relaxed))
    }

    /// Counts a failure at `now`; `latency` where one was measured, which is not the case when
    /// there was no subscriber.
    pub fn failed(&self, latency: Option<Duration>, now: Instant) {
        self.outcomes.failed();
        self.last_failure_us
            .fetch_max(self.since_start_us(now), Ordering::Relaxed);
        self.took(latency, now);
    }

    /// Latencies of the last one to two minutes.
    pub fn latency(&self) -> &LatencyHistogram {
        &self.latency
    }

    /// The sums of this boot.
    pub fn sums(&self) -> HealthSums {
        HealthSums {
            counts: self.outcomes.counts(),
            latency_sum_us: self.latency_sum_us.load(Ordering::Relaxed),
            latency_count: self.latency_count.load(Ordering::Relaxed),
            last_success: self.moment(self.last_success_us.load(Ordering::Relaxed)),
            last_failure: self.moment(self.last_failure_us.load(Ordering::Relaxed)),
        }
    }

    fn since_start_us(&self, now: Instant) -> u64 {
        microseconds(now.saturating_duration_since(self.start)).max(1)
    }

    fn moment(&self, since_start_us: u64) -> Option<Instant> {
        let since_start = Some(since_start_us).filter(|us| *us > 0);
        self.start.checked_add(Duration::from_micros(since_start?))
    }

    fn took(&self, latency: Option<Duration>, now: Instant) {
        if let Some(latency) = latency {
            self.latency_sum_us
                .fetch_add(microseconds(latency), Ordering::Relaxed);
            self.latency_count.fetch_add(1, Ordering::Relaxed);
            self.latency.record(latency, now);
        }
    }
}

/// Successes and failures, of a boot, a fleet or a rolling window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Attempts that succeeded.
    pub successes: u64,
    /// Attempts that failed.
    pub failures: u64,
}

impl Counts {
    /// Successes and failures together.
    pub const fn total(self) -> u64 {
        self.successes.saturating_add(self.failures)
    }

    /// The share of successes, 0 to 1; `None` before the first call, which is not 0.
    #[expect(
        clippy::cast_precision_loss,
        reason = "a ratio needs no more than 53 bits"
    )]
    pub fn success_rate(self) -> Option<f64> {
        let total = self.total();
        (total > 0).then(|| self.successes as f64 / total as f64)
    }
}

/// Counters of outcomes. They only grow: a success rate is of what came since the last reset.
#[derive(Debug, Default)]
pub struct Outcomes {
    successes: AtomicU64,
    failures: AtomicU64,
    /// The counts at the last reset, if there was one.
    before: Mutex<Option<Counts>>,
}

impl Outcomes {
    /// Counts a success.
    pub fn succeeded(&self) {
        self.successes.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a failure.
    pub fn failed(&self) {
        self.failures.fetch_add(1, Ordering::Relaxed);
    }

    /// All since this boot, or the first call.
    pub fn counts(&self) -> Counts {
        Counts {
            successes: self.successes.load(Ordering::Relaxed),
            failures: self.failures.load(Ordering::Relaxed),
        }
    }

    /// Begins the success rate anew.
    pub fn reset(&self) {
        *locked(&self.before) = Some(self.counts());
    }

    /// Whether that has ever happened.
    pub fn was_reset(&self) -> bool {
        locked(&self.before).is_some()
    }

    /// The same since the last reset.
    pub fn since_reset(&self) -> Counts {
        let before = locked(&self.before).unwrap_or_default();
        let now = self.counts();
        Counts {
            successes: now.successes.saturating_sub(before.successes),
            failures: now.failures.saturating_sub(before.failures),
        }
    }
}

/// Sums that can be added up: of this boot, of the others as flushed, or of the fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HealthSums {
    /// Successes and failures.
    pub counts: Counts,
    /// Sum of all measured latencies, in microseconds.
    pub latency_sum_us: u64,
    /// How many latencies were measured.
    pub latency_count: u64,
    /// When the last success was. By the monotonic clock, like everything that is kept: by the wall
    /// clock it would lie in the future once that is set back.
    pub last_success: Option<Instant>,
    /// When the last failure was.
    pub last_failure: Option<Instant>,
}

impl HealthSums {
    /// The fleet's figures: this boot's own, live, and `flushed`, the sums that other sidecars and
    /// earlier boots have flushed. What this boot itself flushed must not be among them.
    #[must_use]
    pub fn with(self, flushed: &Self) -> Self {
        Self {
            last_success: self.last_success.max(flushed.last_success),
            last_failure: self.last_failure.max(flushed.last_failure),
            ..self.each(flushed, u64::saturating_add)
        }
    }

    /// What was counted since `earlier`; the moments stay.
    #[must_use]
    pub fn less(self, earlier: &Self) -> Self {
        self.each(earlier, u64::saturating_sub)
    }

    fn each(self, other: &Self, apply: fn(u64, u64) -> u64) -> Self {
        Self {
            counts: Counts {
                successes: apply(self.counts.successes, other.counts.successes),
                failures: apply(self.counts.failures, other.counts.failures),
            },
            latency_sum_us: apply(self.latency_sum_us, other.latency_sum_us),
            latency_count: apply(self.latency_count, other.latency_count),
            ..self
        }
    }

    /// Whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        (self.counts.total(), self.latency_sum_us, self.latency_count) == (0, 0, 0)
    }

    /// The mean of all latencies ever measured; `None` without any.
    pub fn avg_latency(&self) -> Option<Duration> {
        let mean_us = self.latency_sum_us.checked_div(self.latency_count)?;
        Some(Duration::from_micros(mean_us))
    }
}

words! {
    /// Which way the success rate crossed the minimum.
    pub enum Crossing {
        /// It fell below the minimum.
        Degraded = "health_degraded",
        /// It reached the minimum again.
        Recovered = "health_recovered",
    }
}

/// The time in which only [`MOST_REPORTS`] crossings are reported.
const REPORTS_WITHIN: Duration = Duration::from_secs(30);
/// A rate that stays about the minimum crosses it every few calls: reports of that would push out
/// others.
const MOST_REPORTS: u32 = 10;

/// Reports each crossing of the minimum success rate exactly once; starts on the healthy side. What
/// crosses too often is reported later, where it is still on the other side then.
#[derive(Debug, Default)]
pub struct HealthGate {
    degraded: AtomicBool,
    /// Whether the last report was of a fall: it is followed by one of the recovery, whatever is
    /// forgotten in between. Changes under the lock of `reports`.
    reported: AtomicBool,
    reports: Mutex<Reports>,
}

/// How many reports there were lately.
#[derive(Debug, Default)]
struct Reports {
    since: Option<Instant>,
    count: u32,
}

impl Reports {
    /// Whether there may be another one; it counts.
    fn another(&mut self, now: Instant) -> bool {
        let is_over = |since| now.saturating_duration_since(since) >= REPORTS_WITHIN;
        if self.since.is_none_or(is_over) {
            *self = Self {
                since: Some(now),
                count: 0,
            };
        }
        let may = self.count < MOST_REPORTS;
        self.count += u32::from(may);
        may
    }
}

impl HealthGate {
    /// Looks at the rolling success rate after a call; without one, for want of calls, nothing is
    /// known, and the last verdict holds.
    pub fn observe(
        &self,
        success_rate: Option<f64>,
        min_rate: f64,
        now: Instant,
    ) -> Option<Crossing> {
        let degraded = success_rate? < min_rate;
        self.degraded.store(degraded, Ordering::Relaxed);
        let is_known = || self.reported.load(Ordering::Relaxed) == degraded;
        // Nearly always, and then without the lock.
        if is_known() {
            return None;
        }
        let mut reports = locked(&self.reports);
        // One caller reports; another that finds its own verdict there stays silent.
        if is_known() || !reports.another(now) {
            return None;
        }
        self.reported.store(degraded, Ordering::Relaxed);
        Some(match degraded {
            true => Crossing::Degraded,
            false => Crossing::Recovered,
        })
    }

    /// Forgets the last verdict.
    pub fn clear(&self) {
        self.degraded.store(false, Ordering::Relaxed);
    }

    /// Whether the last verdict was below the minimum.
    pub fn is_degraded(&self) -> bool {
        self.degraded.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
#[path = "health_tests.rs"]
mod tests;

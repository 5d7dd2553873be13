//! How busy one instance is, as the calls that were made of it show: how many are under way, and how
//! long they take.
//!
//! Latency is a peak-sensitive, exponentially weighted moving average, as in Finagle's `PeakEwma` and
//! tower's: a slow answer counts at once and whole, a fast one little by little, and an instance
//! that was not asked lately is forgiven slowly, until asked again. No instance is assumed to be
//! faster than the fastest known one: without that, all calls would rush at an instance that has
//! been idle for long.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// The header of a reply in which an instance reports how busy it is, in calls.
pub const LOAD: &str = "Beamline-Load";

/// The time after which all but a third of what was seen is forgotten.
const DECAY: Duration = Duration::from_secs(10);
/// How long an instance's report of its own load counts.
const OWN_WORD: Duration = Duration::from_secs(5);

/// The load of one instance. The default is one that was never called.
#[derive(Debug, Clone, Default)]
pub struct Load {
    in_flight: Arc<AtomicU32>,
    latency: Option<Average>,
    /// What it reported of its own load, and until when that holds.
    said: Option<(f64, Instant)>,
}

/// What a call of an instance would cost.
#[derive(Debug, Clone, Copy)]
pub struct Score {
    /// Less is better.
    pub cost: f64,
    /// What its calls take, in seconds.
    pub latency: f64,
}

/// One call under way; over when dropped.
#[derive(Debug)]
pub struct InFlight(Arc<AtomicU32>);

#[derive(Debug, Clone, Copy)]
struct Average {
    /// Above zero.
    seconds: f64,
    at: Instant,
}

impl Load {
    /// A call begins.
    pub fn enter(&self) -> InFlight {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight(Arc::clone(&self.in_flight))
    }

    /// A call took `latency`.
    pub fn took(&mut self, latency: Duration, now: Instant) {
        // Nothing is infinitely better than anything else.
        let seconds = latency.max(Duration::from_micros(1)).as_secs_f64();
        let before = self.latency.map(|average| average.decayed(now));
        self.latency = Some(Average {
            seconds: match before {
                Some((before, forgotten)) if seconds < before => before + seconds * forgotten,
                Some(_) | None => seconds,
            },
            at: now,
        });
    }

    /// It reported how busy it is: anything but a finite number from 0 is ignored.
    pub fn said(&mut self, load: &str, now: Instant) {
        let load = load.trim().parse().ok();
        if let Some(load) = load.filter(|load: &f64| load.is_finite() && *load >= 0.0) {
            self.said = now.checked_add(OWN_WORD).map(|until| (load, until));
        }
    }

    /// Where no call of it has shown anything yet, it is taken to be as fast as the mean.
    pub fn begin(&mut self, mean_seconds: f64, now: Instant) {
        self.latency.get_or_insert(Average {
            seconds: mean_seconds,
            at: now,
        });
    }

    /// What its calls take, in seconds, as it was when the last of them ended.
    pub fn seconds(&self) -> Option<f64> {
        self.latency.map(|average| average.seconds)
    }

    /// What a call of it would cost at `now`: less is better. `scale` is the mean weight over its
    /// own, `least` what the calls of the fastest take, in seconds.
    pub fn score(&self, scale: f64, least: f64, now: Instant) -> Score {
        let own_word = self.said.filter(|(_, until)| now < *until);
        let counted = || f64::from(self.in_flight.load(Ordering::Relaxed));
        let busy = own_word.map_or_else(counted, |(load, _)| load);
        let latency = self.latency.map_or(least, |average| average.decayed(now).0);
        let latency = latency.max(least);
        Score {
            cost: (busy * scale + 1.0) * latency,
            latency,
        }
    }
}

impl Average {
    /// What is left of it at `now`, and the share that is forgotten.
    fn decayed(self, now: Instant) -> (f64, f64) {
        let age = now.saturating_duration_since(self.at);
        let left = (-age.as_secs_f64() / DECAY.as_secs_f64()).exp();
        (self.seconds * left, 1.0 - left)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn score(load: &Load, now: Instant) -> f64 {
        load.score(1.0, 0.001, now).cost
    }

    fn close(a: f64, b: f64) {
        assert!((a - b).abs() < 1e-9, "{a} {b}");
    }

    #[test]
    fn slow_counts_at_once_fast_little_by_little_and_silence_is_forgiven() {
        let start = Instant::now();
        let mut load = Load::default();
        load.took(10 * MS, start);
        load.took(100 * MS, start);
        close(score(&load, start), 0.1);
        load.took(10 * MS, start);
        close(score(&load, start), 0.1);
        load.took(10 * MS, start + DECAY);
        let left = 1.0 / std::f64::consts::E;
        close(
            score(&load, start + DECAY),
            0.1 * left + 0.01 * (1.0 - left),
        );
        // To be as fast as the fastest, and no more.
        close(score(&load, start + 10 * DECAY), 0.001);
    }

    #[test]
    fn it_begins_with_the_mean_only_once() {
        let now = Instant::now();
        let mut load = Load::default();
        close(score(&load, now), 0.001);
        load.begin(0.05, now);
        load.begin(0.5, now);
        close(score(&load, now), 0.05);
    }

    #[test]
    fn calls_under_way_count_by_weight_and_its_own_word_stands_for_them() {
        let now = Instant::now();
        let mut load = Load::default();
        load.took(10 * MS, now);
        let calls = [load.enter(), load.enter()];
        close(load.score(2.0, 0.001, now).cost, 0.05);
        load.said(" 6.0", now);
        for nothing in ["", "-1", "inf", "NaN", "many"] {
            load.said(nothing, now);
        }
        close(score(&load, now), 0.07);
        let later = now + OWN_WORD;
        assert!(score(&load, later) < 0.03, "its word is old");
        drop(calls);
        assert!(score(&load, later) < 0.01);
    }

    #[test]
    fn any_latency_and_load_is_a_score() {
        let now = Instant::now();
        for latency in [Duration::ZERO, Duration::MAX] {
            for said in ["0", "1.7e308"] {
                let mut load = Load::default();
                load.took(latency, now);
                load.took(latency, now);
                load.said(said, now);
                assert!(score(&load, now) > 0.0, "{latency:?} {said}");
            }
        }
    }
}

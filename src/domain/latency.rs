//! How long calls took lately: a rolling histogram that is recorded into without a lock.
//!
//! Buckets are log-linear, as in HdrHistogram: exact to 32 us, then sixteen per doubling, so that a
//! percentile is at most 1/32 (3.2 %) off, up to 71 min. The `hdrhistogram` crate is not used: it
//! records through `&mut` or one recorder per thread, and starts at several times the memory.
//!
//! **Window.** Samples go to the part of the current minute; figures cover it and the minute
//! before, that is, the last one to two minutes. A new minute replaces the parts as a whole instead
//! of clearing counters, so a sample recorded meanwhile is neither lost nor counted in a later one.
//!
//! **Memory.** 1,856 bytes per part, at most two parts, and about 100 bytes around them: below 4 kB
//! for an extension that is being called. One that is never called should have no histogram.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;

/// Length of one part; figures cover one to two of them.
pub const PART: Duration = Duration::from_secs(60);

/// Buckets per doubling, as a power of two.
const PRECISION_BITS: u32 = 4;
const PER_DOUBLING: usize = 1 << PRECISION_BITS;
/// The longest latency that is distinguished, in microseconds: 71 min, above any timeout.
const MAX_US: u64 = u32::MAX as u64;
const BUCKETS: usize = (32 - PRECISION_BITS as usize + 1) * PER_DOUBLING;

/// Latencies of the last one to two minutes.
#[derive(Debug)]
pub struct LatencyHistogram {
    /// When the first part began.
    start: Instant,
    window: ArcSwap<Window>,
}

#[derive(Debug, Default)]
struct Window {
    /// How many parts went by before the current one.
    turn: u64,
    current: Arc<Part>,
    previous: Option<Arc<Part>>,
}

#[derive(Debug)]
struct Part([AtomicU32; BUCKETS]);

impl LatencyHistogram {
    /// An empty histogram; times given to it later are at or after `now`.
    pub fn new(now: Instant) -> Self {
        Self {
            start: now,
            window: ArcSwap::default(),
        }
    }

    /// Adds one latency at `now`. Waits for nothing; allocates once a minute.
    pub fn record(&self, latency: Duration, now: Instant) {
        let turn = self.turn(now);
        if self.window.load().turn < turn {
            self.advance(turn);
        }
        self.window.load().current.add(latency);
    }

    /// The figures at `now`.
    pub fn snapshot(&self, now: Instant) -> LatencySnapshot {
        let window = self.window.load();
        let mut snapshot = LatencySnapshot(vec![0; BUCKETS].into());
        let turns_ago = self.turn(now).saturating_sub(window.turn);
        if turns_ago <= 1 {
            snapshot.add(&window.current);
        }
        if let (0, Some(previous)) = (turns_ago, &window.previous) {
            snapshot.add(previous);
        }
        snapshot
    }

    fn turn(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.start).as_secs() / PART.as_secs()
    }

    fn advance(&self, turn: u64) {
        self.window.rcu(|window| {
            if window.turn >= turn {
                return Arc::clone(window);
            }
            let adjacent = window.turn + 1 == turn;
            Arc::new(Window {
                turn,
                current: Arc::default(),
                previous: adjacent.then(|| Arc::clone(&window.current)),
            })
        });
    }
}

impl Default for Part {
    fn default() -> Self {
        Self([const { AtomicU32::new(0) }; BUCKETS])
    }
}

impl Part {
    fn add(&self, latency: Duration) {
        let us = microseconds(latency).min(MAX_US);
        if let Some(count) = self.0.get(bucket(us)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The counts of a histogram at one moment, by bucket.
#[derive(Debug, Clone)]
pub struct LatencySnapshot(Box<[u64]>);

impl LatencySnapshot {
    /// How many latencies there are.
    pub fn count(&self) -> u64 {
        self.0.iter().sum()
    }

    /// The latency that a share `q` (0 to 1) of all do not exceed; `None` without any.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rank among fewer than 2^53 samples, from a share within 0 and 1"
    )]
    pub fn percentile(&self, q: f64) -> Option<Duration> {
        let rank = ((q.clamp(0.0, 1.0) * self.count() as f64).ceil() as u64).max(1);
        let mut seen = 0;
        let reached = self.0.iter().position(|count| {
            seen += count;
            seen >= rank
        })?;
        Some(Duration::from_micros(middle_us(reached)))
    }

    fn add(&mut self, part: &Part) {
        for (count, more) in self.0.iter_mut().zip(&part.0) {
            *count += u64::from(more.load(Ordering::Relaxed));
        }
    }
}

/// A duration in whole microseconds.
pub(super) fn microseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// The bucket of `us`: its leading five bits, after as many sixteens as it has bits beyond them.
fn bucket(us: u64) -> usize {
    let shift = (us | 1).ilog2().saturating_sub(PRECISION_BITS);
    let leading = usize::try_from(us >> shift).unwrap_or(usize::MAX);
    leading.saturating_add(PER_DOUBLING * shift as usize)
}

/// The middle of a bucket, in microseconds: at most half a bucket from every value in it.
fn middle_us(bucket: usize) -> u64 {
    let shift = (bucket / PER_DOUBLING).saturating_sub(1);
    let leading = (bucket - PER_DOUBLING * shift) as u64;
    (leading << shift) + ((1 << shift) >> 1)
}

#[cfg(test)]
#[path = "latency_tests.rs"]
mod tests;

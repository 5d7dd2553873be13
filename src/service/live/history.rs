//! The last minutes of every extension that is called, in intervals of equal length.
//!
//! **Memory.** 16 bytes per point, 960 per extension that was called in the last five minutes, and
//! below 100 for one that was called before. At most 5,000 extensions have points (below 5 MB);
//! beyond that, newcomers have none until others fall silent.

use std::collections::{HashMap, VecDeque};
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use crate::domain::health::{Counts, ExtensionHealth};
use crate::domain::ids::ExtensionId;

/// The length of an interval.
pub const INTERVAL: Duration = Duration::from_secs(5);
/// Intervals that are kept: five minutes.
const POINTS: usize = 60;
/// Extensions that may have points at a time.
const MAX_TRACKS: usize = 5_000;

/// The outcomes of one interval's calls by this sidecar.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Point {
    /// Attempts that succeeded.
    pub successes: u32,
    /// Attempts that failed.
    pub failures: u32,
    /// Median latency of the calls of the last one to two minutes, in microseconds.
    pub p50_us: Option<NonZeroU32>,
    /// 99 % of them did.
    pub p99_us: Option<NonZeroU32>,
}

impl Point {
    /// Whether there were no calls.
    pub const fn is_empty(&self) -> bool {
        self.successes == 0 && self.failures == 0
    }
}

/// The last minutes.
#[derive(Debug, Default)]
pub struct History {
    tracks: HashMap<ExtensionId, Track>,
    /// When the last interval ended.
    ended: Option<Instant>,
}

#[derive(Debug)]
struct Track {
    /// Of an extension that was deleted and made anew it is another one.
    began: Instant,
    /// The counts at the end of the last interval.
    counted: Counts,
    /// Oldest first; none at all of an extension that fell silent.
    points: VecDeque<Point>,
}

impl History {
    /// How many whole intervals have gone by before the one that ends `now`, because this process
    /// stood still; no more than are kept.
    pub fn missed(&self, now: Instant) -> usize {
        let since = self.ended.map(|ended| now.saturating_duration_since(ended));
        let intervals = since.unwrap_or_default().as_secs() / INTERVAL.as_secs();
        let missed = usize::try_from(intervals.saturating_sub(1));
        missed.map_or(POINTS, |missed| missed.min(POINTS))
    }

    /// Ends an interval; its points, but for those without calls.
    pub fn sample<'a>(
        &mut self,
        health: impl Iterator<Item = (&'a ExtensionId, &'a ExtensionHealth)>,
        now: Instant,
    ) -> Vec<(ExtensionId, Point)> {
        let missed = self.missed(now);
        self.ended = Some(now);
        let mut before = std::mem::take(&mut self.tracks);
        let mut told = Vec::new();
        let mut places = MAX_TRACKS;
        for (id, health) in health {
            let track = before.remove(id);
            let track = track.filter(|track| track.began == health.began());
            let mut track = track.unwrap_or_else(|| Track {
                began: health.began(),
                counted: Counts::default(),
                points: VecDeque::new(),
            });
            for _ in 0..missed {
                track.push(Point::default());
            }
            let point = track.advance(health, now);
            if places == 0 {
                track.points = VecDeque::new();
            }
            if !track.points.is_empty() {
                places -= 1;
                if !point.is_empty() {
                    told.push((id.clone(), point));
                }
            }
            self.tracks.insert(id.clone(), track);
        }
        told
    }

    /// The points of an extension, oldest first; none if it is not called.
    pub fn of(&self, id: &ExtensionId) -> Vec<Point> {
        let track = self.tracks.get(id);
        track.map_or_else(Vec::new, |track| track.points.iter().copied().collect())
    }
}

impl Track {
    fn advance(&mut self, health: &ExtensionHealth, now: Instant) -> Point {
        let counts = health.sums().counts;
        let point = point(self.counted, counts, health, now);
        self.counted = counts;
        self.push(point);
        point
    }

    fn push(&mut self, point: Point) {
        if point.is_empty() && self.points.is_empty() {
            return;
        }
        if self.points.len() == POINTS {
            self.points.pop_front();
        }
        self.points.push_back(point);
        if self.points.iter().all(Point::is_empty) {
            self.points = VecDeque::new();
        }
    }
}

fn point(before: Counts, counts: Counts, health: &ExtensionHealth, now: Instant) -> Point {
    let grown =
        |before: u64, now: u64| u32::try_from(now.saturating_sub(before)).unwrap_or(u32::MAX);
    let point = Point {
        successes: grown(before.successes, counts.successes),
        failures: grown(before.failures, counts.failures),
        ..Point::default()
    };
    if point.is_empty() {
        return point;
    }
    let latencies = health.latency().snapshot(now);
    let percentile = |q| {
        let us = latencies.percentile(q)?.as_micros();
        NonZeroU32::new(u32::try_from(us).unwrap_or(u32::MAX).max(1))
    };
    Point {
        p50_us: percentile(0.5),
        p99_us: percentile(0.99),
        ..point
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> ExtensionId {
        ExtensionId::parse(text).unwrap()
    }

    fn called(now: Instant, successes: u32, failures: u32) -> ExtensionHealth {
        let health = ExtensionHealth::new(now);
        call(&health, now, successes, failures);
        health
    }

    fn call(health: &ExtensionHealth, now: Instant, successes: u32, failures: u32) {
        let latency = Some(Duration::from_millis(2));
        for _ in 0..successes {
            health.succeeded(latency, now);
        }
        for _ in 0..failures {
            health.failed(None, now);
        }
    }

    fn counts(points: &[Point]) -> Vec<(u32, u32)> {
        points
            .iter()
            .map(|it| (it.successes, it.failures))
            .collect()
    }

    #[test]
    fn points_are_what_an_interval_added() {
        let (now, a) = (Instant::now(), id("a"));
        let health = called(now, 3, 1);
        let mut history = History::default();
        let told = history.sample([(&a, &health)].into_iter(), now);
        let [(_, point)] = told.as_slice() else {
            panic!("{told:?}")
        };
        assert_eq!((point.successes, point.failures), (3, 1));
        let p50 = point.p50_us.unwrap().get();
        assert!((1_900..2_100).contains(&p50), "{p50}");

        assert!(history.sample([(&a, &health)].into_iter(), now).is_empty());
        call(&health, now, 0, 2);
        history.sample([(&a, &health)].into_iter(), now);
        assert_eq!(counts(&history.of(&a)), [(3, 1), (0, 0), (0, 2)]);

        // Made anew, it has nothing of the one before, however often it was called.
        let later = now + Duration::from_millis(1);
        history.sample([(&a, &called(later, 9, 9))].into_iter(), later);
        assert_eq!(counts(&history.of(&a)), [(9, 9)]);
    }

    #[test]
    fn what_falls_silent_has_no_points_and_what_is_gone_is_forgotten() {
        let (now, a) = (Instant::now(), id("a"));
        let health = called(now, 1, 0);
        let mut history = History::default();
        for _ in 0..POINTS {
            history.sample([(&a, &health)].into_iter(), now);
        }
        assert_eq!(history.of(&a).len(), POINTS);
        history.sample([(&a, &health)].into_iter(), now);
        assert_eq!(history.of(&a), []);
        call(&health, now, 2, 0);
        history.sample([(&a, &health)].into_iter(), now);
        assert_eq!(counts(&history.of(&a)), [(2, 0)]);
        history.sample(std::iter::empty(), now);
        assert_eq!(history.tracks.len(), 0);
    }

    #[test]
    fn what_was_slept_through_is_empty() {
        let (now, a) = (Instant::now(), id("a"));
        let health = called(now, 1, 0);
        let mut history = History::default();
        history.sample([(&a, &health)].into_iter(), now);
        call(&health, now, 0, 2);
        history.sample([(&a, &health)].into_iter(), now + 4 * INTERVAL);
        let points = [(1, 0), (0, 0), (0, 0), (0, 0), (0, 2)];
        assert_eq!(counts(&history.of(&a)), points);
        // For longer than is shown.
        call(&health, now, 3, 0);
        history.sample([(&a, &health)].into_iter(), now + 1000 * INTERVAL);
        assert_eq!(counts(&history.of(&a)), [(3, 0)]);
    }

    #[test]
    fn so_many_extensions_have_points_and_no_more() {
        let now = Instant::now();
        let health = called(now, 1, 0);
        let ids: Vec<_> = (0..=MAX_TRACKS).map(|n| id(&format!("x{n}"))).collect();
        let mut history = History::default();
        let told = history.sample(ids.iter().map(|id| (id, &health)), now);
        assert_eq!(told.len(), MAX_TRACKS);
        assert_eq!(history.of(ids.last().unwrap()), []);
    }
}

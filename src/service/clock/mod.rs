//! The process's time: moments by the monotonic clock, and what the wall clock makes of them.
//!
//! Whatever is measured or waited for goes by the monotonic clock. The wall clock is read here and
//! nowhere else for moments that were kept: it may be set at any time, and then a moment that was
//! kept by it would lie in the future, or too far in the past. What is shown is therefore worked
//! out anew from the monotonic moment each time ([`wall`]).
//!
//! [`standstill`] knows when this process did not run.

pub mod standstill;
mod wall;

use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime};

use self::standstill::Standstill;
use self::wall::WallClock;
use crate::domain::breaker::Tick;

/// What is further ahead than this has no end; nor could every calendar show it.
const FORESEEABLE: Duration = Duration::from_secs(100 * 365 * 86_400);

/// A wait, unless it has no end.
pub fn foreseeable(wait: Duration) -> Option<Duration> {
    (wait < FORESEEABLE).then_some(wait)
}

/// A duration in whole milliseconds.
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A wait in whole milliseconds, at least one: who comes back after it does not come too early.
pub fn wait_millis(wait: Duration) -> u64 {
    const NEARLY_ONE: Duration = Duration::from_nanos(999_999);
    millis(wait.saturating_add(NEARLY_ONE)).max(1)
}

static PROCESS: LazyLock<Process> = LazyLock::new(|| Process::new(SystemTime::now));

/// One clock for the whole process: every copy shows the same.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    process: &'static Process,
}

#[derive(Debug)]
struct Process {
    /// Where ticks begin.
    origin: Instant,
    wall: WallClock,
    standstill: Standstill,
}

impl Process {
    fn new(read_wall: fn() -> SystemTime) -> Self {
        let origin = Instant::now();
        Self {
            origin,
            wall: WallClock::new(origin, read_wall),
            standstill: Standstill::new(origin),
        }
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self { process: &PROCESS }
    }
}

impl Clock {
    /// This moment.
    pub fn tick(&self) -> Tick {
        self.at(Instant::now())
    }

    /// The tick of `now`.
    pub fn at(&self, now: Instant) -> Tick {
        Tick::at(now.saturating_duration_since(self.process.origin))
    }

    /// What the wall clock showed at `tick`, or will show, if it is not set meanwhile. For ticks
    /// that may never come there is [`Clock::due`].
    pub fn wall(&self, tick: Tick) -> SystemTime {
        self.process.wall.after_origin(tick.elapsed())
    }

    /// The same for a moment that may be older than the process.
    pub fn wall_of(&self, moment: Instant) -> SystemTime {
        self.process.wall.of(moment)
    }

    /// What the wall clock will show at `tick`; `None` for one that never comes.
    pub fn due(&self, tick: Tick) -> Option<SystemTime> {
        foreseeable(tick.since(self.tick()))?;
        Some(self.wall(tick))
    }

    /// For how long this process stood still between `from` and `to`.
    pub fn stood_still(&self, from: Instant, to: Instant) -> Duration {
        self.process.standstill.within(from, to)
    }

    /// For how long this process could not attend to anything between `from` and `to`: it stood
    /// still, or worked off what had piled up meanwhile.
    pub fn lost(&self, from: Instant, to: Instant) -> Duration {
        self.process.standstill.lost(from, to)
    }

    /// The time since `begun`, less what this process stood still.
    pub fn awake_since(&self, begun: Instant) -> Duration {
        self.awake(begun, Instant::now())
    }

    /// The time from `begun` to `now`, less what this process stood still.
    pub fn awake(&self, begun: Instant, now: Instant) -> Duration {
        now.saturating_duration_since(begun)
            .saturating_sub(self.stood_still(begun, now))
    }

    /// The time from `begun` to `now` as a measure of an extension's speed; `None` when this
    /// process stood still meanwhile: what came then was seen only afterwards.
    pub fn measured(&self, begun: Instant, now: Instant) -> Option<Duration> {
        let stood_still = self.stood_still(begun, now);
        (stood_still.is_zero()).then(|| now.saturating_duration_since(begun))
    }
}

#[cfg(test)]
impl Clock {
    /// A clock of a test's own, by another wall clock.
    pub(crate) fn reading(wall: fn() -> SystemTime) -> Self {
        let process = Box::leak(Box::new(Process::new(wall)));
        Self { process }
    }

    /// Notes that this process stood still.
    pub(crate) fn slept(&self, from: Instant, to: Instant) {
        self.process.standstill.beat(from);
        self.process.standstill.beat(to);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_never_comes_has_no_wall_time() {
        let clock = Clock::default();
        let now = clock.tick();
        assert_eq!(clock.due(Tick::NEVER), None);
        assert_eq!(clock.due(now.plus(2 * FORESEEABLE)), None);
        let minute = Duration::from_secs(60);
        assert_eq!(clock.due(now.plus(minute)), Some(clock.wall(now) + minute));
        assert!(clock.wall(Tick::NEVER) > clock.wall(now));
    }

    #[test]
    fn a_reply_that_was_found_after_a_standstill_measures_nobody() {
        let clock = Clock::reading(SystemTime::now);
        let (begun, second) = (Instant::now(), Duration::from_secs(1));
        assert_eq!(clock.measured(begun, begun + second), Some(second));
        clock.slept(begun + second, begun + 6 * second);
        assert_eq!(clock.measured(begun, begun + 6 * second), None);
        let (after, moment) = (begun + 6 * second, second / 10);
        assert_eq!(clock.measured(after, after + moment), Some(moment));
    }
}

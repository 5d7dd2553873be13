//! Wall times of monotonic moments.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime};

/// A difference between the two clocks that is no jump but their reading, one after the other.
/// Between jumps the same moment has the same wall time, to the microsecond.
const JUMP_US: u64 = 500_000;
/// Readings of both clocks that lie further apart than this are taken again: the process was
/// stopped between them.
const TOGETHER: Duration = Duration::from_millis(20);
const TRIES: usize = 3;

/// The wall clock, as far as it follows from the monotonic one.
#[derive(Debug)]
pub(super) struct WallClock {
    origin: Instant,
    read: fn() -> SystemTime,
    /// What it showed at the origin, by what it showed last; microseconds since the Unix epoch.
    at_origin_us: AtomicI64,
}

impl WallClock {
    pub(super) fn new(origin: Instant, read: fn() -> SystemTime) -> Self {
        let clock = Self {
            origin,
            read,
            at_origin_us: AtomicI64::new(0),
        };
        clock.look();
        clock
    }

    /// The wall time at a duration after the origin.
    pub(super) fn after_origin(&self, time: Duration) -> SystemTime {
        system_time(self.look().saturating_add(micros(time)))
    }

    /// The wall time of a moment before or after the origin.
    pub(super) fn of(&self, moment: Instant) -> SystemTime {
        system_time(self.look().saturating_add(offset(self.origin, moment)))
    }

    /// Follows the clock if it has jumped.
    fn look(&self) -> i64 {
        let shown = self.at_origin_now();
        let known = self.at_origin_us.load(Ordering::Relaxed);
        if shown.abs_diff(known) <= JUMP_US {
            return known;
        }
        self.at_origin_us.store(shown, Ordering::Relaxed);
        shown
    }

    fn at_origin_now(&self) -> i64 {
        let mut before = Instant::now();
        let mut shown = (self.read)();
        for _ in 1..TRIES {
            let after = Instant::now();
            if after.saturating_duration_since(before) <= TOGETHER {
                break;
            }
            before = after;
            shown = (self.read)();
        }
        let since_epoch = match shown.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(after) => micros(after),
            Err(before) => -micros(before.duration()),
        };
        since_epoch.saturating_sub(offset(self.origin, before))
    }
}

fn offset(origin: Instant, moment: Instant) -> i64 {
    match moment.checked_duration_since(origin) {
        Some(after) => micros(after),
        None => -micros(origin.saturating_duration_since(moment)),
    }
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

/// Total: what no calendar has is the last moment that fits.
fn system_time(epoch_us: i64) -> SystemTime {
    let distance = Duration::from_micros(epoch_us.unsigned_abs());
    let time = match epoch_us {
        ..0 => SystemTime::UNIX_EPOCH.checked_sub(distance),
        _ => SystemTime::UNIX_EPOCH.checked_add(distance),
    };
    time.unwrap_or(SystemTime::UNIX_EPOCH)
}

#[cfg(test)]
pub(crate) mod tests {
    use std::cell::Cell;

    use super::*;

    thread_local! {
        /// How far this thread's wall clock is ahead, in seconds.
        static AHEAD: Cell<i64> = const { Cell::new(0) };
    }

    /// A wall clock that the test of this thread moves.
    pub(crate) fn movable() -> SystemTime {
        let now = SystemTime::now();
        let ahead = AHEAD.get();
        let distance = Duration::from_secs(ahead.unsigned_abs());
        if ahead < 0 {
            now - distance
        } else {
            now + distance
        }
    }

    /// Sets it a number of seconds ahead of the real one, or behind.
    pub(crate) fn move_wall(seconds: i64) {
        AHEAD.set(seconds);
    }

    #[test]
    fn a_moment_follows_the_wall_clock_wherever_it_is_set() {
        let origin = Instant::now();
        let clock = WallClock::new(origin, movable);
        let before = clock.of(origin);
        assert_eq!(clock.of(origin), before, "the same each time");
        for hours in [-1, 1, 24 * 365] {
            move_wall(hours * 3600);
            let distance = Duration::from_secs((hours * 3600).unsigned_abs());
            let expected = if hours < 0 {
                before - distance
            } else {
                before + distance
            };
            let found = clock.of(origin);
            let apart = found
                .duration_since(expected)
                .unwrap_or_else(|e| e.duration());
            assert!(apart < Duration::from_millis(400), "{hours}: {apart:?}");
            assert_eq!(clock.of(origin), found, "the same each time");
            assert!(clock.of(origin) <= movable(), "never in the future");
        }
    }

    #[test]
    fn a_step_of_less_than_half_a_second_is_no_jump() {
        let origin = Instant::now();
        let clock = WallClock::new(origin, SystemTime::now);
        let times: Vec<_> = (0..1000).map(|_| clock.of(origin)).collect();
        assert!(times.iter().all(|time| *time == times[0]));
    }

    #[test]
    fn moments_before_the_process_and_beyond_every_calendar_have_a_time() {
        let origin = Instant::now();
        let clock = WallClock::new(origin, SystemTime::now);
        let day = Duration::from_secs(86_400);
        if let Some(yesterday) = origin.checked_sub(day) {
            assert_eq!(clock.of(yesterday) + day, clock.of(origin));
        }
        assert!(clock.after_origin(Duration::MAX) > clock.of(origin));
    }
}

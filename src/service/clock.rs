//! The process's monotonic clock, in the terms of circuits.

use std::time::{Instant, SystemTime};

use crate::domain::breaker::Tick;

/// Where ticks begin.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    origin: Instant,
}

impl Default for Clock {
    fn default() -> Self {
        Self {
            origin: Instant::now(),
        }
    }
}

impl Clock {
    /// This moment.
    pub fn tick(&self) -> Tick {
        self.at(Instant::now())
    }

    /// The tick of `now`.
    pub fn at(&self, now: Instant) -> Tick {
        Tick::at(now.saturating_duration_since(self.origin))
    }

    /// What the wall clock shows, showed or will show at `tick`, by what it shows now.
    pub fn wall(&self, tick: Tick) -> SystemTime {
        let (now, wall) = (self.tick(), SystemTime::now());
        let moved = if tick < now {
            wall.checked_sub(now.since(tick))
        } else {
            wall.checked_add(tick.since(now))
        };
        moved.unwrap_or(wall)
    }

    /// The tick at which the wall clock shows `wall`, by what it shows now.
    pub fn tick_of(&self, wall: SystemTime) -> Tick {
        let now = self.tick();
        match wall.duration_since(SystemTime::now()) {
            Ok(ahead) => now.plus(ahead),
            Err(behind) => Tick::at(now.elapsed().saturating_sub(behind.duration())),
        }
    }
}

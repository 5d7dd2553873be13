//! The process's monotonic clock, in the terms of circuits.

use std::time::Instant;

use crate::domain::breaker::Tick;

/// Where ticks begin.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    origin: Instant,
}

impl Default for Clock {
    fn default() -> Self {
        Self { origin: Instant::now() }
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
}

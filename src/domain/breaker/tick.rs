//! A moment of the process's own clock.

use std::time::Duration;

/// A moment, as the monotonic time since some origin that all ticks of a process share.
///
/// A type of its own, so that a moment and a length of time cannot be mixed up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Tick(Duration);

impl Tick {
    /// A moment that never comes.
    pub const NEVER: Self = Self(Duration::MAX);

    /// The moment `elapsed` after the origin.
    pub const fn at(elapsed: Duration) -> Self {
        Self(elapsed)
    }

    /// The moment, unless it never comes.
    pub fn due(self) -> Option<Self> {
        (self != Self::NEVER).then_some(self)
    }

    /// The time since the origin.
    pub const fn elapsed(self) -> Duration {
        self.0
    }

    /// The moment `time` later, at the latest [`Tick::NEVER`].
    pub const fn plus(self, time: Duration) -> Self {
        Self(self.0.saturating_add(time))
    }

    /// The time from `earlier` to this moment; nothing where `earlier` is the later one.
    pub const fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

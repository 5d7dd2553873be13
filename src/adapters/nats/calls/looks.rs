//! A second look before a timeout counts.
//!
//! When the time of calls is over, a reply may lie in the socket, or the link may be dead. So a PING
//! is sent, one for all that end at a time; its PONG comes behind everything that the server had
//! sent.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::table::Table;
use crate::adapters::nats::link::outbox::Outbox;
use crate::domain::lock::locked;
use crate::service::caller::CallError;
use crate::service::clock::{Clock, standstill};

/// How long the PONG may take, if the last one did not take long, while this process is awake. A
/// link that is slower than this explains silence.
const PATIENCE: Duration = Duration::from_millis(250);
/// It may take this many times what the last one took: a long link is not a dead one.
const ROUND_TRIPS: u32 = 3;
/// A link that is slower than this is given up.
const LONGEST_PATIENCE: Duration = Duration::from_millis(2700);
/// How long it may take behind the backlog of a standstill.
const PATIENCE_AFTER_STANDSTILL: Duration = Duration::from_secs(3);

/// Looks under way.
#[derive(Debug, Default)]
pub(super) struct Looks(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    last: u64,
    under_way: Vec<Look>,
}

#[derive(Debug)]
struct Look {
    number: u64,
    begun: Instant,
    /// Where it takes longer while we are awake, the link is dead.
    patience: Duration,
    /// The earliest moment at which that may be so.
    due: Instant,
}

impl Look {
    /// Whether it may go on. A PONG that came while this process stood still is yet to be read.
    fn waits(&mut self, now: Instant, clock: Clock) -> bool {
        if self.due <= now {
            let awake = clock.awake(self.begun, now);
            self.due = now + self.patience.saturating_sub(awake);
        }
        self.due > now
    }
}

impl Looks {
    /// Begins a look where waits are over, and ends those that took too long.
    pub(super) fn turn_over(&self, now: Instant, table: &Table, outbox: &Arc<Outbox>) {
        let mut state = locked(&self.0);
        state.under_way.retain_mut(|look| {
            let waits = look.waits(now, Clock::default());
            if !waits {
                table.looked(look.number, CallError::Disconnected);
            }
            waits
        });
        if table.earliest().is_none_or(|earliest| earliest > now) {
            return;
        }
        let number = state.last + 1;
        let Some(first) = table.look(now, number) else {
            return;
        };
        standstill::note_late(first, now);
        state.last = number;
        let patience = match standstill::lately() {
            true => PATIENCE_AFTER_STANDSTILL,
            false => patience(outbox.pong_took()),
        };
        match outbox.look(number) {
            Ok(()) => state.under_way.push(Look {
                number,
                begun: now,
                patience,
                due: now + patience,
            }),
            Err(_) => table.looked(number, CallError::Disconnected),
        }
    }

    /// The PONG of a look is here; false if it came too late.
    pub(super) fn answered(&self, number: u64) -> bool {
        let mut state = locked(&self.0);
        let before = state.under_way.len();
        state.under_way.retain(|look| look.number != number);
        state.under_way.len() < before
    }

    /// When a look will have taken too long.
    pub(super) fn due(&self) -> Option<Instant> {
        locked(&self.0).under_way.iter().map(|look| look.due).min()
    }

    /// The connection that they were made over is gone.
    pub(super) fn forget(&self) {
        locked(&self.0).under_way.clear();
    }
}

/// How long a PONG may take where the last one took `last`.
fn patience(last: Duration) -> Duration {
    last.saturating_mul(ROUND_TRIPS)
        .clamp(PATIENCE, LONGEST_PATIENCE)
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn a_long_way_takes_longer() {
        let ms = Duration::from_millis;
        for (last, patience) in [(0, 250), (80, 250), (100, 300), (400, 1200), (5000, 2700)] {
            assert_eq!(super::patience(ms(last)), ms(patience), "{last}");
        }
        assert_eq!(super::patience(Duration::MAX), LONGEST_PATIENCE);
    }

    #[test]
    fn a_pong_that_came_while_we_stood_still_is_not_late() {
        let (clock, begun) = (Clock::reading(SystemTime::now), Instant::now());
        let after = |ms| begun + Duration::from_millis(ms);
        let mut look = Look {
            number: 1,
            begun,
            patience: PATIENCE,
            due: after(250),
        };
        let waits = [after(249), after(250)].map(|now| look.waits(now, clock));
        assert_eq!(waits, [true, false]);
        clock.slept(begun, after(1000));
        assert!(look.waits(after(1000), clock));
        assert!(look.due > after(1200), "it is not looked at all the time");
        // Awake again.
        clock.slept(after(1100), after(1260));
        assert!(!look.waits(after(1260), clock));
    }
}

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
use crate::service::clock::standstill;

/// How long the PONG may take, if the last one did not take long. A link, or a process, that is
/// slower than this explains silence.
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
    /// Each with the moment from which on it means that the link is dead.
    under_way: Vec<(u64, Instant)>,
}

impl Looks {
    /// Begins a look where waits are over, and ends those that took too long.
    pub(super) fn turn_over(&self, now: Instant, table: &Table, outbox: &Arc<Outbox>) {
        let mut state = locked(&self.0);
        state.under_way.retain(|(number, due)| {
            let waits = *due > now;
            if !waits {
                table.looked(*number, CallError::Disconnected);
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
            Ok(()) => state.under_way.push((number, now + patience)),
            Err(_) => table.looked(number, CallError::Disconnected),
        }
    }

    /// The PONG of a look is here; false if it came too late.
    pub(super) fn answered(&self, number: u64) -> bool {
        let mut state = locked(&self.0);
        let before = state.under_way.len();
        state.under_way.retain(|(known, _)| *known != number);
        state.under_way.len() < before
    }

    /// When a look will have taken too long.
    pub(super) fn due(&self) -> Option<Instant> {
        locked(&self.0).under_way.iter().map(|(_, due)| *due).min()
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
    use super::*;

    #[test]
    fn a_long_way_takes_longer() {
        let ms = Duration::from_millis;
        for (last, patience) in [(0, 250), (80, 250), (100, 300), (400, 1200), (5000, 2700)] {
            assert_eq!(super::patience(ms(last)), ms(patience), "{last}");
        }
        assert_eq!(super::patience(Duration::MAX), LONGEST_PATIENCE);
    }
}

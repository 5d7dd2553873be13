//! What follows from what a listener hears.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::sleep;

use crate::adapters::postgres::pool::Pool;
use crate::service::fleet::Alive;
use crate::service::observe::{ListenerState, Observation, Observers};
use crate::service::progress::Progress;
use crate::service::reload::{Hint, ReloadHandle};
use crate::service::status::Status;
use crate::service::trouble::DatabaseError;

/// What is notified of an override; else a revision, or something that needs a look at all.
const OVERRIDE: &str = "override";
/// Between looks for what reads wait for, while no notifications arrive.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// The receivers of what a listener hears.
#[derive(Debug, Clone)]
pub struct Reports {
    /// Hears that there may be something new.
    pub reload: ReloadHandle,
    /// Hears that overrides may have changed: they are notified on the same channel.
    pub overrides: Arc<Notify>,
    /// Knows which revision is served.
    pub progress: Progress,
    /// Among many sidecars, notifications are gathered.
    pub alive: Alive,
    /// Keeps the listener's state.
    pub status: Arc<Status>,
    /// Hear when the state changes.
    pub observers: Observers,
    /// Is asked too when the listener's connection is silent.
    pub pool: Arc<Pool>,
}

impl Reports {
    /// What was missed may have been anything.
    pub(super) fn reconnected(&self) {
        self.reload.hint(Hint::Reconnected);
        self.overrides.notify_one();
    }

    /// Reads a notification; whether a look at the definitions is due. An override does not concern
    /// the reader of definitions.
    pub(super) fn heard(&self, payload: &str, last: &mut u64) -> bool {
        match payload.parse::<u64>() {
            Ok(revision) => is_news(revision, self.progress.current(), last),
            Err(_) if payload == OVERRIDE => {
                self.overrides.notify_one();
                false
            }
            Err(_) => {
                self.overrides.notify_one();
                true
            }
        }
    }

    /// While no notifications arrive, looks for what reads wait for: it is committed, as a rule, and
    /// the sync is far. A database that cannot be used is tried again in any case.
    pub(super) async fn look_for_readers(&self) {
        loop {
            self.progress.wanted().await;
            let polling = self.status.listener() != ListenerState::Listening;
            if polling && self.status.database_up() != Some(false) {
                self.reload.hint(Hint::Database);
                sleep(LOOK_AGAIN).await;
            }
        }
    }

    pub(super) fn silent(&self, error: &DatabaseError) {
        if self.status.database_silent(error) {
            let down = Observation::DatabaseDown(error.clone());
            self.observers.observe(&down);
        }
    }
}

/// Whether a notified revision is news. One that is served already is not: a thousand sidecars would
/// look for nothing. Revisions come in their order: one that is not above the `last` is of another
/// history.
fn is_news(revision: u64, served: u64, last: &mut u64) -> bool {
    let before = std::mem::replace(last, revision);
    revision > served || revision <= before
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_served_already_is_no_news_and_what_goes_back_is() {
        let mut last = 5;
        for (revision, news) in [
            (6, false),
            (9, false),
            (10, false),
            (11, true),
            (11, true),
            (3, true),
            (4, false),
        ] {
            assert_eq!(is_news(revision, 10, &mut last), news, "{revision}");
        }
    }
}

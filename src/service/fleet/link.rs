//! Our own link to the extensions: while it is down, and for a while after, no extension is blamed.
//!
//! A lost link makes every extension look dead, and so does the moment after its return, when the
//! extensions have not reconnected yet. Circuits are frozen from the loss until the link has been
//! there again for the settling time; what is decided for the whole fleet waits for
//! [`Link::is_steady`].

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, interval, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::domain::lock::locked;
use crate::service::circuits::Circuits;
use crate::service::observe::{Observation, Observer};
use crate::service::status::INVOCATIONS;

/// How long extensions have to reconnect after us before anything counts against them.
pub const SETTLING: Duration = Duration::from_secs(10);

/// How often the link itself is asked. What it reports comes at once, but may be dropped when much
/// happens at a time; circuits must not stay frozen for that.
const LOOK_EVERY: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Never connected: no call has failed for want of a link.
    New,
    Down,
    /// There again, trusted from this moment on.
    Settling(Instant),
    Steady,
}

/// The state of the link, as its connection reports it.
#[derive(Debug)]
pub struct Link {
    circuits: Arc<Circuits>,
    settling: Duration,
    state: Mutex<State>,
    returned: Notify,
}

impl Link {
    /// A link that has not been made yet. After a loss it is steady when it has been there again
    /// for `settling`; the first connection is at once.
    pub fn new(circuits: Arc<Circuits>, settling: Duration) -> Self {
        Self {
            circuits,
            settling,
            state: Mutex::new(State::New),
            returned: Notify::new(),
        }
    }

    /// Whether failures may be held against extensions.
    pub fn is_steady(&self) -> bool {
        *locked(&self.state) == State::Steady
    }

    /// Thaws the circuits in time, until `stop`. `is_up` asks the connection itself.
    pub async fn run(&self, stop: CancellationToken, is_up: impl Fn() -> bool) {
        let mut look = interval(LOOK_EVERY);
        loop {
            let settled = match *locked(&self.state) {
                State::Settling(until) => Some(until),
                State::New | State::Down | State::Steady => None,
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.returned.notified() => {}
                () = sleep_until(settled.unwrap_or_else(Instant::now)), if settled.is_some() => {
                    self.settle();
                }
                _ = look.tick() => self.report(is_up()),
            }
        }
    }

    fn report(&self, up: bool) {
        let mut state = locked(&self.state);
        *state = match (*state, up) {
            (State::New, true) => State::Steady,
            (State::Down, true) => {
                self.returned.notify_one();
                State::Settling(Instant::now() + self.settling)
            }
            (State::Steady | State::Settling(_), false) => {
                self.circuits.freeze(true);
                State::Down
            }
            (same, _) => same,
        };
    }

    fn settle(&self) {
        let mut state = locked(&self.state);
        // It may have gone again meanwhile, and even come back.
        if matches!(*state, State::Settling(until) if until <= Instant::now()) {
            *state = State::Steady;
            self.circuits.freeze(false);
        }
    }
}

impl Observer for Link {
    fn observe(&self, observation: &Observation) {
        if let Observation::NatsUp {
            connection: INVOCATIONS,
            up,
        } = observation
        {
            self.report(*up);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use tokio::time::sleep;

    use super::*;

    const MOMENT: Duration = Duration::from_millis(1);

    struct Rig {
        link: Arc<Link>,
        up: Arc<AtomicBool>,
        stop: CancellationToken,
    }

    impl Rig {
        fn start() -> Self {
            let link = Arc::new(Link::new(Arc::default(), SETTLING));
            let up = Arc::new(AtomicBool::new(false));
            let stop = CancellationToken::new();
            let (running, stopped, asked) = (Arc::clone(&link), stop.clone(), Arc::clone(&up));
            tokio::spawn(async move {
                running.run(stopped, || asked.load(Ordering::Relaxed)).await;
            });
            Self { link, up, stop }
        }

        fn report(&self, up: bool) {
            self.up.store(up, Ordering::Relaxed);
            let connection = INVOCATIONS;
            self.link.observe(&Observation::NatsUp { connection, up });
        }

        /// Whether it is steady. Once made, a link is steady exactly while circuits count.
        fn is_steady(&self) -> bool {
            let steady = self.link.is_steady();
            assert_eq!(self.link.circuits.is_frozen(), !steady);
            steady
        }
    }

    impl Drop for Rig {
        fn drop(&mut self) {
            self.stop.cancel();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_connection_is_steady_and_a_returning_one_after_a_while() {
        let rig = Rig::start();
        assert!(!rig.link.is_steady(), "there is no link yet");
        rig.report(true);
        assert!(rig.is_steady());

        rig.report(false);
        assert!(!rig.is_steady());
        sleep(3 * SETTLING).await;
        assert!(!rig.is_steady(), "a loss lasts until the link returns");
        rig.report(true);
        sleep(SETTLING - MOMENT).await;
        assert!(!rig.is_steady(), "extensions may still be reconnecting");
        sleep(2 * MOMENT).await;
        assert!(rig.is_steady());
    }

    #[tokio::test(start_paused = true)]
    async fn every_loss_begins_the_wait_anew() {
        let rig = Rig::start();
        for up in [true, false, true] {
            rig.report(up);
        }
        sleep(SETTLING / 2).await;
        rig.report(false);
        rig.report(true);
        sleep(SETTLING - MOMENT).await;
        assert!(!rig.is_steady());
        sleep(2 * MOMENT).await;
        assert!(rig.is_steady());
    }

    #[tokio::test(start_paused = true)]
    async fn a_report_that_got_lost_is_made_up_for() {
        let rig = Rig::start();
        rig.report(true);
        rig.up.store(false, Ordering::Relaxed);
        sleep(2 * LOOK_EVERY).await;
        assert!(!rig.is_steady());
        rig.up.store(true, Ordering::Relaxed);
        sleep(SETTLING + 2 * LOOK_EVERY).await;
        assert!(rig.is_steady());
    }

    #[tokio::test(start_paused = true)]
    async fn other_connections_do_not_matter() {
        let rig = Rig::start();
        rig.report(true);
        let connection = "lookup";
        let lost = Observation::NatsUp {
            connection,
            up: false,
        };
        rig.link.observe(&lost);
        assert!(rig.is_steady());
    }
}

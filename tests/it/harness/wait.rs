//! Waiting for a condition, with a deadline and a message that says what did not happen.

use std::fmt::Debug;
use std::time::Duration;

use tokio::time::Instant;

/// Long enough for a loaded machine with two cores, short enough to be waited for.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

const FIRST_PAUSE: Duration = Duration::from_millis(2);
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// What a probe may answer: `bool`, `Option<T>`, or `Result<T, E>` when it can say why not yet.
pub(crate) trait Probe {
    /// What the wait returns.
    type Value;

    /// The value, or why there is none yet.
    fn settle(self) -> Result<Self::Value, String>;
}

impl Probe for bool {
    type Value = ();

    fn settle(self) -> Result<(), String> {
        if self {
            Ok(())
        } else {
            Err("false".to_owned())
        }
    }
}

impl<T> Probe for Option<T> {
    type Value = T;

    fn settle(self) -> Result<T, String> {
        self.ok_or_else(|| "nothing yet".to_owned())
    }
}

impl<T, E: Debug> Probe for Result<T, E> {
    type Value = T;

    fn settle(self) -> Result<T, String> {
        self.map_err(|error| format!("{error:?}"))
    }
}

/// Polls `probe` until it settles, and returns its value.
///
/// Panics at the deadline, naming `what` was waited for and the probe's last answer. A probe that
/// hangs counts as not settled.
#[track_caller]
pub(crate) fn eventually<P: Probe>(
    what: &str,
    deadline: Duration,
    mut probe: impl AsyncFnMut() -> P,
) -> impl Future<Output = P::Value> {
    let caller = std::panic::Location::caller();
    async move {
        let end = Instant::now() + deadline;
        let mut pause = FIRST_PAUSE;
        let mut last = "the first probe did not end".to_owned();
        loop {
            match tokio::time::timeout_at(end, probe())
                .await
                .map(Probe::settle)
            {
                Ok(Ok(value)) => return value,
                Ok(Err(reason)) => last = reason,
                Err(_) => {}
            }
            assert!(
                Instant::now() < end,
                "{caller}: not within {deadline:?}: {what} (last: {last})"
            );
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

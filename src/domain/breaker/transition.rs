//! A change of state, with what logs, metrics and events report about it.

use super::outcome::FailureKind;
use super::state::CircuitState;
use super::tick::Tick;
use crate::domain::words::words;

/// A circuit went from one state to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transition {
    /// The state it left.
    pub from: CircuitState,
    /// The state it is in, never the same.
    pub to: CircuitState,
    /// When.
    pub at: Tick,
    /// Why.
    pub reason: Reason,
    /// When the first trial may pass; only of a circuit that opened, and not without an end.
    pub retry_at: Option<Tick>,
    /// Failures counted since the circuit had last closed.
    pub failures: u64,
    /// The last of them.
    pub last_failure: Option<LastFailure>,
    /// Whether it opened for what routers reported: our own attempts alone would not have opened it.
    pub hearsay: bool,
}

/// The last failure that was counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastFailure {
    /// When its outcome came in.
    pub at: Tick,
    /// What it was.
    pub kind: FailureKind,
}

words! {
    /// Why a circuit changed.
    #[derive(Hash)]
    pub enum Reason {
        /// Opened: too many failures in a row.
        ConsecutiveFailures = "consecutive_failures",
        /// Opened: too many of the window's calls failed.
        ErrorRate = "error_rate",
        /// Opened: too many of the window's calls were slow.
        SlowCalls = "slow_calls",
        /// Half-opened: the open time is over and a call came.
        OpenTimeOver = "open_time_over",
        /// Closed: a trial succeeded.
        TrialSucceeded = "trial_succeeded",
        /// Opened again: a trial failed.
        TrialFailed = "trial_failed",
        /// An operator set it.
        Forced = "forced",
        /// Closed: an operator's override ran out.
        OverrideEnded = "override_ended",
        /// Closed: an operator reset it, or its extension is back in service.
        Reset = "reset",
        /// Closed: circuit breaking was switched off.
        Disabled = "disabled",
        /// Opened: it was open when the daemon last stopped.
        Restored = "restored",
    }
}

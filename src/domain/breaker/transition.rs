//! A change of state, with what logs, metrics and events report about it.

use super::outcome::FailureKind;
use super::state::CircuitState;
use super::tick::Tick;

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

/// Why a circuit changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Opened: too many failures in a row.
    ConsecutiveFailures,
    /// Opened: too many of the window's calls failed.
    ErrorRate,
    /// Opened: too many of the window's calls were slow.
    SlowCalls,
    /// Half-opened: the open time is over and a call came.
    OpenTimeOver,
    /// Closed: a trial succeeded.
    TrialSucceeded,
    /// Opened again: a trial failed.
    TrialFailed,
    /// An operator set it.
    Forced,
    /// Closed: an operator's override ran out.
    OverrideEnded,
    /// Closed: an operator reset it.
    Reset,
    /// Closed: circuit breaking was switched off.
    Disabled,
    /// Opened: it was open when the daemon last stopped.
    Restored,
}

impl Reason {
    /// The reason as written in events and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ConsecutiveFailures => "consecutive_failures",
            Self::ErrorRate => "error_rate",
            Self::SlowCalls => "slow_calls",
            Self::OpenTimeOver => "open_time_over",
            Self::TrialSucceeded => "trial_succeeded",
            Self::TrialFailed => "trial_failed",
            Self::Forced => "forced",
            Self::OverrideEnded => "override_ended",
            Self::Reset => "reset",
            Self::Disabled => "disabled",
            Self::Restored => "restored",
        }
    }
}

//! The three states of a circuit.

use super::tick::Tick;

/// A state by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CircuitState {
    /// Calls pass.
    Closed,
    /// Calls are refused.
    Open,
    /// A few trial calls pass, and one outcome decides.
    HalfOpen,
}

impl CircuitState {
    /// All states.
    pub const ALL: [Self; 3] = [Self::Closed, Self::Open, Self::HalfOpen];

    /// Reads the name of a state.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }

    /// The state as written in replies and events.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

/// A state with what only that state needs.
#[derive(Debug, Clone, Copy)]
pub(super) enum State {
    Closed {
        since: Tick,
    },
    Open {
        since: Tick,
        until: Tick,
    },
    HalfOpen {
        opened_at: Tick,
        /// Trials without an outcome.
        permits_out: u32,
        /// When the latest trial, and so each of them, has had the trial limit.
        deadline: Tick,
    },
}

impl State {
    pub(super) fn name(&self) -> CircuitState {
        match self {
            Self::Closed { .. } => CircuitState::Closed,
            Self::Open { .. } => CircuitState::Open,
            Self::HalfOpen { .. } => CircuitState::HalfOpen,
        }
    }

    pub(super) fn opened_at(&self) -> Option<Tick> {
        match *self {
            State::Closed { .. } => None,
            State::Open { since, .. } => Some(since),
            State::HalfOpen { opened_at, .. } => Some(opened_at),
        }
    }
}

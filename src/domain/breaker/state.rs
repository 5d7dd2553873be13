//! The three states of a circuit.

use super::tick::Tick;
use crate::domain::words::words;

words! {
    /// A state by name.
    #[derive(Hash)]
    pub enum CircuitState {
        /// Calls pass.
        Closed = "closed",
        /// Calls are refused.
        Open = "open",
        /// A few trial calls pass, and one outcome decides.
        HalfOpen = "half_open",
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

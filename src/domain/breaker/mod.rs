//! The circuit breaker: a state machine that stops calls to a failing extension, and tries again.
//!
//! It reads no clock and waits for nothing: every call brings the time as a [`Tick`]. Reading
//! order: [`settings`] says when it opens, [`outcome`] what it takes in, `tally` and `window` what
//! it remembers, `state` and `serials` its state, [`machine`] the rules of calls and `control` the
//! rules of orders.
//!
//! Three common faults of breakers cannot happen here. Results of attempts begun before the circuit
//! last changed are dropped: each [`Permit`] carries a serial number, and a change outdates all
//! smaller ones. A trial whose outcome is lost keeps its permit for [`Settings::trial_limit`] at
//! most. Counters begin anew whenever the circuit closes.

mod control;
pub mod machine;
pub mod outcome;
mod overrides;
mod serials;
pub mod settings;
mod state;
mod tally;
pub mod tick;
pub mod transition;
pub mod view;
mod window;

pub use machine::{Admission, Breaker, Refused};
pub use outcome::{FailureKind, Outcome};
pub use serials::Permit;
pub use settings::{Settings, SlowCalls};
pub use state::CircuitState;
pub use tick::Tick;
pub use transition::{LastFailure, Reason, Transition};
pub use view::View;

#[cfg(test)]
mod tests;

//! A circuit that went from one state to another.

use serde::Serialize;
use utoipa::ToSchema;

use super::super::time;
use crate::domain::breaker::{CircuitState, Transition};
use crate::service::circuits;
use crate::service::clock::Clock;
use crate::service::observe::Failing;

/// `data` of `circuit_opened`, `circuit_half_opened` and `circuit_closed`.
#[derive(Serialize, ToSchema)]
pub(in crate::documents) struct CircuitMoved<'a> {
    id: &'a str,
    version: &'a str,
    /// Whether the version is the current one, whose circuit is the extension's.
    current: bool,
    from: &'static str,
    to: &'static str,
    reason: &'static str,
    /// Since the circuit had last closed.
    failure_count: u64,
    #[schema(format = DateTime)]
    last_failure: Option<String>,
    /// The kind of the last failure.
    last_error: Option<&'static str>,
    /// The earliest failure in the window in which the version ceased to be well.
    #[schema(format = DateTime)]
    failing_since: Option<String>,
    /// The extension's last error text.
    error: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    opened_at: Option<Option<String>>,
    /// Null where nothing is due: not open, or held open without an end.
    #[schema(format = DateTime)]
    retry_at: Option<String>,
}

impl<'a> CircuitMoved<'a> {
    pub(super) fn new(
        moved: &'a circuits::Moved,
        current: bool,
        failing: &'a Failing,
        clock: Clock,
    ) -> Self {
        let transition = &moved.transition;
        let opened = transition.to == CircuitState::Open;
        let last = transition.last_failure;
        let retry_at = transition.retry_at.and_then(|at| clock.due(at));
        Self {
            id: moved.id.as_str(),
            version: moved.version.as_str(),
            current,
            from: transition.from.as_str(),
            to: transition.to.as_str(),
            reason: transition.reason.as_str(),
            failure_count: transition.failures,
            last_failure: last.and_then(|last| time(clock.wall(last.at))),
            last_error: last.map(|last| last.kind.as_str()),
            failing_since: failing.since.and_then(|at| time(clock.wall(at))),
            error: failing.error.as_deref(),
            opened_at: opened.then(|| time(clock.wall(transition.at))),
            retry_at: retry_at.and_then(time),
        }
    }
}

/// The kind of event for a transition.
pub(super) const fn kind(transition: &Transition) -> &'static str {
    match transition.to {
        CircuitState::Open => "circuit_opened",
        CircuitState::HalfOpen => "circuit_half_opened",
        CircuitState::Closed => "circuit_closed",
    }
}

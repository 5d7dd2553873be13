//! Circuits that this sidecar holds, as the store takes them; and those a start takes over.

use std::time::{Duration, SystemTime};

use super::spot::Spot;
use crate::domain::breaker::{CircuitState, Tick};
use crate::service::circuits::Listed;
use crate::service::clock::Clock;
use crate::service::health_store::{Held, HeldCircuit};
use crate::service::invoke::Tools;

/// Stands for the end of a circuit that is forced without one.
const NO_END: Duration = Duration::from_secs(10 * 365 * 86_400);

/// All circuits that are not closed.
pub(super) fn held(tools: &Tools) -> Vec<HeldCircuit> {
    let listed = tools.circuits.snapshot(tools.clock.tick());
    let held = listed.into_iter();
    held.filter_map(|listed| report(listed, tools.clock))
        .collect()
}

fn report(listed: Listed, clock: Clock) -> Option<HeldCircuit> {
    let view = listed.view;
    let state = match view.state {
        CircuitState::Closed => return None,
        CircuitState::Open => Held::Open,
        CircuitState::HalfOpen => Held::HalfOpen,
    };
    let now = SystemTime::now();
    let wall = |tick| match tick {
        Some(Tick::NEVER) => now.checked_add(NO_END).unwrap_or(now),
        Some(tick) => clock.wall(tick),
        None => now,
    };
    Some(HeldCircuit {
        extension: listed.id,
        version: listed.version,
        state,
        opened_at: wall(view.opened_at),
        retry_at: wall(view.retry_at),
        half_open_requests: view.trials_out,
    })
}

/// Opens a circuit that the fleet holds open. One that exists here is left alone: it has results of
/// this sidecar's own, or will have them as soon as a call under way ends.
pub(super) fn restore(tools: &Tools, held: &HeldCircuit) {
    let Some(spot) = Spot::find(tools, held.extension.as_str(), &held.version) else {
        return;
    };
    if spot.existing().is_some() {
        return;
    }
    let remaining = held.retry_at.duration_since(SystemTime::now());
    let circuit = spot.circuit();
    spot.tell(circuit.restore_open(tools.clock.tick(), remaining.unwrap_or_default()));
}

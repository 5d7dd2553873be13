//! Circuits that this sidecar holds, in the form of the store; and the ones that a start takes
//! over.

use std::time::{Duration, Instant};

use super::spot::Spot;
use crate::domain::breaker::{CircuitState, Tick};
use crate::service::circuits::Listed;
use crate::service::clock::Clock;
use crate::service::health_store::HeldCircuit;
use crate::service::invoke::Tools;

/// Stands for the end of a circuit that is forced without one.
const NO_END: Duration = Duration::from_secs(10 * 365 * 86_400);

/// All circuits that are not closed, except those that only reports opened: what routers report to
/// this sidecar is neither shown by the fleet nor taken over by others at their start.
pub(super) fn held(tools: &Tools) -> Vec<HeldCircuit> {
    let listed = tools.circuits.snapshot(tools.clock.tick());
    let held = listed.into_iter();
    held.filter_map(|listed| report(listed, tools.clock))
        .collect()
}

fn report(listed: Listed, clock: Clock) -> Option<HeldCircuit> {
    let view = listed.view;
    if view.hearsay || view.state == CircuitState::Closed {
        return None;
    }
    let (now, tick) = (Instant::now(), clock.tick());
    let ago = |opened: Tick| now.checked_sub(tick.since(opened));
    let ahead = |due: Tick| now.checked_add(due.since(tick).min(NO_END));
    // An open circuit that is not due at any time is held open without an end.
    let retry_at = match (view.state, view.retry_at) {
        (CircuitState::Open, None) => ahead(Tick::NEVER),
        (_, due) => due.and_then(ahead),
    };
    Some(HeldCircuit {
        extension: listed.id,
        incarnation: listed.incarnation,
        version: listed.version,
        state: view.state,
        opened_at: view.opened_at.and_then(ago).unwrap_or(now),
        retry_at: retry_at.unwrap_or(now),
        half_open_requests: view.trials_out,
    })
}

/// Opens a circuit that the fleet holds open. Leaves one that exists here alone: it has this
/// sidecar's own results, or will have them when a call under way ends.
pub(super) fn restore(tools: &Tools, held: &HeldCircuit) {
    let Some(spot) = Spot::find(tools, held.extension.as_str(), &held.version) else {
        return;
    };
    let is_another = spot.extension().incarnation != held.incarnation;
    if is_another || spot.existing().is_some() {
        return;
    }
    let remaining = held.retry_at.saturating_duration_since(Instant::now());
    let circuit = spot.circuit();
    spot.tell(circuit.restore_open(tools.clock.tick(), remaining));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::catalog::{Catalog, Change};
    use crate::domain::extension::Incarnation;
    use crate::domain::ids::{ExtensionId, VersionName};
    use crate::domain::testing::{change, entry, extension};
    use crate::service::testing;

    const YEAR: Duration = Duration::from_secs(365 * 86_400);

    fn version(name: &str) -> VersionName {
        VersionName::parse(name).unwrap()
    }

    /// Tools that serve `e` at `v1`.
    fn tools() -> Tools {
        let (catalog, mut writer) = Catalog::new();
        writer.apply(Change {
            upserts: vec![entry(extension("e"))],
            ..change(1)
        });
        testing::tools(catalog)
    }

    /// Open for as long as the settings of [`testing::tools`] allow.
    fn held_open(of: &str) -> HeldCircuit {
        let now = Instant::now();
        HeldCircuit {
            extension: ExtensionId::parse("e").unwrap(),
            incarnation: None,
            version: version(of),
            state: CircuitState::Open,
            opened_at: now,
            retry_at: now + YEAR,
            half_open_requests: 0,
        }
    }

    #[test]
    fn a_circuit_is_taken_over_unless_there_is_one_or_no_such_version() {
        let tools = tools();
        restore(&tools, &held_open("v2"));
        assert!(tools.circuits.snapshot(tools.clock.tick()).is_empty());
        restore(&tools, &held_open("v1"));
        let state = |tools: &Tools| tools.circuits.snapshot(Tick::default())[0].view.state;
        assert_eq!(state(&tools), CircuitState::Open);

        let another = self::tools();
        let of_another = HeldCircuit {
            incarnation: Some(Incarnation(1)),
            ..held_open("v1")
        };
        restore(&another, &of_another);
        assert!(another.circuits.snapshot(Tick::default()).is_empty());

        let called = self::tools();
        Spot::find(&called, "e", &version("v1")).unwrap().circuit();
        restore(&called, &held_open("v1"));
        assert_eq!(state(&called), CircuitState::Closed);
    }

    #[test]
    fn a_circuit_forced_open_without_an_end_is_not_due_soon() {
        let tools = tools();
        let circuit = Spot::find(&tools, "e", &version("v1")).unwrap().circuit();
        assert_eq!(held(&tools), [], "closed");
        let now = tools.clock.tick();
        circuit.force_open(now, Tick::NEVER);
        let far = held(&tools)[0].retry_at;
        assert!(far > Instant::now() + YEAR, "{far:?}");
        circuit.force_open(now, now.plus(Duration::from_secs(60)));
        let near = held(&tools)[0].retry_at;
        assert!(near < Instant::now() + YEAR, "{near:?}");
    }
}

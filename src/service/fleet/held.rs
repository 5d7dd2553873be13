//! Circuits that this sidecar holds, and the ones that a start takes over.

use std::time::Instant;

use super::spot::Spot;
use crate::domain::breaker::CircuitState;
use crate::service::circuits::Listed;
use crate::service::health_store::HeldCircuit;
use crate::service::invoke::Tools;

/// All circuits that are not closed, except those that only reports opened: what routers report to
/// this sidecar is neither shown by the fleet nor taken over by others at their start.
pub(super) fn held(tools: &Tools) -> Vec<Listed> {
    let mut held = tools.circuits.snapshot(tools.clock.tick());
    held.retain(|it| it.view.state != CircuitState::Closed && !it.view.hearsay);
    held
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
    use std::time::Duration;

    use super::*;
    use crate::domain::breaker::{FailureKind, Outcome, Tick};
    use crate::domain::catalog::{Catalog, Change};
    use crate::domain::extension::Incarnation;
    use crate::domain::ids::{ExtensionId, VersionName};
    use crate::domain::testing::{change, entry, extension};
    use crate::service::testing;

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
        HeldCircuit {
            extension: ExtensionId::parse("e").unwrap(),
            incarnation: None,
            version: version(of),
            retry_at: Instant::now() + Duration::from_secs(86_400),
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
    fn a_circuit_is_held_unless_it_is_closed_or_only_reports_opened_it() {
        let tools = tools();
        let circuit = Spot::find(&tools, "e", &version("v1")).unwrap().circuit();
        assert_eq!(held(&tools), [], "closed");
        let now = tools.clock.tick();
        for _ in 0..2 {
            let permit = circuit.admit(now).permit.unwrap();
            let failed = Outcome::Failure(FailureKind::Reported);
            permit.record(now, failed, Duration::ZERO);
        }
        assert_eq!(circuit.view(now).state, CircuitState::Open);
        assert_eq!(held(&tools), [], "hearsay");
        circuit.force_open(now, Tick::NEVER);
        assert_eq!(held(&tools).len(), 1);
    }
}

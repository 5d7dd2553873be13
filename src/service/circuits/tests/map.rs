//! Circuits by extension and version.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::{FAIL, at, settings};
use crate::domain::breaker::{CircuitState, Reason, Settings};
use crate::domain::extension::Incarnation;
use crate::domain::ids::{ExtensionId, VersionName};
use crate::domain::testing::extension;
use crate::service::circuits::{Circuit, Circuits};

fn create(circuits: &Circuits, id: &str, version: &str) -> Arc<Circuit> {
    let version = VersionName::parse(version).unwrap();
    circuits.get_or_create(&extension(id), &version, settings)
}

fn fail(circuit: &Arc<Circuit>) {
    let permit = circuit.admit(at(0)).permit.unwrap();
    permit.record(at(0), FAIL, Duration::ZERO);
}

fn names(circuits: &Circuits) -> Vec<String> {
    let listed = circuits.snapshot(at(0)).into_iter();
    listed.map(|c| format!("{}/{}", c.id, c.version)).collect()
}

#[test]
fn each_version_has_one_circuit_of_its_own() {
    let circuits = Circuits::default();
    assert!(circuits.get("a", "v1").is_none());
    let first = create(&circuits, "a", "v1");
    assert!(Arc::ptr_eq(&first, &create(&circuits, "a", "v1")));
    assert!(Arc::ptr_eq(&first, &circuits.get("a", "v1").unwrap()));
    fail(&first);
    assert!(!create(&circuits, "a", "v2").refuses(at(0)));
    // The two names are hashed apart: these are not the same key.
    create(&circuits, "av", "1");
    assert_eq!(names(&circuits), ["a/v1", "a/v2", "av/1"]);
    assert_eq!(circuits.snapshot(at(0))[0].view.state, CircuitState::Open);
}

/// Whichever of them calls first, before circuits follow the catalog and afterwards.
#[test]
fn an_extension_made_anew_has_nothing_to_do_with_the_circuit_of_the_one_before() {
    let circuits = Circuits::default();
    let of = |number| {
        let mut extension = extension("a");
        extension.incarnation = Some(Incarnation(number));
        extension
    };
    let v1 = VersionName::parse("v1").unwrap();
    let circuit = |number| circuits.get_or_create(&of(number), &v1, settings);
    fail(&circuit(1));
    assert!(circuits.of(&of(1), &v1).unwrap().refuses(at(0)));
    assert!(circuits.of(&of(2), &v1).is_none());
    assert!(!circuit(2).refuses(at(0)));
    circuits.retain(at(0), |_, _, circuit| {
        circuit.whose.is(&of(2)).then(settings)
    });
    assert_eq!(names(&circuits), [""; 0]);
    circuit(2);
    fail(&circuit(1));
    assert!(!circuits.get("a", "v1").unwrap().refuses(at(0)));
}

/// It has slept since it chose its version; nothing changes after it for days.
#[test]
fn a_circuit_that_a_late_call_made_for_the_extension_before_gives_way() {
    let circuits = Circuits::default();
    let v1 = VersionName::parse("v1").unwrap();
    let circuit = |number: u64| {
        let mut extension = extension("a");
        extension.incarnation = Some(Incarnation(number.into()));
        extension.revision = number;
        circuits.get_or_create(&extension, &v1, settings)
    };
    let late = circuit(1);
    let own = circuit(2);
    assert!(late.is_gone() && !own.is_gone());
    assert!(Arc::ptr_eq(&own, &circuit(2)), "the next call's, too");
    assert!(circuit(1).is_gone());
    assert!(Arc::ptr_eq(&own, &circuits.get("a", "v1").unwrap()));
}

#[test]
fn circuits_follow_the_catalog() {
    let circuits = Circuits::default();
    for (id, version) in [("a", "v1"), ("a", "v2"), ("b", "v1")] {
        fail(&create(&circuits, id, version));
    }
    let off = Settings {
        enabled: false,
        ..settings()
    };
    let moved = circuits.retain(at(0), |id, version, _| {
        match (id.as_str(), version.as_str()) {
            ("a", "v1") => Some(settings()),
            ("b", _) => Some(off.clone()),
            _ => None,
        }
    });
    assert_eq!(names(&circuits), ["a/v1", "b/v1"]);
    assert_eq!((moved.len(), moved[0].id.as_str()), (1, "b"));
    assert_eq!(moved[0].transition.reason, Reason::Disabled);
    assert!(
        circuits.get("a", "v1").unwrap().refuses(at(0)),
        "the state stays"
    );
}

#[test]
fn all_circuits_of_an_extension_are_reset_together() {
    let circuits = Circuits::default();
    for (id, version) in [("a", "v1"), ("a", "v2"), ("b", "v1")] {
        fail(&create(&circuits, id, version));
    }
    create(&circuits, "a", "v3");
    let moved = circuits.start_over(at(0), &ExtensionId::parse("a").unwrap());
    assert_eq!(moved.len(), 2, "the third was closed");
    let open: Vec<_> = circuits
        .snapshot(at(0))
        .into_iter()
        .map(|c| c.view.state)
        .collect();
    use CircuitState::{Closed, Open};
    assert_eq!(open, [Closed, Closed, Closed, Open]);
}

/// Circuits are made while others freeze and thaw all: in the end each follows the last order.
#[test]
fn no_circuit_slips_through_a_freeze() {
    for last in [true, false] {
        let circuits = Circuits::default();
        let started = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                for number in 0..500 {
                    create(&circuits, &format!("x{number}"), "v1");
                    started.store(true, Ordering::Release);
                }
            });
            while !started.load(Ordering::Acquire) {
                thread::yield_now();
            }
            for turn in 0..200 {
                circuits.freeze(turn % 2 == 0);
            }
            circuits.freeze(last);
        });
        let listed = circuits.snapshot(at(0));
        assert_eq!(listed.len(), 500);
        assert!(listed.iter().all(|circuit| circuit.view.frozen == last));
    }
}

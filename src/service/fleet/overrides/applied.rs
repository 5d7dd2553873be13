//! Which overrides the circuits of this sidecar have.

use std::collections::{HashMap, HashSet};

use super::super::spot::Spot;
use crate::domain::breaker::{Tick, Transition};
use crate::domain::ids::{ExtensionId, VersionName};
use crate::service::circuits::Circuit;
use crate::service::health_store::{Override, OverrideAction};
use crate::service::invoke::Tools;

/// What was last applied to each circuit that the store has an entry for.
#[derive(Debug, Default)]
pub(super) struct Applied {
    by_circuit: HashMap<(ExtensionId, VersionName), Known>,
    /// Whether the first list was seen. Resets in it are older than this sidecar's circuits.
    pub(super) begun: bool,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    change: u128,
    action: OverrideAction,
    /// As it was first read: read again, it differs by the jitter of its conversion.
    until: Tick,
}

impl Applied {
    /// Brings the circuits in line with `overrides`, all that are in force: what is new there is
    /// applied, what has vanished from there ends.
    pub(super) fn follow(&mut self, tools: &Tools, overrides: &[Override]) {
        let listed = overrides.iter().map(|it| (&it.extension, &it.version));
        let listed: HashSet<_> = listed.collect();
        self.by_circuit.retain(|(id, version), _| {
            let ended = !listed.contains(&(id, version)) && lift(tools, id, version);
            !ended
        });
        for it in overrides {
            self.one(tools, it, self.begun);
        }
        self.begun = true;
    }

    /// Brings one circuit in line. A version that the catalog does not have, or has of another
    /// extension of the id, is left for when it does: whatever changes the catalog has this looked
    /// at again. Unless it is `fresh` a reset is older than the circuit.
    pub(super) fn one(&mut self, tools: &Tools, wanted: &Override, fresh: bool) {
        let key = (wanted.extension.clone(), wanted.version.clone());
        let Some(spot) = Spot::find(tools, key.0.as_str(), &key.1) else {
            // What comes back from quarantine has kept its circuit, so this knows it still.
            return;
        };
        if spot.extension().incarnation != wanted.incarnation {
            self.by_circuit.remove(&key);
            return;
        }
        let now = tools.clock.tick();
        let old = self.by_circuit.get(&key);
        let known = match old.filter(|known| known.change == wanted.change) {
            Some(known) if known.holds(&spot, tools) => return,
            Some(known) => *known,
            None => Known {
                change: wanted.change,
                action: wanted.action,
                until: wanted.until.map_or(Tick::NEVER, |it| tools.clock.at(it)),
            },
        };
        self.by_circuit.insert(key, known);
        if known.action == OverrideAction::Reset && !fresh {
            return;
        }
        spot.apply(known.action, now, known.until);
    }
}

impl Known {
    /// Whether the circuit is as this wants it. Not so is one that was made anew since, or whose
    /// breaker was switched off and on again.
    fn holds(&self, spot: &Spot, tools: &Tools) -> bool {
        let now = tools.clock.tick();
        let forced = || {
            let circuit = spot.existing();
            circuit.is_some_and(|it| it.view(now).forced_until.is_some())
        };
        self.action == OverrideAction::Reset || now >= self.until || forced()
    }
}

impl OverrideAction {
    /// Does it to a circuit, until then.
    pub fn apply(self, circuit: &Circuit, now: Tick, until: Tick) -> Option<Transition> {
        match self {
            Self::Open => circuit.force_open(now, until),
            Self::Close => circuit.force_close(now, until),
            Self::Reset => circuit.reset(now),
        }
    }
}

/// Ends an override; `false` where what it is of is quarantined: then that has to wait. One that has
/// run out by itself has ended already, and what the circuit did since is its own.
fn lift(tools: &Tools, id: &ExtensionId, version: &VersionName) -> bool {
    let now = tools.clock.tick();
    let Some(spot) = Spot::find(tools, id.as_str(), version) else {
        return !tools.selector.catalog().quarantine().holds(id.as_str());
    };
    if let Some(circuit) = spot.existing()
        && circuit.view(now).forced_until.is_some()
    {
        spot.tell(circuit.reset(now));
    }
    true
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::domain::breaker::CircuitState::{self, Closed, Open};
    use crate::domain::catalog::{Catalog, CatalogWriter, Change};
    use crate::domain::quarantine::Quarantine;
    use crate::domain::testing::{change, entry, extension, fault};
    use crate::service::testing::tools;

    struct Sidecar {
        tools: Tools,
        applied: Applied,
        writer: CatalogWriter,
    }

    impl Sidecar {
        /// That serves `e`, and found these overrides at its start.
        fn started(overrides: &[Override]) -> Self {
            let (catalog, mut writer) = Catalog::new();
            writer.apply(Change {
                upserts: vec![entry(extension("e"))],
                ..change(1)
            });
            let mut sidecar = Self {
                tools: tools(catalog),
                applied: Applied::default(),
                writer,
            };
            sidecar.follow(overrides);
            sidecar
        }

        fn follow(&mut self, overrides: &[Override]) {
            self.applied.follow(&self.tools, overrides);
        }

        fn quarantines(&mut self) {
            self.writer.apply(Change {
                removals: vec![ExtensionId::parse("e").unwrap()],
                quarantine: Quarantine::new([fault("e", 1)]),
                ..change(2)
            });
        }

        fn serves_again(&mut self) {
            self.writer.apply(Change {
                upserts: vec![entry(extension("e"))],
                ..change(3)
            });
        }

        fn circuit(&self) -> std::sync::Arc<Circuit> {
            let version = VersionName::parse("v1").unwrap();
            Spot::find(&self.tools, "e", &version).unwrap().circuit()
        }

        /// The state, and whether it is forced.
        fn stands(&self) -> (CircuitState, bool) {
            let view = self.circuit().view(self.tools.clock.tick());
            (view.state, view.forced_until.is_some())
        }
    }

    fn wanted(action: OverrideAction, change: u128, until: Option<Duration>) -> Override {
        Override {
            extension: ExtensionId::parse("e").unwrap(),
            incarnation: None,
            version: VersionName::parse("v1").unwrap(),
            action,
            change,
            until: until.map(|ttl| Instant::now() + ttl),
        }
    }

    const HOUR: Option<Duration> = Some(Duration::from_secs(3600));

    #[test]
    fn each_change_is_applied_once_and_ends_when_it_vanishes() {
        let open = wanted(OverrideAction::Open, 1, None);
        let mut sidecar = Sidecar::started(&[]);
        sidecar.follow(std::slice::from_ref(&open));
        assert_eq!(sidecar.stands(), (Open, true));
        sidecar.follow(&[open]);
        assert_eq!(sidecar.stands(), (Open, true));
        sidecar.follow(&[wanted(OverrideAction::Close, 2, HOUR)]);
        assert_eq!(sidecar.stands(), (Closed, true));
        sidecar.follow(&[]);
        assert_eq!(sidecar.stands(), (Closed, false));
    }

    #[test]
    fn a_reset_is_heeded_once_and_not_when_it_is_older_than_the_start() {
        let reset = wanted(OverrideAction::Reset, 1, HOUR);
        let mut sidecar = Sidecar::started(std::slice::from_ref(&reset));
        let force = |sidecar: &Sidecar| {
            let circuit = sidecar.circuit();
            circuit.force_open(sidecar.tools.clock.tick(), Tick::NEVER);
        };
        force(&sidecar);
        sidecar.follow(&[reset]);
        assert_eq!(sidecar.stands(), (Open, true));
        let newer = [wanted(OverrideAction::Reset, 2, HOUR)];
        sidecar.follow(&newer);
        assert_eq!(sidecar.stands(), (Closed, false));
        force(&sidecar);
        sidecar.follow(&newer);
        assert_eq!(sidecar.stands(), (Open, true));
    }

    /// Written here before the store could be read.
    #[test]
    fn a_fresh_reset_is_heeded_also_before_the_first_list() {
        let mut sidecar = Sidecar::started(&[]);
        sidecar.applied = Applied::default();
        let now = sidecar.tools.clock.tick();
        sidecar.circuit().force_open(now, Tick::NEVER);
        let reset = wanted(OverrideAction::Reset, 1, HOUR);
        sidecar.applied.one(&sidecar.tools, &reset, true);
        assert_eq!(sidecar.stands(), (Closed, false));
        sidecar.circuit().force_open(now, Tick::NEVER);
        sidecar.follow(&[reset]);
        assert_eq!(sidecar.stands(), (Open, true));
    }

    /// What is quarantined keeps its circuit: it is not reset again by what it has heeded before.
    #[test]
    fn a_reset_is_heeded_once_also_by_what_is_quarantined_meanwhile() {
        let reset = [wanted(OverrideAction::Reset, 1, HOUR)];
        let mut sidecar = Sidecar::started(&[]);
        sidecar.follow(&reset);
        let now = sidecar.tools.clock.tick();
        sidecar.circuit().force_open(now, Tick::NEVER);
        sidecar.quarantines();
        sidecar.follow(&reset);
        sidecar.serves_again();
        sidecar.follow(&reset);
        assert_eq!(sidecar.stands(), (Open, true));
        let newer = [wanted(OverrideAction::Reset, 2, HOUR)];
        sidecar.follow(&newer);
        assert_eq!(sidecar.stands(), (Closed, false));
    }

    #[test]
    fn an_override_that_vanishes_while_its_extension_is_quarantined_ends_when_that_is_back() {
        let open = [wanted(OverrideAction::Open, 1, None)];
        let mut sidecar = Sidecar::started(&[]);
        sidecar.follow(&open);
        sidecar.quarantines();
        sidecar.follow(&open);
        sidecar.follow(&[]);
        sidecar.serves_again();
        assert_eq!(sidecar.stands(), (Open, true));
        sidecar.follow(&[]);
        assert_eq!(sidecar.stands(), (Closed, false));
    }

    #[test]
    fn what_a_circuit_does_after_an_override_ran_out_is_its_own() {
        let mut sidecar =
            Sidecar::started(&[wanted(OverrideAction::Open, 1, Some(Duration::ZERO))]);
        assert_eq!(sidecar.stands(), (Closed, false));
        let now = sidecar.tools.clock.tick();
        sidecar.circuit().reset(now);
        let restored = sidecar.circuit().restore_open(now, Duration::from_secs(1));
        assert!(restored.is_some());
        sidecar.follow(&[]);
        assert_eq!(sidecar.stands(), (Open, false));
    }

    #[test]
    fn a_circuit_that_is_made_anew_is_under_the_override_again() {
        let open = [wanted(OverrideAction::Open, 1, HOUR)];
        let mut sidecar = Sidecar::started(&open);
        let tools = sidecar.tools.clone();
        let drop_circuits = || tools.circuits.retain(tools.clock.tick(), |_, _, _| None);
        drop_circuits();
        assert_eq!(sidecar.stands(), (Closed, false));
        sidecar.follow(&open);
        assert_eq!(sidecar.stands(), (Open, true));

        drop_circuits();
        let e = ExtensionId::parse("e").unwrap();
        sidecar.writer.apply(Change {
            removals: vec![e],
            ..change(2)
        });
        sidecar.follow(&open);
        assert!(
            tools.circuits.get("e", "v1").is_none(),
            "nothing for nobody"
        );
        sidecar.writer.apply(Change {
            upserts: vec![entry(extension("e"))],
            ..change(3)
        });
        sidecar.follow(&open);
        assert_eq!(sidecar.stands(), (Open, true));
    }
}

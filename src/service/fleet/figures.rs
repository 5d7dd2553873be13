//! What the other sidecars counted, as last read.

use std::collections::HashMap;

use arc_swap::ArcSwap;

use crate::domain::catalog::Catalog;
use crate::domain::extension::Extension;
use crate::domain::health::HealthSums;
use crate::domain::ids::ExtensionId;
use crate::service::health_store::Figures;

/// The figures of the rest of the fleet; empty without a database.
#[derive(Debug, Default)]
pub struct FleetFigures(ArcSwap<HashMap<ExtensionId, Figures>>);

impl FleetFigures {
    /// What the others counted of one extension.
    pub fn of(&self, extension: &Extension) -> HealthSums {
        let all = self.0.load();
        let figures = all.get(&extension.id);
        let figures = figures.filter(|it| it.incarnation == extension.incarnation);
        figures.map(|figures| figures.sums).unwrap_or_default()
    }

    /// The ids of all that the others counted something of.
    pub fn ids(&self) -> Vec<ExtensionId> {
        self.0.load().keys().cloned().collect()
    }

    /// Replaces all figures.
    pub fn replace(&self, figures: impl IntoIterator<Item = Figures>) {
        self.0
            .store(by_id(figures).collect::<HashMap<_, _>>().into());
    }

    /// Replaces the figures of the extensions that `figures` names. Drops them where `catalog` has
    /// no such extension, or another one with its id; keeps quarantined ones, which may come back.
    /// Only the one task that keeps them calls this.
    pub fn merge(&self, figures: impl IntoIterator<Item = Figures>, catalog: &Catalog) {
        let mut all = HashMap::clone(&self.0.load());
        all.extend(by_id(figures));
        let quarantine = catalog.quarantine();
        all.retain(|id, it| match catalog.get(id.as_str()) {
            Some(entry) => entry.extension().incarnation == it.incarnation,
            None => quarantine.holds(id.as_str()),
        });
        self.0.store(all.into());
    }
}

fn by_id(
    figures: impl IntoIterator<Item = Figures>,
) -> impl Iterator<Item = (ExtensionId, Figures)> {
    let figures = figures.into_iter();
    figures.map(|figures| (figures.extension.clone(), figures))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::catalog::Change;
    use crate::domain::extension::Incarnation;
    use crate::domain::health::Counts;
    use crate::domain::quarantine::{Fault, FaultyExtension, Quarantine};
    use crate::domain::testing::{change, entry, extension};

    fn of(id: &str, incarnation: u128) -> Extension {
        let mut extension = extension(id);
        extension.incarnation = Some(Incarnation(incarnation));
        extension
    }

    fn figures(id: &str, incarnation: u128, successes: u64) -> Figures {
        let counts = Counts {
            successes,
            ..Counts::default()
        };
        Figures {
            extension: ExtensionId::parse(id).unwrap(),
            incarnation: Some(Incarnation(incarnation)),
            sums: HealthSums {
                counts,
                ..HealthSums::default()
            },
        }
    }

    #[test]
    fn a_merge_replaces_what_it_names_and_drops_what_is_gone_or_another() {
        let (catalog, mut writer) = Catalog::new();
        let faulty = Fault {
            origin: "extensions/faulty".into(),
            reason: "odd".into(),
            extension: Some(FaultyExtension {
                id: "faulty".into(),
                unserved_digest: Some(1),
            }),
        };
        writer.apply(Change {
            upserts: [("b", 1), ("c", 1), ("d", 1), ("e", 2), ("f", 2)]
                .map(|(id, incarnation)| entry(of(id, incarnation)))
                .into(),
            quarantine: Quarantine::new([faulty]),
            ..change(1)
        });
        let fleet = FleetFigures::default();
        fleet.replace(["a", "b", "c", "e", "faulty"].map(|id| figures(id, 1, 1)));
        // Read before `f` was made anew, and reported afterwards.
        let read = [figures("b", 1, 20), figures("d", 1, 40), figures("f", 1, 7)];
        fleet.merge(read, &catalog);
        let successes = |id: &str, incarnation: u128| {
            let sums = fleet.of(&of(id, incarnation));
            sums.counts.successes
        };
        let all = ["a", "b", "c", "d"].map(|id| successes(id, 1));
        assert_eq!(all, [0, 20, 1, 40]);
        assert_eq!([successes("e", 1), successes("e", 2)], [0, 0]);
        assert_eq!(successes("b", 2), 0, "not the previous one's figures");
        assert_eq!(successes("f", 2), 0, "nor those that came late");
        assert_eq!(successes("faulty", 1), 1, "it may come back");
    }
}

//! What the other sidecars counted, as last read.

use std::collections::HashMap;

use arc_swap::ArcSwap;

use crate::domain::ids::ExtensionId;
use crate::service::health_store::Figures;

/// The figures of the rest of the fleet; empty without a database.
#[derive(Debug, Default)]
pub struct FleetFigures(ArcSwap<HashMap<ExtensionId, Figures>>);

impl FleetFigures {
    /// What the others counted of one extension.
    pub fn of(&self, id: &ExtensionId) -> Option<Figures> {
        self.0.load().get(id).cloned()
    }

    /// Replaces all figures.
    pub fn replace(&self, figures: impl IntoIterator<Item = Figures>) {
        let figures = figures.into_iter();
        let by_id = figures.map(|figures| (figures.extension.clone(), figures));
        self.0.store(by_id.collect::<HashMap<_, _>>().into());
    }

    /// Replaces the figures of some; those of extensions that `exists` denies are dropped. For the
    /// one task that keeps them.
    pub fn merge(
        &self,
        figures: impl IntoIterator<Item = Figures>,
        exists: impl Fn(&ExtensionId) -> bool,
    ) {
        let mut all = HashMap::clone(&self.0.load());
        all.extend(
            figures
                .into_iter()
                .map(|figures| (figures.extension.clone(), figures)),
        );
        all.retain(|id, _| exists(id));
        self.0.store(all.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::health_store::Tally;

    fn figures(id: &str, successes: u64) -> Figures {
        let tally = Tally {
            successes,
            ..Tally::default()
        };
        Figures {
            extension: ExtensionId::parse(id).unwrap(),
            tally,
            last_success: None,
            last_failure: None,
        }
    }

    #[test]
    fn a_merge_replaces_what_it_names_and_drops_what_is_gone() {
        let fleet = FleetFigures::default();
        fleet.replace([figures("a", 1), figures("b", 2), figures("c", 3)]);
        fleet.merge([figures("b", 20), figures("d", 40)], |id| {
            id.as_str() != "a"
        });
        let successes = |id: &str| {
            let id = ExtensionId::parse(id).unwrap();
            fleet.of(&id).map(|figures| figures.tally.successes)
        };
        let all = ["a", "b", "c", "d"].map(successes);
        assert_eq!(all, [None, Some(20), Some(3), Some(40)]);
    }
}

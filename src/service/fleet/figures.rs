//! What the other sidecars counted, as last read.

use std::collections::HashMap;

use arc_swap::ArcSwap;

use crate::domain::extension::{Extension, Incarnation};
use crate::domain::ids::ExtensionId;
use crate::service::health_store::Figures;

/// The figures of the rest of the fleet; empty without a database.
#[derive(Debug, Default)]
pub struct FleetFigures(ArcSwap<HashMap<ExtensionId, Of>>);

/// Figures, and of which extension of that id they were read.
#[derive(Debug, Clone)]
struct Of {
    incarnation: Option<Incarnation>,
    figures: Figures,
}

impl FleetFigures {
    /// What the others counted of one extension.
    pub fn of(&self, extension: &Extension) -> Option<Figures> {
        let all = self.0.load();
        let own = all.get(&extension.id);
        let own = own.filter(|it| it.incarnation == extension.incarnation)?;
        Some(own.figures.clone())
    }

    /// Replaces all figures. `is` answers which extension has an id; what has none is dropped.
    pub fn replace(
        &self,
        figures: impl IntoIterator<Item = Figures>,
        is: impl Fn(&ExtensionId) -> Option<Option<Incarnation>>,
    ) {
        let all: HashMap<_, _> = by_id(figures, &is).collect();
        self.0.store(all.into());
    }

    /// Replaces the figures of some; those of extensions that are gone, or another one by now, are
    /// dropped. For the one task that keeps them.
    pub fn merge(
        &self,
        figures: impl IntoIterator<Item = Figures>,
        is: impl Fn(&ExtensionId) -> Option<Option<Incarnation>>,
    ) {
        let mut all = HashMap::clone(&self.0.load());
        all.extend(by_id(figures, &is));
        all.retain(|id, it| is(id) == Some(it.incarnation));
        self.0.store(all.into());
    }
}

fn by_id(
    figures: impl IntoIterator<Item = Figures>,
    is: impl Fn(&ExtensionId) -> Option<Option<Incarnation>>,
) -> impl Iterator<Item = (ExtensionId, Of)> {
    figures.into_iter().filter_map(move |figures| {
        let incarnation = is(&figures.extension)?;
        let id = figures.extension.clone();
        Some((
            id,
            Of {
                incarnation,
                figures,
            },
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::testing::extension;
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
    fn a_merge_replaces_what_it_names_and_drops_what_is_gone_or_another() {
        let fleet = FleetFigures::default();
        let first = Some(Some(Incarnation(1)));
        fleet.replace(["a", "b", "c", "e"].map(|id| figures(id, 1)), |_| first);
        fleet.merge([figures("b", 20), figures("d", 40)], |id| {
            match id.as_str() {
                "a" => None,
                "e" => Some(Some(Incarnation(2))),
                _ => first,
            }
        });
        let successes = |id: &str, incarnation: u128| {
            let mut extension = extension(id);
            extension.incarnation = Some(Incarnation(incarnation));
            fleet.of(&extension).map(|figures| figures.tally.successes)
        };
        let all = ["a", "b", "c", "d"].map(|id| successes(id, 1));
        assert_eq!(all, [None, Some(20), Some(1), Some(40)]);
        assert_eq!([successes("e", 1), successes("e", 2)], [None, None]);
        assert_eq!(successes("b", 2), None, "not those of the one before");
    }
}

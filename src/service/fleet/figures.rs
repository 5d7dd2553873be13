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
}

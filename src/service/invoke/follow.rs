//! Circuits and running sides follow the catalog.

use super::Tools;
use crate::service::circuits::Moved;
use crate::service::observe::Observation;

/// Adapts what runs to what is configured; to be called after every change of the catalog.
#[derive(Debug)]
pub struct Follower(Tools);

impl Follower {
    /// Follows the catalog that `tools` choose from.
    pub fn new(tools: Tools) -> Self {
        Self(tools)
    }

    /// Forgets what is gone, and gives the rest its new settings.
    pub fn follow(&self) {
        let Tools {
            selector,
            runtimes,
            circuits,
            clock,
            ..
        } = &self.0;
        let catalog = selector.catalog();
        runtimes.retain(|id| catalog.get(id.as_str()).is_some());
        let moved = circuits.retain(clock.tick(), |id, version| {
            let entry = catalog.get(id.as_str())?;
            let extension = entry.extension();
            let mut candidates = entry.candidates();
            candidates.find(|candidate| candidate.resolve(extension).version == version)?;
            Some(runtimes.setup(&entry).limits.breaker.clone())
        });
        for moved in moved {
            self.0.tell(moved);
        }
    }
}

impl Tools {
    /// Tells of a circuit that changed.
    pub fn tell(&self, moved: Moved) {
        let entry = self.selector.catalog().get(moved.id.as_str());
        let current = entry.is_some_and(|entry| entry.extension().version == moved.version);
        self.observers.observe(&Observation::Circuit {
            id: moved.id,
            version: moved.version,
            current,
            transition: moved.transition,
        });
    }
}

//! The circuits of this sidecar, page by page.

use super::Health;
use crate::domain::ids::{ExtensionId, VersionName};
use crate::service::circuits::Listed;
use crate::service::error::RegistryError;
use crate::service::invoke::Resting;

/// The place of a circuit in listings: by id, then by version.
pub type CircuitPlace = (ExtensionId, VersionName);

/// What a listing asks for.
#[derive(Debug, Clone)]
pub struct CircuitQuery {
    /// Only circuits of this extension.
    pub id: Option<String>,
    /// The most that are returned.
    pub limit: usize,
    /// Only circuits after this place.
    pub after: Option<CircuitPlace>,
}

/// Some circuits in order.
#[derive(Debug)]
pub struct CircuitPage {
    /// The circuits.
    pub circuits: Vec<CircuitRow>,
    /// Whether there are more after these.
    pub more: bool,
}

/// A circuit. There is one for every version that was called or forced.
#[derive(Debug, Clone, PartialEq)]
pub struct CircuitRow {
    /// Its state.
    pub listed: Listed,
    /// What rests after push-back: that is separate from the circuit, and does not move it.
    pub resting: Vec<Resting>,
}

impl Health {
    /// A page of the circuits.
    ///
    /// # Errors
    /// No such extension.
    pub fn circuits(&self, query: &CircuitQuery) -> Result<CircuitPage, RegistryError> {
        let clock = &self.tools.clock;
        let mut listed = self.tools.circuits.snapshot(clock.tick());
        if let Some(id) = &query.id {
            let entry = self.tools.selector.entry(id)?;
            listed.retain(|circuit| circuit.id == entry.extension().id);
        }
        if let Some((id, version)) = &query.after {
            listed.retain(|circuit| (&circuit.id, &circuit.version) > (id, version));
        }
        let more = listed.len() > query.limit;
        listed.truncate(query.limit);
        let circuits = listed.into_iter();
        Ok(CircuitPage {
            circuits: circuits.map(|it| self.circuit(it)).collect(),
            more,
        })
    }

    /// A circuit, with what rests of its version.
    pub fn circuit(&self, listed: Listed) -> CircuitRow {
        let of = (&listed.id, listed.incarnation);
        let runtimes = &self.tools.runtimes;
        let resting = runtimes.resting(of, &listed.version);
        CircuitRow { listed, resting }
    }
}

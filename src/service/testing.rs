//! What tests of this layer share.

use std::sync::Arc;

use super::circuits::Circuits;
use super::clock::Clock;
use super::selection::{HealthRouting, Selector};
use crate::domain::catalog::Catalog;

/// A selector whose circuits are all closed.
pub(crate) fn selector(catalog: Arc<Catalog>, environment: Option<String>) -> Selector {
    let routing = HealthRouting {
        enabled: true,
        min_success_rate: 0.8,
    };
    let circuits = Arc::new(Circuits::default());
    Selector::new(catalog, environment, circuits, routing, Clock::default())
}

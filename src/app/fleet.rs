//! What goes on beside requests: health to and from the fleet, and what the machine does by itself.

use std::sync::Arc;

use super::automatic;
use super::essential::Essential;
use super::shared::Shared;
use crate::adapters::nats::mux::Mux;
use crate::config::Settings;

/// Starts the tasks.
pub(super) fn start(
    settings: &Settings,
    shared: &Shared,
    caller: Arc<Mux>,
    essential: &mut Essential,
) {
    automatic::start(settings, shared, &caller, essential);
}

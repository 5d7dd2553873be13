//! What goes on beside requests: health to and from the fleet, and what the machine does by itself.

use std::sync::Arc;

use super::essential::Essential;
use super::shared::Shared;
use crate::adapters::nats::mux::Mux;
use crate::config::Settings;
use crate::service::health::tell_summaries;

/// Starts the tasks.
pub(super) fn start(
    settings: &Settings,
    shared: &Shared,
    caller: Arc<Mux>,
    essential: &mut Essential,
) {
    essential.spawn(
        "health summary",
        tell_summaries(
            Arc::clone(&shared.health),
            shared.progress.clone(),
            settings.health.summary_interval,
            shared.observers.clone(),
            essential.stopped(),
        ),
    );
    let _ = caller;
}

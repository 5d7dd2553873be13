//! Background work: health to and from the fleet, and what happens automatically.

use std::sync::Arc;

use super::automatic;
use super::essential::Essential;
use super::shared::Shared;
use crate::adapters::nats::calls::Calls;
use crate::config::Settings;
use crate::service::fleet::{Keeper, OverrideKeeper, OverrideQueue, Restored, keep_calm};
use crate::service::health::tell_summaries;

/// Starts the tasks. The answer completes when the circuits are as the fleet left them.
pub(super) fn start(
    settings: &Settings,
    shared: &Shared,
    caller: Arc<Calls>,
    overrides: OverrideQueue,
    essential: &mut Essential,
) -> Restored {
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
    automatic::start(settings, shared, &caller, essential);
    let stopped = essential.stopped();
    let interval = settings.health.flush_interval;
    let calm = keep_calm(shared.tools.clone(), interval, stopped.clone());
    essential.spawn("calm", calm);
    let Some(store) = shared.store(settings) else {
        return Restored::missing(0);
    };
    let restored = Restored::missing(2);
    let keeper = Keeper::new(
        Arc::clone(&store),
        shared.tools.clone(),
        Arc::clone(&shared.fleet),
        shared.alive.clone(),
        interval,
    );
    let signs = shared.changed.signs();
    essential.spawn(
        "health",
        keeper.run(signs, restored.clone(), stopped.clone()),
    );
    let keeper = OverrideKeeper::new(
        store,
        shared.tools.clone(),
        overrides,
        settings.source.sync_interval,
    );
    let news = shared.overridden.signs();
    let signs = shared.changed.signs();
    essential.spawn(
        "overrides",
        keeper.run(news, signs, restored.clone(), stopped),
    );
    restored
}

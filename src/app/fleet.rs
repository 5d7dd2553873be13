//! Background work: health to and from the fleet, and what happens automatically.

use std::sync::Arc;

use tokio_util::task::TaskTracker;

use super::automatic;
use super::essential::Essential;
use super::shared::Shared;
use crate::adapters::nats::calls::Calls;
use crate::service::fleet::{Keeper, OverrideKeeper, OverrideQueue, keep_calm};
use crate::service::health::tell_summaries;

/// Starts the tasks. The answer is empty when the circuits are as the fleet left them.
pub(super) fn start(
    shared: &Shared,
    caller: &Arc<Calls>,
    overrides: OverrideQueue,
    essential: &mut Essential,
) -> TaskTracker {
    let settings = &shared.settings;
    let summaries = tell_summaries(
        Arc::clone(&shared.health),
        shared.progress.clone(),
        settings.health.summary_interval,
        shared.observers.clone(),
        essential.stopped(),
    );
    essential.spawn("health summary", summaries);
    automatic::start(shared, caller, essential);
    let stopped = essential.stopped();
    let interval = settings.health.flush_interval;
    let calm = keep_calm(shared.tools.clone(), interval, stopped.clone());
    essential.spawn("calm", calm);
    let restored = TaskTracker::new();
    restored.close();
    let Some(store) = &shared.store else {
        return restored;
    };
    let keeper = Keeper::new(
        Arc::clone(store),
        shared.tools.clone(),
        Arc::clone(&shared.fleet),
        shared.alive.clone(),
        interval,
    );
    let applied = shared.progress.follow();
    let keeping = keeper.run(applied, restored.token(), stopped.clone());
    essential.spawn("health", keeping);
    let keeper = OverrideKeeper::new(
        Arc::clone(store),
        shared.tools.clone(),
        overrides,
        settings.source.sync_interval,
    );
    let news = Arc::clone(&shared.overridden);
    let applied = shared.progress.follow();
    let keeping = keeper.run(news, applied, restored.token(), stopped);
    essential.spawn("overrides", keeping);
    restored
}

//! What happens automatically: freezing circuits, disabling and enabling, publishing changes.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::essential::Essential;
use super::shared::Shared;
use crate::adapters::nats::calls::Calls;
use crate::adapters::nats::events::ChangePublisher;
use crate::documents::switch;
use crate::service::caller::Caller;
use crate::service::circuits::Circuits;
use crate::service::fleet::changes::ChangeTeller;
use crate::service::fleet::halt::Halter;
use crate::service::fleet::link::{Link, SETTLING};
use crate::service::fleet::openings::Openings;
use crate::service::fleet::probe::Prober;
use crate::service::fleet::switch::AutoDisabler;
use crate::service::observe::Observer;

/// What the tasks here share with the observers.
pub(super) struct Automatic {
    pub(super) link: Arc<Link>,
    /// Openings to decide on, where anything is disabled automatically.
    openings: Option<Arc<Openings>>,
    changes: ChangePublisher,
    /// Cancelled when the drain begins: what is claimed after that could not be published any more.
    pub(super) claims: CancellationToken,
}

impl Automatic {
    pub(super) fn new(disables: bool, circuits: &Arc<Circuits>, changes: ChangePublisher) -> Self {
        Self {
            link: Arc::new(Link::new(Arc::clone(circuits), SETTLING)),
            openings: disables.then(Arc::default),
            changes,
            claims: CancellationToken::new(),
        }
    }

    /// Observers that must see what happens before all others.
    pub(super) fn observers(&self) -> Vec<Box<dyn Observer>> {
        let mut observers: Vec<Box<dyn Observer>> = vec![Box::new(Arc::clone(&self.link))];
        if let Some(openings) = &self.openings {
            observers.push(Box::new(Arc::clone(openings)));
        }
        observers
    }
}

/// Starts the tasks.
pub(super) fn start(shared: &Shared, caller: &Arc<Calls>, essential: &mut Essential) {
    let stopped = essential.stopped();
    let (link, calls) = (Arc::clone(&shared.automatic.link), Arc::clone(caller));
    essential.spawn("link guard", async move {
        link.run(stopped, || calls.is_connected()).await;
    });
    let Some(store) = &shared.store else {
        if shared.automatic.openings.is_some() {
            warn!("without a database no extension is disabled automatically");
        }
        return;
    };
    let health = &shared.settings.health;
    let teller = ChangeTeller {
        store: Arc::clone(store),
        events: shared.automatic.changes.clone(),
        catalog: Arc::clone(&shared.catalog),
        progress: shared.progress.clone(),
        alive: shared.alive.clone(),
        status: Arc::clone(&shared.status),
        observers: shared.observers.clone(),
    };
    let prober = Prober {
        store: Arc::clone(store),
        caller: Arc::clone(caller),
        tools: shared.tools.clone(),
        applied: shared.progress.follow(),
        enable: health.auto_enable,
        write_cause: switch::enabled,
    };
    let halter = Halter {
        store: Arc::clone(store),
        link: Arc::clone(&shared.automatic.link),
        tools: shared.tools.clone(),
        interval: health.flush_interval,
        write_figures: switch::halted,
    };
    let telling = teller.run(shared.automatic.claims.clone());
    essential.spawn("change events", telling);
    let stopped = essential.stopped();
    essential.spawn("probes", prober.run(stopped.clone()));
    essential.spawn("rollouts", halter.run(stopped.clone()));
    if let Some(openings) = shared.automatic.openings.clone() {
        let disabler = AutoDisabler {
            store: Arc::clone(store),
            openings,
            link: Arc::clone(&shared.automatic.link),
            tools: shared.tools.clone(),
            others: Arc::clone(&shared.fleet),
            alive: shared.alive.clone(),
            instance_id: shared.settings.identity.instance_id.as_str().into(),
            flush_interval: health.flush_interval,
            max_percent: health.auto_disable_max_percent,
            write_cause: switch::disabled,
        };
        essential.spawn("auto-disable", disabler.run(stopped));
    }
}

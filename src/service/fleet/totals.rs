//! What this sidecar has counted since its start, as the ledger takes it.

use std::collections::HashMap;
use std::sync::Arc;

use crate::domain::ids::ExtensionId;
use crate::service::health_store::ledger::Ledger;
use crate::service::health_store::{Figures, Report};
use crate::service::invoke::{Runtime, Tools};

/// Whose counters were read last. The counters of an extension that leaves the catalog are dropped,
/// and begin at zero if it returns.
#[derive(Debug, Default)]
pub(super) struct Counted(HashMap<ExtensionId, Arc<Runtime>>);

impl Counted {
    /// The totals of all extensions called; closes the accounts of those whose counters are gone.
    pub(super) fn totals(&mut self, tools: &Tools, ledger: &mut Ledger) -> Vec<Report> {
        let running = tools.runtimes.all().into_iter();
        let running: HashMap<_, _> = running.map(|it| (it.id.clone(), it)).collect();
        for (id, before) in &self.0 {
            if !running.get(id).is_some_and(|now| Arc::ptr_eq(before, now)) {
                ledger.forget(id);
            }
        }
        let catalog = tools.selector.catalog();
        let reports = running.iter().map(|(id, runtime)| {
            // What is in quarantine has a running side still.
            let setup = match catalog.get(id) {
                Some(entry) => runtime.setup(&entry, tools.runtimes.defaults()),
                None => runtime.current_setup(),
            };
            let breaker = &setup.limits.breaker;
            Report {
                last_answer: runtime.health.last_answer(),
                figures: Figures {
                    extension: id.clone(),
                    incarnation: runtime.whose.incarnation(),
                    sums: runtime.health.sums(),
                },
                failure_threshold: breaker.failure_threshold,
                half_open_max_requests: breaker.half_open_max_requests,
            }
        });
        let reports = reports.collect();
        self.0 = running;
        reports
    }
}

//! Which part of a sidecar's counts the store has, so that each call counts exactly once.
//!
//! A batch is fixed when it is first sent, and sent again under the same number until its fate is
//! known; what is counted meanwhile waits for the next. When the boot was folded, the store returns
//! which batch it had last, and the rest goes on under a new boot.

use std::collections::HashMap;
use std::time::Duration;

use super::{Boot, Flush, Flushed, HealthReports, MAX_REPORTS, Report, StoreError, Written};
use crate::domain::health::HealthSums;
use crate::domain::ids::ExtensionId;
use crate::service::circuits::Listed;

/// Batches of one call of [`Ledger::flush`]; what remains waits for the next.
const MAX_BATCHES: usize = 200;

/// The books of one sidecar. What it takes are its totals since the start, which only grow.
#[derive(Debug, Default)]
pub struct Ledger {
    boot: Option<Boot>,
    /// Of the last batch written under the boot.
    sequence: u64,
    /// What of each extension's totals the store has.
    settled: HashMap<ExtensionId, Account>,
    /// A batch that was sent and not answered.
    pending: Option<Vec<Report>>,
}

/// What the store has of one extension.
#[derive(Debug, Clone, Copy, Default)]
struct Account {
    total: HealthSums,
    /// The part under boots that were folded.
    folded: HealthSums,
}

impl Ledger {
    /// Brings the store up to `totals`, and reports which circuits are held; answers whether it has
    /// everything now, or locks or limits left a rest for the next flush. To be called once per
    /// `interval`, also when nothing has changed.
    ///
    /// # Errors
    /// The books stay right, and the next call repeats what is open.
    pub async fn flush(
        &mut self,
        store: &impl HealthReports,
        interval: Duration,
        totals: &[Report],
        circuits: &[Listed],
    ) -> Result<bool, StoreError> {
        for _ in 0..MAX_BATCHES {
            let repeated = self.pending.is_some();
            let boot = self.boot(store, interval).await?;
            let reports = match self.pending.take() {
                Some(pending) => pending,
                None => self.batch(totals),
            };
            let last = !repeated && reports.len() < MAX_REPORTS;
            let flush = Flush {
                boot: &boot,
                sequence: self.sequence + 1,
                interval,
                reports: self.pending.insert(reports),
                circuits,
            };
            match store.flush(flush).await? {
                // Beyond what was sent: another writer has changed the boot's row, and what it
                // holds of a batch can no longer be trusted.
                Flushed::Written(written) if written.sequence > flush.sequence => self.fence(None),
                Flushed::Written(written) => {
                    self.settle(&written);
                    // Asked again at once, what is locked would still be locked.
                    if last || !written.held_back.is_empty() {
                        break;
                    }
                }
                Flushed::Fenced(written) => self.fence(written),
            }
        }
        Ok(!self.owes(totals))
    }

    /// Whether there is anything that the store lacks, or may lack.
    pub fn owes(&self, totals: &[Report]) -> bool {
        let missing = |report| !self.missing(report).is_empty();
        self.pending.is_some() || totals.iter().any(missing)
    }

    /// The boot under which flushes count, begun if there is none.
    ///
    /// # Errors
    /// The errors of the store.
    pub async fn boot(
        &mut self,
        store: &impl HealthReports,
        interval: Duration,
    ) -> Result<Boot, StoreError> {
        if let Some(boot) = &self.boot {
            return Ok(boot.clone());
        }
        let boot = store.register(interval).await?;
        Ok(self.boot.insert(boot).clone())
    }

    /// What [`HealthReports::others`] reads as others' although it is ours, from boots that were
    /// folded under us.
    pub fn folded(&self, extension: &ExtensionId) -> HealthSums {
        let account = self.settled.get(extension);
        account.map(|it| it.folded).unwrap_or_default()
    }

    /// Closes the account of an extension whose counters are dropped: they begin at zero if it
    /// ever comes back.
    pub fn forget(&mut self, extension: &ExtensionId) {
        self.settled.remove(extension);
    }

    /// What the store does not have, as much as one flush may carry.
    fn batch(&mut self, totals: &[Report]) -> Vec<Report> {
        let mut batch = Vec::new();
        for report in totals {
            let missing = self.missing(report);
            if missing.is_empty() {
                continue;
            }
            if batch.len() == MAX_REPORTS {
                break;
            }
            let mut report = report.clone();
            report.figures.sums = missing;
            // An account that is closed while the batch is out stays closed.
            let extension = report.figures.extension.clone();
            self.settled.entry(extension).or_default();
            batch.push(report);
        }
        batch
    }

    /// What the store lacks of one extension.
    fn missing(&self, report: &Report) -> HealthSums {
        let account = self.settled.get(&report.figures.extension);
        let settled = account.map(|it| it.total).unwrap_or_default();
        report.figures.sums.less(&settled)
    }

    /// Books the pending batch if it is the one that was written, or an unknown later one.
    fn settle(&mut self, written: &Written) {
        if written.sequence <= self.sequence {
            return;
        }
        self.sequence = written.sequence;
        for report in self.pending.take().unwrap_or_default() {
            let figures = report.figures;
            if !written.held_back.contains(&figures.extension)
                && let Some(account) = self.settled.get_mut(&figures.extension)
            {
                account.total = account.total.with(&figures.sums);
            }
        }
    }

    /// Goes on without a boot. Where it is unknown what was written last, everything sent counts as
    /// written: the sums may lack a batch, but never exceed the truth.
    fn fence(&mut self, written: Option<Written>) {
        self.settle(&written.unwrap_or(Written {
            sequence: self.sequence + 1,
            held_back: Vec::new(),
        }));
        self.boot = None;
        self.sequence = 0;
        for account in self.settled.values_mut() {
            account.folded = account.total;
        }
    }
}

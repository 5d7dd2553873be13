//! The exchange of health with the store.
//!
//! It begins with the first data that comes from the database: figures and open circuits of the
//! fleet are taken over once. From then on every interval reports to the store what was counted
//! since and which circuits are held, and reads what the others reported. A turn that fails loses
//! nothing: the next one makes up for it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::alive::{Alive, FEW};
use super::figures::FleetFigures;
use super::held;
use super::jittered;
use super::totals::Counted;
use crate::domain::catalog::ActiveSource;
use crate::service::boundary::survived;
use crate::service::health_store::ledger::Ledger;
use crate::service::health_store::{Boot, HealthReports, StoreError};
use crate::service::invoke::Tools;
use crate::service::observe::Observation;

/// The longest time between calls of [`HealthReports::tidy`]; together, the sidecars tidy about once in
/// an interval of flushes.
const TIDY: Duration = Duration::from_secs(300);
/// The longest time between readings of what the others counted.
const OTHERS: Duration = Duration::from_secs(60);
/// After this long everything is read again: rows changed by hand carry no time.
const FULL_READ: Duration = Duration::from_secs(600);
/// A flush is dated by its beginning and read after its commit, which may be this much later.
const COMMIT_DELAY: Duration = Duration::from_secs(30);
/// The share of the interval after which a flush begins: it has to be written, not begun, when the
/// interval is over, for that is what a killed sidecar may cost.
const BEGINS_AT: f64 = 0.75;
/// Attempts in one turn at what another session had locked, mostly another sidecar's flush.
const MORE_FLUSHES: u32 = 3;
/// Between such attempts: a flush holds its locks for milliseconds.
const LOCKED: Duration = Duration::from_millis(50);
/// Between flushes at the end, and the shortest time between attempts to begin.
const RETRY: Duration = Duration::from_millis(200);
/// The longest time between attempts to begin, before jitter.
const LONGEST_RETRY: Duration = Duration::from_secs(5);

/// Keeps this sidecar's health in step with the store.
#[derive(Debug)]
pub struct Keeper<S> {
    store: Arc<S>,
    tools: Tools,
    fleet: Arc<FleetFigures>,
    interval: Duration,
    ledger: Ledger,
    counted: Counted,
    /// Under which boot, and when, the figures of the others were last read.
    read: Option<(Boot, Instant)>,
    alive: Alive,
    tidied: Instant,
    all_read: Instant,
}

impl<S: HealthReports> Keeper<S> {
    /// A keeper that flushes every `interval`.
    pub fn new(
        store: Arc<S>,
        tools: Tools,
        fleet: Arc<FleetFigures>,
        alive: Alive,
        interval: Duration,
    ) -> Self {
        Self {
            store,
            tools,
            fleet,
            interval,
            ledger: Ledger::default(),
            counted: Counted::default(),
            read: None,
            alive,
            tidied: Instant::now(),
            all_read: Instant::now(),
        }
    }

    /// Exchanges health until `stop`; then flushes what is left, for as long as it is let live.
    /// `applied` has the revisions of the catalog; `restoring` is held until what the fleet knows is
    /// taken over.
    pub async fn run(
        mut self,
        applied: watch::Receiver<Option<u64>>,
        restoring: TaskTrackerToken,
        stop: CancellationToken,
    ) {
        let begun = stop.run_until_cancelled(self.begin(applied)).await;
        if begun.is_none() {
            return;
        }
        drop(restoring);
        stop.run_until_cancelled(self.keep()).await;
        self.finish().await;
    }

    /// Takes over what the fleet knows, once the catalog holds what the database has.
    async fn begin(&mut self, mut applied: watch::Receiver<Option<u64>>) {
        let catalog = self.tools.selector.catalog();
        let is_there = |_: &_| catalog.head().source == ActiveSource::Database;
        // Without a sender the process ends.
        let _ = applied.wait_for(is_there).await;
        let observers = self.tools.observers.clone();
        loop {
            match survived(&observers, self.restore()).await {
                Some(Ok(())) => return,
                Some(Err(error)) => self.tell(error),
                None => {}
            }
            sleep(jittered(self.interval.clamp(RETRY, LONGEST_RETRY))).await;
        }
    }

    async fn restore(&mut self) -> Result<(), StoreError> {
        self.read_others().await?;
        let boot = self.ledger.boot(&*self.store, self.interval).await?;
        for circuit in self.store.held(&boot).await? {
            held::restore(&self.tools, &circuit);
        }
        self.alive.counted(self.store.alive().await?);
        Ok(())
    }

    async fn keep(&mut self) {
        let mut next = Instant::now();
        let pause = self.interval.mul_f64(BEGINS_AT);
        let observers = self.tools.observers.clone();
        loop {
            // From beginning to beginning: what a kill can cost does not grow with the time that a
            // turn takes.
            next = Instant::now().max(next + jittered(pause));
            sleep_until(next).await;
            if let Some(Err(error)) = survived(&observers, self.turn()).await {
                self.tell(error);
            }
        }
    }

    async fn turn(&mut self) -> Result<(), StoreError> {
        for _ in 0..MORE_FLUSHES {
            if self.flush().await? {
                break;
            }
            sleep(jittered(LOCKED)).await;
        }
        if self.others_are_due() {
            self.read_others().await?;
        }
        if self.tidied.elapsed() >= self.turn_to_tidy() {
            self.store.tidy().await?;
            self.tidied = Instant::now();
            self.alive.counted(self.store.alive().await?);
        }
        if self.all_read.elapsed() >= FULL_READ {
            self.read = None;
            self.all_read = Instant::now();
        }
        Ok(())
    }

    fn turn_to_tidy(&self) -> Duration {
        let others = self.alive.total().saturating_sub(1);
        let all = u32::try_from(others).map_or(TIDY, |others| self.interval.saturating_mul(others));
        all.min(TIDY)
    }

    /// Every time among few; what many read of each other would grow with their square.
    fn others_are_due(&self) -> bool {
        let times = u32::try_from(self.alive.total() / FEW).unwrap_or(u32::MAX);
        let pause = self.interval.saturating_mul(times).min(OTHERS);
        let read = self.read.as_ref();
        read.is_none_or(|(_, at)| at.elapsed() >= pause)
    }

    /// Whether the store has everything now.
    async fn flush(&mut self) -> Result<bool, StoreError> {
        let totals = self.counted.totals(&self.tools, &mut self.ledger);
        let circuits = held::held(&self.tools);
        let store = &*self.store;
        self.ledger
            .flush(store, self.interval, &totals, &circuits)
            .await
    }

    /// Reads everything under a boot that is new, else what has changed since the last time.
    async fn read_others(&mut self) -> Result<(), StoreError> {
        let begun = Instant::now();
        let boot = self.ledger.boot(&*self.store, self.interval).await?;
        let last = self.read.as_ref().filter(|(under, _)| *under == boot);
        let within = last.map(|(_, at)| at.elapsed().saturating_add(COMMIT_DELAY));
        let figures = self.store.others(&boot, within).await?;
        let others = figures.into_iter().map(|mut figures| {
            let folded = self.ledger.folded(&figures.extension);
            figures.sums = figures.sums.less(&folded);
            figures
        });
        if within.is_some() {
            self.fleet.merge(others, self.tools.selector.catalog());
        } else {
            self.fleet.replace(others);
        }
        self.read = Some((boot, begun));
        Ok(())
    }

    /// Flushes until the store has everything, or the store is unreachable and nothing is owed to
    /// it.
    async fn finish(&mut self) {
        let observers = self.tools.observers.clone();
        loop {
            match survived(&observers, self.flush()).await {
                Some(Ok(true)) | None => return,
                Some(Ok(false)) => {}
                Some(Err(error)) => {
                    self.tell(error);
                    let totals = self.counted.totals(&self.tools, &mut self.ledger);
                    if !self.ledger.owes(&totals) {
                        return;
                    }
                }
            }
            sleep(RETRY).await;
        }
    }

    fn tell(&self, error: StoreError) {
        let observers = &self.tools.observers;
        observers.observe(&Observation::FlushFailed(error));
    }
}

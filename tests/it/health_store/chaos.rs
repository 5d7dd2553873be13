//! Random sequences of calls, flushes, lost answers, kills and folds against the truth.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU8, Ordering};

use beamline_registry::service::health_store::{Sidecars, StoreError};
use beamline_registry::service::trouble::DatabaseError;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;

const EXTENSIONS: usize = 5;
const SIDECARS: usize = 3;

/// The real store behind a network that may lose a request or an answer.
struct Lossy {
    store: PostgresHealth,
    next: AtomicU8,
}

const DELIVERS: u8 = 0;
const LOSES_REQUEST: u8 = 1;
const LOSES_ANSWER: u8 = 2;

impl HealthReports for Lossy {
    async fn register(&self, interval: Duration) -> Result<Boot, StoreError> {
        self.store.register(interval).await
    }

    async fn flush(&self, flush: Flush<'_>) -> Result<Flushed, StoreError> {
        let lost = Err(StoreError::Unknown(DatabaseError::unreachable("lost")));
        match self.next.swap(DELIVERS, Ordering::Relaxed) {
            LOSES_REQUEST => lost,
            LOSES_ANSWER => self.store.flush(flush).await.and(lost),
            _ => self.store.flush(flush).await,
        }
    }

    async fn others(
        &self,
        boot: &Boot,
        within: Option<Duration>,
    ) -> Result<Vec<Figures>, StoreError> {
        self.store.others(boot, within).await
    }

    async fn held(&self, boot: &Boot) -> Result<Vec<HeldCircuit>, StoreError> {
        self.store.held(boot).await
    }

    async fn alive(&self) -> Result<Sidecars, StoreError> {
        self.store.alive().await
    }

    async fn tidy(&self) -> Result<u64, StoreError> {
        self.store.tidy().await
    }
}

/// A sidecar: what it has counted, and its books.
#[derive(Default)]
struct Sidecar {
    totals: HashMap<usize, u64>,
    /// The totals at the last flush that was answered.
    safe: HashMap<usize, u64>,
    ledger: Ledger,
}

impl Sidecar {
    async fn flush(&mut self, store: &impl HealthReports) -> Result<bool, StoreError> {
        let totals = self.totals.iter();
        let reports: Vec<_> = totals.map(|(e, n)| report(id(*e), *n, 0)).collect();
        let complete = self.ledger.flush(store, INTERVAL, &reports, &[]).await?;
        if complete {
            self.safe = self.totals.clone();
        }
        Ok(complete)
    }
}

/// What may be missing: the calls of killed sidecars after their last answered flush.
#[derive(Default)]
struct Truth {
    calls: HashMap<usize, u64>,
    killed: HashMap<usize, u64>,
}

async fn run_one(seed: u64, store: &Lossy, client: &Client) {
    let mut random = StdRng::seed_from_u64(seed);
    let mut sidecars: Vec<Sidecar> = (0..SIDECARS).map(|_| Sidecar::default()).collect();
    let mut truth = Truth::default();
    for _ in 0..60 {
        let n = random.random_range(0..SIDECARS);
        match random.random_range(0..10) {
            0..4 => {
                let extension = random.random_range(1..=EXTENSIONS);
                let calls = random.random_range(1..50);
                *sidecars[n].totals.entry(extension).or_default() += calls;
                *truth.calls.entry(extension).or_default() += calls;
            }
            4..8 => {
                let fate = [DELIVERS, LOSES_REQUEST, LOSES_ANSWER][random.random_range(0..3)];
                store.next.store(fate, Ordering::Relaxed);
                let _lost = sidecars[n].flush(store).await;
            }
            8 => {
                silence(client, "11 min", "random() < 0.5").await;
                store.tidy().await.unwrap();
            }
            _ => {
                let dead = std::mem::take(&mut sidecars[n]);
                for (extension, total) in dead.totals {
                    let safe = dead.safe.get(&extension).copied().unwrap_or(0);
                    *truth.killed.entry(extension).or_default() += total - safe;
                }
            }
        }
        check(seed, &truth, client, |_| u64::MAX).await;
    }
    store.next.store(DELIVERS, Ordering::Relaxed);
    for sidecar in &mut sidecars {
        assert!(sidecar.flush(store).await.unwrap());
    }
    let killed = |extension| truth.killed.get(&extension).copied().unwrap_or(0);
    check(seed, &truth, client, killed).await;
}

/// No sum exceeds the truth, or lacks more than it may.
async fn check(seed: u64, truth: &Truth, client: &Client, may_lack: impl Fn(usize) -> u64) {
    let sql = "SELECT extension_id, success_count FROM extension_health";
    let rows = client.query(sql, &[]).await.unwrap();
    let sums: HashMap<String, i64> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    for extension in 1..=EXTENSIONS {
        let sum = sums.get(id(extension).as_str()).copied().unwrap_or(0);
        let sum = sum.cast_unsigned();
        let calls = truth.calls.get(&extension).copied().unwrap_or(0);
        assert!(
            sum <= calls && calls - sum <= may_lack(extension),
            "seed {seed}: e{extension} has {sum} of {calls}"
        );
    }
}

#[tokio::test]
async fn sums_never_exceed_the_truth_and_lack_only_what_died() {
    let (database, client) = fleet(EXTENSIONS).await;
    let lossy = Lossy {
        store: store(&database, "chaos"),
        next: AtomicU8::new(DELIVERS),
    };
    for seed in 0..40 {
        run_one(seed, &lossy, &client).await;
        run(
            &client,
            "DELETE FROM extension_health; DELETE FROM sidecar_boots",
        )
        .await;
    }
}

#[tokio::test]
async fn a_fold_tells_a_late_flush_what_it_had() {
    let (database, client) = fleet(1).await;
    let store = store(&database, "s1");
    let boot = store.register(INTERVAL).await.unwrap();
    flush(&store, &boot, 1, &[report(id(1), 7, 0)], &[open(id(1))]).await;
    silence(&client, "9 min", "true").await;
    assert_eq!(store.tidy().await.unwrap(), 0);
    silence(&client, "11 min", "true").await;
    assert_eq!(store.tidy().await.unwrap(), 1);
    assert_eq!(store.tidy().await.unwrap(), 0, "folded once");

    let last = Written {
        sequence: 1,
        held_back: Vec::new(),
    };
    let late = flush(&store, &boot, 2, &[report(id(1), 7, 0)], &[]).await;
    assert_eq!(late, Flushed::Fenced(Some(last)));
    assert_eq!(sums(&client, &id(1)).await, (7, 0));
    let rows = "SELECT (SELECT count(*) FROM extension_health_reports)
        + (SELECT count(*) FROM extension_circuit_reports)";
    assert_eq!(value(&client, rows).await, "0");

    run(
        &client,
        "UPDATE sidecar_boots SET folded_at = now() - interval '8 days'",
    )
    .await;
    store.tidy().await.unwrap();
    let later = flush(&store, &boot, 2, &[report(id(1), 7, 0)], &[]).await;
    assert_eq!(later, Flushed::Fenced(None));
    assert_eq!(sums(&client, &id(1)).await, (7, 0));
}

#[tokio::test]
async fn a_long_interval_is_not_taken_for_silence() {
    let (database, client) = fleet(1).await;
    let store = store(&database, "s1");
    store.register(Duration::from_secs(3600)).await.unwrap();
    silence(&client, "2 hours", "true").await;
    assert_eq!(store.tidy().await.unwrap(), 0);
    silence(&client, "4 hours", "true").await;
    assert_eq!(store.tidy().await.unwrap(), 1);
}

//! Kills in the middle of flushes: the sums never exceed the truth, and lack only what a killed
//! sidecar had counted since its last flush.

use std::time::{Duration, Instant};

use rand::RngExt;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::harness::FaultProxy;

/// Between flushes of every sidecar.
const INTERVAL: &str = "200ms";
/// On the way to and from the database, so that a sidecar is flushing about half of the time.
const DELAY: Duration = Duration::from_millis(12);
/// Calls at a time.
const CALLERS: usize = 3;

/// Calls one sidecar without a pause.
struct Load {
    /// Calls that were answered, all with success.
    replies: Arc<AtomicU64>,
    stop: CancellationToken,
    callers: JoinSet<()>,
}

impl Load {
    fn start(fleet: &Arc<Fleet>, sidecar: &str) -> Self {
        let (replies, stop) = (Arc::new(AtomicU64::new(0)), CancellationToken::new());
        let mut callers = JoinSet::new();
        for _ in 0..CALLERS {
            let (fleet, replies, stop) = (Arc::clone(fleet), Arc::clone(&replies), stop.clone());
            let subject = format!("beamline.registry.local.{sidecar}.invoke");
            callers.spawn(async move {
                let body = json!({"id": "e", "payload": {}}).to_string();
                while !stop.is_cancelled() {
                    let reply = fleet.rig.client.request(&subject, body.clone()).await;
                    if reply.is_no_responders() {
                        // Killed. Of one that should live, the accounts will tell.
                        return;
                    }
                    reply.ok();
                    replies.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        Self {
            replies,
            stop,
            callers,
        }
    }

    fn replies(&self) -> u64 {
        self.replies.load(Ordering::SeqCst)
    }

    /// Waits for the answers that are still to come; how many there were.
    async fn finish(mut self) -> u64 {
        self.stop.cancel();
        while let Some(ended) = self.callers.join_next().await {
            ended.unwrap();
        }
        self.replies()
    }
}

/// What the database has of one sidecar.
async fn flushed(fleet: &Fleet, sidecar: &str) -> u64 {
    let sql = format!(
        "SELECT coalesce(sum(success_count), 0) FROM extension_health_reports
            JOIN sidecar_boots USING (boot) WHERE instance_id = '{sidecar}'"
    );
    fleet.value(&sql).await.parse().unwrap()
}

/// One look: calls answered by then, and what the database had afterwards.
#[derive(Debug, Clone, Copy)]
struct Look {
    replies: u64,
    flushed: u64,
}

/// The answers that must be in a database that has `last`. A call that was answered before a look
/// is counted by every flush that began after the look; and where the database had one thing at the
/// look, another later, and `last` after that, then what brought `last` began after the look.
fn must_have(looks: &[Look], last: u64) -> u64 {
    let between = looks
        .iter()
        .map(|look| look.flushed)
        .filter(|it| *it < last);
    let between = between.max().unwrap_or(0);
    let before = looks.iter().filter(|look| look.flushed < between);
    before.map(|look| look.replies).max().unwrap_or(0)
}

/// What a kill cost.
struct Cost {
    lost: u64,
    /// How long it took to make as many.
    time: Duration,
}

/// Starts a sidecar, calls it, kills it at some moment, and settles the accounts.
async fn kill_one(fleet: &Arc<Fleet>, name: &str, database: &str) -> Cost {
    let daemon = fleet
        .sidecar(name, INTERVAL)
        .database(database)
        .spawn()
        .await;
    daemon.wait_ready().await;
    let load = Load::start(fleet, name);
    let begun = Instant::now();
    let mut looks = Vec::new();
    let mut values = 0;
    let more = rand::rng().random_range(0..30);
    let mut after = 0;
    // Four flushes at least, then up to thirty looks more: any moment of a flush.
    eventually("some flushes", DEADLINE, async || {
        let look = Look {
            replies: load.replies(),
            flushed: flushed(fleet, name).await,
        };
        let last = looks.last().map_or(0, |look: &Look| look.flushed);
        values += usize::from(look.flushed > last);
        after += usize::from(values >= 4);
        looks.push(look);
        after > more
    })
    .await;
    let took = begun.elapsed();
    daemon.sigkill();
    assert_eq!(daemon.wait_exit(DEADLINE).await, 137);
    let replies = load.replies();
    drop(load);
    // What it had sent may still be carried out.
    let sessions =
        format!("SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE '%/{name}/%'");
    fleet.wait_value(&sessions, "0").await;

    let last = flushed(fleet, name).await;
    let least = must_have(&looks, last);
    assert!(least > 0, "the looks tell nothing: {looks:?}");
    assert!(last >= least, "{last} of at least {least}: {looks:?}");
    let sent = replies + CALLERS as u64;
    assert!(last <= sent, "{last} of at most {sent}");
    let lost = replies.saturating_sub(last);
    Cost {
        lost,
        time: took.mul_f64(lost as f64 / replies as f64),
    }
}

async fn kill(times: usize) -> Vec<Cost> {
    let fleet = Arc::new(Fleet::with(&["e"]).await);
    let played = Played::start(&fleet, "e").await;
    let proxy = FaultProxy::start(fleet.rig.database.addr()).await;
    proxy.delay(DELAY);
    let through = fleet.rig.database.url_at(proxy.addr());
    let survivor = fleet.started("survivor", INTERVAL).await;
    let load = Load::start(&fleet, "survivor");
    let mut costs = Vec::new();
    let mut victims = 0;
    for n in 0..times {
        let name = format!("victim-{n}");
        costs.push(kill_one(&fleet, &name, &through).await);
        victims += flushed(&fleet, &name).await;
        let (sum, _) = fleet.sums("e").await;
        let truth = played.answered();
        assert!(sum <= truth, "after kill {n}: {sum} of {truth}");
    }
    let own = load.finish().await;
    stop(survivor).await;
    assert_eq!(
        flushed(&fleet, "survivor").await,
        own,
        "nothing of the survivor is lost"
    );
    assert_eq!(fleet.sums("e").await, (own + victims, 0));
    costs
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_sidecars_leave_sums_that_lack_their_last_interval_only() {
    kill(5).await;
}

/// The same a hundred times, with figures. A kill in the middle of a flush costs what was to be
/// flushed, and what was counted meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes: run with `just soak`"]
async fn a_hundred_kills() {
    let costs = kill(100).await;
    let mut times: Vec<_> = costs.iter().map(|cost| cost.time).collect();
    times.sort_unstable();
    let lost: u64 = costs.iter().map(|cost| cost.lost).sum();
    eprintln!(
        "100 kills: {lost} answered calls not flushed; of the last {:?} before a kill in the \
         median, {:?} at most; a flush every {INTERVAL}, {:?} and more away",
        times[50],
        times[99],
        2 * DELAY
    );
}

//! The daemon is killed again and again under a thousand writes of many writers: whatever it
//! acknowledged is there, once; whatever it did not is there as a whole or not at all.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::{plain, ready};
use crate::harness::{Client, DEADLINE, Daemon, eventually};
use crate::rig::Rig;
use crate::schema::value;

const WRITERS: usize = 8;
const WRITES: u64 = 1000;
/// Extensions that get versions; no multiple of three, so that all of them do.
const HOSTS: u64 = 10;
/// Acknowledged writes between a start and the next kill.
const LIFE: std::ops::Range<u64> = 30..150;
/// For the answer to a ping, which is sent again and again.
const PATIENCE: Duration = Duration::from_millis(500);

/// What the writers share.
#[derive(Default)]
struct Progress {
    next: AtomicU64,
    acknowledged: AtomicU64,
    /// A write without a reply by then counts as not acknowledged; it may be there all the same.
    kills: watch::Sender<usize>,
}

impl Progress {
    fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::Relaxed)
    }
}

/// A write by its number, and the revision that was acknowledged.
type Written = BTreeMap<u64, Option<i64>>;

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_writes_survive_kills_at_random_moments() {
    let rig = Rig::start().await;
    let daemon = ready(rig.daemon()).await;
    rig.ask("create", &plain("shared")).await.ok();
    for number in 0..HOSTS {
        rig.ask("create", &plain(&host(number))).await.ok();
    }
    let progress = Progress::default();
    let writers = join_all((0..WRITERS).map(|_| write(&rig, &progress)));
    let (writers, kills) = tokio::join!(writers, kill(&rig, daemon, &progress));
    let written: Written = writers.into_iter().flatten().collect();
    assert!(kills > 5, "{kills} kills");
    assert!(written.values().flatten().count() as u64 >= WRITES);
    // A COMMIT that was on its way at the last kill may still be carried out.
    let sessions = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
        AND backend_type = 'client backend' AND pid <> pg_backend_pid()";
    eventually("its sessions have ended", DEADLINE, async || {
        value(&rig.sql, sessions).await == "0"
    })
    .await;
    let _last = ready(rig.daemon()).await;
    check(&rig, &written).await;
}

/// Kills the daemon and starts it again, until there are enough writes; how often.
async fn kill(rig: &Rig, mut daemon: Daemon, progress: &Progress) -> usize {
    let mut random = StdRng::seed_from_u64(7);
    loop {
        let enough = progress.acknowledged() + random.random_range(LIFE);
        eventually("writes", DEADLINE * 3, async || {
            progress.acknowledged() >= enough.min(WRITES)
        })
        .await;
        // No wait for anything: this is the random moment.
        tokio::time::sleep(Duration::from_micros(random.random_range(0..20_000))).await;
        daemon.sigkill();
        daemon.wait_exit(DEADLINE).await;
        progress.kills.send_modify(|kills| *kills += 1);
        if progress.acknowledged() >= WRITES {
            return *progress.kills.borrow();
        }
        daemon = ready(rig.daemon()).await;
    }
}

/// Writes one after the other, until all of them together have enough.
async fn write(rig: &Rig, progress: &Progress) -> Written {
    let client = Client::connect(&rig.nats.url()).await;
    let mut kills = progress.kills.subscribe();
    let mut written = Written::new();
    while progress.acknowledged() < WRITES {
        let number = progress.next.fetch_add(1, Ordering::Relaxed);
        let (verb, body) = change(number);
        let subject = format!("beamline.registry.as.w{number}.{verb}");
        kills.mark_unchanged();
        let reply = tokio::select! {
            biased;
            reply = client.try_request(&subject, body.to_string(), DEADLINE) => reply,
            _ = kills.changed() => None,
        };
        let answered = reply.filter(|reply| !reply.is_no_responders());
        let Some(reply) = answered else {
            written.insert(number, None);
            back(&client, progress).await;
            continue;
        };
        // Eight writers may wait for each other for longer than the daemon lets them.
        if reply.header("Nats-Service-Error-Code").is_some() {
            assert_eq!(reply.error().0, 503, "{verb} {number}: {reply:?}");
            written.insert(number, None);
            continue;
        }
        let revision = reply.header("Beamline-Revision").unwrap();
        written.insert(number, Some(revision.parse().unwrap()));
        progress.acknowledged.fetch_add(1, Ordering::Relaxed);
    }
    written
}

/// A third of the writes each: a new extension, a new version, and a field that all writers change.
fn change(number: u64) -> (&'static str, Value) {
    match number % 3 {
        0 => {
            let mut body = plain(&format!("e{number}"));
            body["config"] = json!({"n": number});
            ("create", body)
        }
        1 => {
            let id = host(number);
            let subject = format!("beamline.ext.{id}.v{number}");
            let version = format!("v{number}");
            let body = json!({"id": id, "version": version, "subject": subject});
            ("put_version", body)
        }
        _ => ("update", json!({"id": "shared", "metadata": {"n": number}})),
    }
}

/// Where a version goes: an extension has at most 100.
fn host(number: u64) -> String {
    format!("host{}", number % HOSTS)
}

/// Returns when there is a daemon again, or no need for one.
async fn back(client: &Client, progress: &Progress) {
    eventually("a daemon answers", DEADLINE * 3, async || {
        if progress.acknowledged() >= WRITES {
            return true;
        }
        let reply = client
            .try_request("beamline.registry.ping", "", PATIENCE)
            .await;
        reply.is_some_and(|reply| !reply.is_no_responders())
    })
    .await;
}

async fn check(rig: &Rig, written: &Written) {
    let sql = "SELECT changed_by, extension_id, action, revision FROM extension_audit_log
        WHERE changed_by LIKE 'w%' ORDER BY revision";
    let mut entries = BTreeMap::<u64, Vec<i64>>::new();
    let mut last = None;
    for row in rig.sql.query(sql, &[]).await.unwrap() {
        let number: u64 = row.get::<_, &str>(0)[1..].parse().unwrap();
        entries.entry(number).or_default().push(row.get(3));
        if row.get::<_, &str>(2) == "updated" {
            last = Some(number);
        }
    }
    let sql = "SELECT id FROM extensions UNION SELECT version FROM extension_versions";
    let rows = rig.sql.query(sql, &[]).await.unwrap();
    let rows: BTreeSet<String> = rows.iter().map(|row| row.get(0)).collect();
    for (number, acknowledged) in written {
        let entries = entries.remove(number).unwrap_or_default();
        match acknowledged {
            // The reply tells the catalog's revision, which another writer may have moved on.
            Some(revision) => assert!(
                entries.len() == 1 && entries[0] <= *revision,
                "write {number} at {revision}: {entries:?}"
            ),
            None => assert!(entries.len() <= 1, "write {number}: {entries:?}"),
        }
        let name = match number % 3 {
            0 => format!("e{number}"),
            1 => format!("v{number}"),
            _ => continue,
        };
        let rows = usize::from(rows.contains(&name));
        assert_eq!(rows, entries.len(), "write {number} is half there");
    }
    assert!(entries.is_empty(), "nobody wrote these: {entries:?}");

    let record = rig.ask("get", &json!({"id": "shared"})).await.ok();
    assert_eq!(
        record["metadata"]["n"],
        json!(last.unwrap()),
        "the last one"
    );
    let stats = rig.stats().await;
    let row = rig
        .sql
        .query_one(
            "SELECT revision, registry_digest()::text, (SELECT count(DISTINCT revision) FROM
             extension_audit_log), (SELECT count(*) FROM extension_audit_log) FROM registry_revision",
            &[],
        )
        .await
        .unwrap();
    assert_eq!(stats["revision"], row.get::<_, i64>(0));
    assert_eq!(stats["digest"], row.get::<_, &str>(1));
    assert_eq!(row.get::<_, i64>(2), row.get::<_, i64>(3), "one entry each");
    assert_eq!(row.get::<_, i64>(3), row.get::<_, i64>(0), "none skipped");
}

//! It is gone a second after the grace period, whatever is unreachable. CASES.md A5.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use crate::harness::daemon::Builder;
use crate::harness::{Behaviour, DEADLINE, Daemon, Extension, FaultProxy};
use crate::rig::{Rig, insert};

/// The grace period in seconds, and a second.
const GRACE: u64 = 1;
const MAY_TAKE: Duration = Duration::from_secs(GRACE + 1);
/// How often it is tried: a machine that stands still makes one end late, a daemon that waits for
/// somebody all of them.
const TRIES: usize = 3;

/// A daemon behind two proxies.
struct Surrounded {
    rig: Rig,
    nats: FaultProxy,
    database: FaultProxy,
    daemon: Daemon,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    None,
    Cut,
    Stall,
}

impl Surrounded {
    async fn start(adapt: impl Fn(Builder) -> Builder) -> Self {
        let rig = Rig::start().await;
        rig.sql.batch_execute(&insert("x")).await.unwrap();
        let nats = FaultProxy::start(&rig.nats.addr()).await;
        let database = FaultProxy::start(rig.database.addr()).await;
        let builder = rig.daemon_at(&rig.database.url_at(database.addr()));
        let builder = builder.nats(&format!("nats://{}", nats.addr()));
        let builder = builder.setting("SHUTDOWN_GRACE_SECONDS", GRACE);
        let daemon = adapt(builder).spawn().await;
        daemon.wait_ready().await;
        Self {
            rig,
            nats,
            database,
            daemon,
        }
    }

    async fn fail(&self, nats: Fault, database: Fault) {
        for (proxy, fault) in [(&self.nats, nats), (&self.database, database)] {
            match fault {
                Fault::None => {}
                Fault::Cut => proxy.cut().await,
                Fault::Stall => proxy.stall(),
            }
        }
    }

    /// How long it takes to leave.
    async fn leaves(&self, what: &str) -> Duration {
        let begun = Instant::now();
        self.daemon.sigterm();
        assert_eq!(self.daemon.wait_exit(DEADLINE).await, 0, "{what}");
        begun.elapsed()
    }
}

/// That one of a few ends, each made anew, takes no longer than it may.
async fn in_time(what: &str, end: impl AsyncFn() -> Duration) {
    let mut took = Vec::new();
    while took.len() < TRIES {
        took.push(end().await);
        if took.last() < Some(&MAY_TAKE) {
            return;
        }
    }
    panic!("{what}: {took:?}");
}

const FAULTS: [(Fault, Fault); 6] = [
    (Fault::None, Fault::None),
    (Fault::Cut, Fault::None),
    (Fault::Stall, Fault::None),
    (Fault::None, Fault::Stall),
    (Fault::Cut, Fault::Stall),
    (Fault::Stall, Fault::Stall),
];

#[tokio::test]
async fn with_nothing_in_flight() {
    for (nats, database) in FAULTS {
        let what = format!("nats {nats:?}, database {database:?}");
        in_time(&what, async || {
            let daemon = Surrounded::start(|builder| builder).await;
            // Something to flush.
            let report = json!({"id": "x", "outcome": "success"});
            daemon.rig.ask("report", &report).await.ok();
            daemon.fail(nats, database).await;
            daemon.leaves(&what).await
        })
        .await;
    }
}

#[tokio::test]
async fn with_work_in_flight() {
    for (nats, database) in FAULTS {
        let what = format!("nats {nats:?}, database {database:?}");
        in_time(&what, async || at_work(nats, database, &what).await).await;
    }
}

/// How long it takes with a call and a change in flight.
async fn at_work(nats: Fault, database: Fault, what: &str) -> Duration {
    let daemon = Surrounded::start(|builder| builder).await;
    let rig = &daemon.rig;
    let silent = Behaviour::silent();
    let x = Extension::at(&rig.nats.url(), "beamline.ext.x", silent).await;
    let call = json!({"id": "x", "payload": {}}).to_string();
    let call = rig
        .client
        .try_request("beamline.registry.invoke", call, DEADLINE);
    let write = json!({"id": "x", "timeout_ms": 77}).to_string();
    let write = rig
        .client
        .try_request("beamline.registry.update", write, DEADLINE);
    let ends = async {
        x.wait_count(1).await;
        daemon.fail(nats, database).await;
        daemon.leaves(what).await
    };
    // Whether they are answered depends on who is unreachable; nobody waits for them here.
    let work = async { tokio::join!(call, write) };
    tokio::select! {
        biased;
        took = ends => took,
        _ = async { work.await; std::future::pending::<()>().await } => unreachable!(),
    }
}

#[tokio::test]
async fn without_grace() {
    in_time("no grace", async || {
        let none = |builder: Builder| builder.setting("SHUTDOWN_GRACE_SECONDS", 0);
        let daemon = Surrounded::start(none).await;
        daemon.fail(Fault::Stall, Fault::Stall).await;
        daemon.leaves("no grace").await
    })
    .await;
}

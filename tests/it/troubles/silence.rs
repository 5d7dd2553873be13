//! A database that accepts and says nothing. CASES.md D9, D10.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::harness::{DEADLINE, Daemon, FaultProxy, eventually};
use crate::rig::{Rig, insert, metric};
use crate::schema::run;

/// What the contract gives, and some for a machine that has much else to do; less than any limit of a
/// single statement or connection.
const IN_TIME: Duration = Duration::from_secs(9);

async fn stage() -> (Rig, FaultProxy, Daemon) {
    let rig = Rig::start().await;
    run(&rig.sql, &insert("x")).await;
    let proxy = FaultProxy::start(rig.database.addr()).await;
    let url = rig.database.url_at(proxy.addr());
    let daemon = rig.daemon_at(&url).setting("SYNC_INTERVAL_SECONDS", 1);
    let daemon = daemon.spawn().await;
    daemon.wait_ready().await;
    rig.wait_stats("/listener/state", json!("listening")).await;
    (rig, proxy, daemon)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_writes_meanwhile_is_told_in_time_and_nobody_is_blamed() {
    let (rig, proxy, _daemon) = stage().await;
    proxy.stall();
    let requests: Vec<(&str, Value)> = (0..6)
        .map(|n| ("update", json!({"id": "x", "retry": n})))
        .chain([
            ("audit", json!({})),
            ("audit", json!({"id": "x"})),
            ("circuit", json!({"id": "x", "action": "open"})),
            ("circuit", json!({"id": "x", "action": "reset"})),
        ])
        .collect();
    let answers = requests.iter().map(|(verb, body)| async {
        let begun = Instant::now();
        let reply = rig.ask(verb, body).await;
        (*verb, begun.elapsed(), reply)
    });
    for (verb, took, reply) in join_all(answers).await {
        assert_eq!(
            reply.error(),
            (503, "database_unavailable".to_owned()),
            "{verb}"
        );
        assert_ne!(reply.details()["reason"], "locked", "{verb}: {reply:?}");
        assert!(took < IN_TIME, "{verb} took {took:?}");
    }
    proxy.heal().await;
    let body = json!({"id": "x", "retry": 5});
    eventually("writes work again", DEADLINE, async || {
        let reply = rig.ask("update", &body).await;
        let code = reply.header("Nats-Service-Error-Code").map(str::to_owned);
        if code.is_none() { Ok(()) } else { Err(reply) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silence_is_noticed_in_time_and_one_clock_says_since_when() {
    let (rig, proxy, daemon) = stage().await;
    proxy.stall();
    let silent = Instant::now();
    rig.wait_stats("/database/state", json!("away")).await;
    assert!(silent.elapsed() < IN_TIME, "{:?}", silent.elapsed());
    assert_eq!(
        metric(&daemon, "extension_registry_database_up").await,
        Some(0.0)
    );
    assert_eq!(daemon.get("/readyz").await.json()["database"], "away");
    let since = || u64::try_from(silent.elapsed().as_millis()).unwrap();
    let (before, stats) = eventually("one clock, in all that is said", DEADLINE, async || {
        let before = since();
        let reply = rig.ask("stats", &json!({})).await;
        let header = reply.header("Beamline-Stale-Ms").map(str::to_owned);
        let header = header.and_then(|text| text.parse::<u64>().ok());
        let stats = reply.ok()["staleness_ms"].as_u64().unwrap();
        match header {
            Some(header) if header.abs_diff(stats) < 100 => Ok((before, stats)),
            other => Err((other, stats)),
        }
    })
    .await;
    // The last answer came at most a pulse before, or was on its way.
    let after = since();
    assert!(
        (before.saturating_sub(1000)..after + 4000).contains(&stats),
        "{before} {stats} {after}"
    );
    proxy.heal().await;
    rig.wait_stats("/database/state", json!("up")).await;
}

/// A listener whose connection breaks is not a database that does.
#[tokio::test]
async fn one_silent_connection_is_not_the_database() {
    let rig = Rig::start().await;
    run(&rig.sql, &insert("x")).await;
    let proxy = FaultProxy::start(rig.database.addr()).await;
    let listen = rig.database.url_at(proxy.addr());
    let daemon = rig.daemon().setting("DB_LISTEN_URL", listen).spawn().await;
    daemon.wait_ready().await;
    rig.wait_stats("/listener/state", json!("listening")).await;
    proxy.stall();
    rig.wait_stats("/listener/state", json!("polling")).await;
    assert_eq!(rig.stats().await["database"]["state"], "up");
    assert!(!super::logged(&daemon, &["database is unreachable"]));
    proxy.heal().await;
    rig.wait_stats("/listener/state", json!("listening")).await;
}

//! Notifications, and what stands in for them when they do not come.

use std::time::Duration;

use serde_json::json;

use super::{three_rows, wait_listening};
use crate::harness::{DEADLINE, FaultProxy, eventually};
use crate::rig::{metric, set_timeout_ms};
use crate::schema::{revision, run, value};

const LISTENER_UP: &str = "extension_registry_listener_up";

#[tokio::test]
async fn a_change_is_notified() {
    let rig = three_rows().await;
    let daemon = rig.daemon().spawn().await;
    wait_listening(&rig, &daemon).await;
    for timeout_ms in 1..=20 {
        run(&rig.sql, &set_timeout_ms("a", timeout_ms)).await;
        let reply = rig.lookup_at("a", 1 + timeout_ms).await;
        assert_eq!(reply.ok()["timeout_ms"], timeout_ms);
    }
}

#[tokio::test]
async fn without_listen_the_timer_finds_changes() {
    let rig = three_rows().await;
    let proxy = FaultProxy::start(rig.database.addr()).await;
    proxy.cut().await;
    let daemon = rig
        .daemon()
        .setting("DB_LISTEN_URL", rig.database.url_at(proxy.addr()));
    let daemon = daemon.setting("SYNC_INTERVAL_SECONDS", 0.2).spawn().await;
    daemon.wait_ready().await;
    rig.wait_stats("/listener/state", json!("polling")).await;
    assert_eq!(metric(&daemon, LISTENER_UP).await, Some(0.0));
    // The data is served a moment before the load that brought it is over.
    rig.wait_stats("/database/state", json!("up")).await;
    assert_eq!(
        metric(&daemon, "extension_registry_database_up").await,
        Some(1.0)
    );
    for timeout_ms in 1..=3 {
        run(&rig.sql, &set_timeout_ms("a", timeout_ms)).await;
        rig.wait_timeout_ms("a", timeout_ms).await;
    }
    run(&rig.sql, "DELETE FROM extensions WHERE id = 'b'").await;
    eventually("the deletion shows", DEADLINE, async || {
        rig.lookup("b").await.header("Nats-Service-Error-Code") == Some("404")
    })
    .await;

    proxy.heal().await;
    rig.wait_stats("/listener/state", json!("listening")).await;
    assert_eq!(metric(&daemon, LISTENER_UP).await, Some(1.0));
}

/// The sync is far: what a read waits for is looked for at once.
#[tokio::test]
async fn without_listen_a_read_finds_the_revision_that_it_waits_for() {
    let rig = three_rows().await;
    let proxy = FaultProxy::start(rig.database.addr()).await;
    proxy.cut().await;
    let daemon = rig
        .daemon()
        .setting("DB_LISTEN_URL", rig.database.url_at(proxy.addr()));
    let daemon = daemon.setting("SYNC_INTERVAL_SECONDS", 3600).spawn().await;
    daemon.wait_ready().await;
    rig.wait_stats("/listener/state", json!("polling")).await;
    for timeout_ms in 1..=3 {
        run(&rig.sql, &set_timeout_ms("a", timeout_ms)).await;
        let reply = rig.lookup_at("a", 1 + timeout_ms).await;
        assert_eq!(reply.ok()["timeout_ms"], timeout_ms);
    }
}

/// Statements that the pool's connections have sent so far are told apart by their start.
const POOL_QUERY: &str = "SELECT max(query_start) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name LIKE 'beamline-registry/%/pool'";

#[tokio::test]
async fn a_change_that_is_notified_during_a_load_is_not_lost() {
    let rig = three_rows().await;
    let proxy = FaultProxy::start(rig.database.addr()).await;
    let daemon = rig.daemon_at(&rig.database.url_at(proxy.addr()));
    let daemon = daemon
        .setting("DB_LISTEN_URL", rig.database.url())
        .spawn()
        .await;
    wait_listening(&rig, &daemon).await;
    proxy.delay(Duration::from_millis(60));
    // A load is a few round trips: a check of the connection, the head, the rows. The second change
    // comes after each of them in turn, while its answer is still on the way.
    for steps in 0..=3 {
        let loads = async || value(&rig.sql, POOL_QUERY).await;
        let mut last = loads().await;
        run(&rig.sql, &set_timeout_ms("a", 10 + steps)).await;
        for _ in 0..steps {
            last = eventually("the load's next statement", DEADLINE, async || {
                let now = loads().await;
                (now != last).then_some(now)
            })
            .await;
        }
        run(&rig.sql, &set_timeout_ms("b", 20 + steps)).await;
        let second = revision(&rig.sql).await;
        assert_eq!(
            rig.lookup_at("b", second).await.ok()["timeout_ms"],
            20 + steps
        );
        assert_eq!(rig.lookup("a").await.ok()["timeout_ms"], 10 + steps);
    }
}

/// Ends the listener's session, once it has proven that it hears. A session killed before that
/// would only lengthen the pause until the next one.
const KILL_LISTENER: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name LIKE 'beamline-registry/%/listen'
      AND state = 'idle' AND query LIKE 'NOTIFY%'";

#[tokio::test]
async fn a_listener_killed_a_hundred_times_costs_no_change() {
    let rig = three_rows().await;
    let daemon = rig.daemon().spawn().await;
    wait_listening(&rig, &daemon).await;
    for turn in 1..=100 {
        let change = set_timeout_ms("a", turn);
        // Before the kill; after it, while nobody listens; and so soon after it that the new
        // connection may be between its LISTEN and its load.
        if turn % 3 == 0 {
            run(&rig.sql, &change).await;
        }
        eventually("there is a listener to kill", DEADLINE, async || {
            !rig.sql.query(KILL_LISTENER, &[]).await.unwrap().is_empty()
        })
        .await;
        if turn % 3 == 1 {
            run(&rig.sql, &change).await;
        }
        if turn % 3 == 2 {
            let connected = "SELECT count(*) FROM pg_stat_activity
                WHERE datname = current_database()
                  AND application_name LIKE 'beamline-registry/%/listen'";
            eventually("there is another listener", DEADLINE, async || {
                value(&rig.sql, connected).await == "1"
            })
            .await;
            run(&rig.sql, &change).await;
        }
        assert_eq!(rig.lookup_at("a", 1 + turn).await.ok()["timeout_ms"], turn);
    }
    wait_listening(&rig, &daemon).await;
}

//! What changed without a revision while nobody was connected is found at once. CASES.md D3.

use crate::harness::{Daemon, FaultProxy};
use crate::rig::{Rig, insert, set_timeout_ms, silently};
use crate::schema::run;
use serde_json::json;

/// A daemon that serves `x` and has just lost its database.
async fn cut_off() -> (Rig, FaultProxy, Daemon) {
    let rig = Rig::start().await;
    run(&rig.sql, &insert("x")).await;
    let proxy = FaultProxy::start(rig.database.addr()).await;
    let daemon = rig
        .daemon_at(&rig.database.url_at(proxy.addr()))
        .spawn()
        .await;
    daemon.wait_ready().await;
    rig.wait_stats("/listener/state", json!("listening")).await;
    proxy.cut().await;
    rig.wait_stats("/database/state", json!("away")).await;
    (rig, proxy, daemon)
}

#[tokio::test]
async fn after_a_reconnect_the_digest_is_compared_at_the_first_good_read() {
    let (rig, proxy, _daemon) = cut_off().await;
    run(&rig.sql, &silently(&set_timeout_ms("x", 77))).await;
    proxy.heal().await;
    rig.wait_timeout_ms("x", 77).await;
}

/// Where the trigger that stamps rows rests too, no digest shows what was changed.
#[tokio::test]
async fn what_was_changed_with_disabled_triggers_is_found_after_a_reconnect_too() {
    let (rig, proxy, _daemon) = cut_off().await;
    for (switch, change) in [
        ("DISABLE", set_timeout_ms("x", 77)),
        ("ENABLE", String::new()),
    ] {
        let switch = format!("ALTER TABLE extensions {switch} TRIGGER USER");
        run(&rig.sql, &switch).await;
        run(&rig.sql, &change).await;
    }
    proxy.heal().await;
    rig.wait_timeout_ms("x", 77).await;
}

/// The timer does not fire; nobody noticed that the connections were other ones.
#[tokio::test]
async fn connections_that_were_only_replaced_are_a_reconnect_too() {
    let rig = Rig::start().await;
    run(&rig.sql, &insert("x")).await;
    let daemon = rig.daemon().spawn().await;
    daemon.wait_ready().await;
    rig.wait_stats("/listener/state", json!("listening")).await;
    for round in 0..3 {
        let (silent, told) = (100 + round, 200 + round);
        run(&rig.sql, &silently(&set_timeout_ms("x", silent))).await;
        run(
            &rig.sql,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE application_name LIKE 'beamline-registry/%' AND datname = current_database()",
        )
        .await;
        rig.wait_timeout_ms("x", silent).await;
        // A change that is told beside one that was not does not hide it.
        run(&rig.sql, &set_timeout_ms("x", told)).await;
        rig.wait_timeout_ms("x", told).await;
    }
}

/// A new revision on top of what was changed unseen: the delta alone would keep the old row.
#[tokio::test]
async fn a_change_after_the_reconnect_does_not_hide_what_came_before() {
    let rig = Rig::start().await;
    run(&rig.sql, &format!("{}; {}", insert("x"), insert("y"))).await;
    let proxy = FaultProxy::start(rig.database.addr()).await;
    let daemon = rig
        .daemon_at(&rig.database.url_at(proxy.addr()))
        .spawn()
        .await;
    daemon.wait_ready().await;
    rig.wait_stats("/listener/state", json!("listening")).await;
    proxy.cut().await;
    rig.wait_stats("/database/state", json!("away")).await;
    run(&rig.sql, &silently(&set_timeout_ms("x", 77))).await;
    run(&rig.sql, &set_timeout_ms("y", 88)).await;
    proxy.heal().await;
    rig.wait_timeout_ms("y", 88).await;
    rig.wait_timeout_ms("x", 77).await;
}

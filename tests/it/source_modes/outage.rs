//! A database that is away at the start, comes, goes and comes back.

use futures_util::StreamExt;
use serde_json::{Value, json};

use super::{READS, SOURCE, STALE_MS, one_file, one_row, sources, write};
use crate::harness::daemon::message;
use crate::harness::{DEADLINE, FaultProxy, eventually};
use crate::rig::{Rig, metric, reason, set_timeout_ms};
use crate::schema::run;

#[tokio::test]
async fn auto_serves_fixtures_until_a_database_answers() {
    let (rig, folder) = (one_row().await, one_file());
    let proxy = FaultProxy::start(rig.database.addr()).await;
    proxy.cut().await;
    let events = rig.client.nats().clone();
    let mut moves = events
        .subscribe("beamline.registry.events.source_changed")
        .await
        .unwrap();
    let daemon = rig
        .daemon_at(&rig.database.url_at(proxy.addr()))
        .setting("SOURCE", "auto");
    let daemon = daemon.fixtures(folder.path()).spawn().await;
    daemon.wait_ready().await;

    for (verb, payload) in READS {
        let reply = rig
            .client
            .request(&format!("beamline.registry.{verb}"), *payload)
            .await;
        reply.ok();
        assert_eq!(reply.header(SOURCE), Some("fixtures"), "{verb}");
    }
    let miss = rig.lookup("in_row").await;
    assert_eq!(
        (reason(&miss).as_str(), miss.header(SOURCE)),
        ("unknown", Some("fixtures"))
    );
    // The files are served a moment before the load has failed as a whole.
    let stats = eventually("what it lacks", DEADLINE, async || {
        let stats = rig.stats().await;
        let said = stats["last_error"].as_str();
        let says = said.is_some_and(|error| error.contains("unreachable"));
        if says { Ok(stats) } else { Err(stats) }
    })
    .await;
    assert_eq!(sources(&stats), ("auto", "fixtures"));
    assert_eq!(stats.pointer("/database/state"), Some(&json!("away")));
    write(folder.path(), "added");
    eventually("an edit is served", DEADLINE, async || {
        rig.lookup("added").await.json()["id"] == "added"
    })
    .await;

    proxy.heal().await;
    rig.wait_stats("/active_source", json!("database")).await;
    // The data is served a moment before the load that brought it is over.
    rig.wait_stats("/last_error", Value::Null).await;
    let reply = rig.lookup("in_row").await;
    reply.ok();
    assert_eq!(reply.header(SOURCE), None);
    assert_eq!(reason(&rig.lookup("in_file").await), "unknown");
    let event = tokio::time::timeout(DEADLINE, moves.next())
        .await
        .expect("an event")
        .unwrap();
    let event: Value = serde_json::from_slice(&event.payload).unwrap();
    assert_eq!(event["data"], json!({"from": "fixtures", "to": "database"}));
}

#[tokio::test]
async fn a_lost_database_keeps_its_data_and_files_never_replace_it() {
    let (rig, folder) = (one_row().await, one_file());
    let proxy = FaultProxy::start(rig.database.addr()).await;
    let daemon = rig
        .daemon_at(&rig.database.url_at(proxy.addr()))
        .setting("SOURCE", "auto");
    let daemon = daemon.setting("SYNC_INTERVAL_SECONDS", 0.3);
    let daemon = daemon.fixtures(folder.path()).spawn().await;
    daemon.wait_ready().await;
    rig.wait_stats("/listener/state", json!("listening")).await;

    proxy.cut().await;
    run(&rig.sql, &set_timeout_ms("in_row", 77)).await;
    write(folder.path(), "added");
    rig.wait_stats("/database/state", json!("away")).await;
    let refused = rig.ask("reload", &json!({})).await;
    assert_eq!(refused.error(), (503, "database_unavailable".to_owned()));
    assert!(
        refused.json()["error"]["message"]
            .as_str()
            .unwrap()
            .contains("kept")
    );
    let stale = eventually("replies tell of stale data", DEADLINE, async || {
        let reply = rig.lookup("in_row").await;
        assert_eq!(reply.ok()["timeout_ms"], 5000, "the last good data");
        reply
            .header(STALE_MS)
            .map(|text| (text.parse::<u64>().unwrap(), reply.clone()))
    })
    .await;
    assert!(stale.0 >= 300, "only after a sync interval: {stale:?}");
    for (verb, payload) in READS {
        let payload = payload.replace("in_file", "in_row");
        let reply = rig
            .client
            .request(&format!("beamline.registry.{verb}"), payload)
            .await;
        reply.ok();
        assert_eq!(
            (reply.header(SOURCE), reply.header(STALE_MS).is_some()),
            (None, true),
            "{verb}"
        );
    }
    for id in ["in_file", "added"] {
        assert_eq!(
            reason(&rig.lookup(id).await),
            "unknown",
            "{id} comes from a file"
        );
    }
    assert_eq!(sources(&rig.stats().await), ("auto", "database"));
    assert_eq!(
        daemon.get("/readyz").await.status,
        200,
        "readiness is a latch"
    );

    proxy.heal().await;
    rig.wait_timeout_ms("in_row", 77).await;
    // The change is served a moment before the load that brought it is over.
    rig.wait_stats("/database/state", json!("up")).await;
    let reply = rig.lookup("in_row").await;
    assert_eq!((reply.header(SOURCE), reply.header(STALE_MS)), (None, None));
}

/// Asks for `id` again and again until it is served, and counts the silence before. An answer that
/// is neither the record nor silence ends the test.
async fn ask_until_served(rig: &Rig, id: &str) -> usize {
    let mut silence = 0;
    eventually("a lookup is served", DEADLINE, async || {
        let reply = rig.lookup(id).await;
        if reply.is_no_responders() {
            silence += 1;
            return false;
        }
        reply.ok();
        true
    })
    .await;
    silence
}

#[tokio::test]
async fn database_mode_waits_for_a_database_that_is_away_at_the_start() {
    let rig = one_row().await;
    let proxy = FaultProxy::start(rig.database.addr()).await;
    proxy.cut().await;
    let daemon = rig
        .daemon_at(&rig.database.url_at(proxy.addr()))
        .spawn()
        .await;
    daemon
        .wait_log("that the database is unreachable", |entry| {
            message(entry)?
                .starts_with("database is unreachable")
                .then_some(())
        })
        .await;
    daemon
        .wait_log("that NATS is there", |entry| {
            (message(entry)? == "nats connected").then_some(())
        })
        .await;

    let page = daemon.get("/readyz").await;
    assert_eq!(page.status, 503);
    assert_eq!(page.json()["missing"], json!(["data", "nats"]));
    assert_eq!(daemon.get("/livez").await.status, 200);
    for (verb, payload) in READS {
        let reply = rig
            .client
            .request(&format!("beamline.registry.{verb}"), *payload)
            .await;
        assert!(reply.is_no_responders(), "{verb}: {reply:?}");
    }
    let asking = ask_until_served(&rig, "in_row");
    let healing = async {
        // Not before it has tried in vain a few times.
        let failures =
            async || metric(&daemon, "extension_registry_sync_errors_total").await >= Some(4.0);
        eventually("four failed loads", DEADLINE, failures).await;
        proxy.heal().await;
    };
    let (silence, ()) = tokio::join!(asking, healing);
    assert!(silence > 0, "it answered before it had data");
    daemon.wait_ready().await;
    assert_eq!(daemon.exit_code(), None);
}

//! Which source serves, and what replies say about it:
//!
//! - fixtures mode serves files and nothing else, database mode the database and nothing else,
//! - auto takes the database when it answers, and files while none has answered since the start,
//!   which every reply then says (`Beamline-Source`),
//! - data of a database that is lost stays, marked as stale after a sync interval, and files never
//!   take its place,
//! - database mode waits for a database that is away: unready, silent on its subjects, alive,
//! - a schema that is behind is a database that is away, and says so; one that is ahead serves.

use std::path::Path;

use futures_util::StreamExt;
use serde_json::{Value, json};

use crate::harness::daemon::{field, message};
use crate::harness::{
    Client, DEADLINE, Daemon, FaultProxy, NatsServer, Reply, TestDatabase, eventually,
};
use crate::rig::{Rig, insert, metric, reason, set_timeout_ms, shipped_fixtures};
use crate::schema::run;

const SOURCE: &str = "Beamline-Source";
const STALE_MS: &str = "Beamline-Stale-Ms";
/// Every read, with a payload that it takes.
const READS: &[(&str, &str)] = &[
    ("lookup", "in_file"),
    ("get", "in_file"),
    ("explain", "in_file"),
    ("list", ""),
    ("lookup_by_type", "pre"),
    ("stats", ""),
    ("ping", ""),
];

/// A folder with the one extension `in_file`.
fn one_file() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "in_file");
    folder
}

fn write(folder: &Path, id: &str) {
    let extension = json!({"id": id, "type": "pre", "subject": format!("beamline.ext.{id}")});
    std::fs::write(folder.join(format!("{id}.json")), extension.to_string()).unwrap();
}

/// A database with the one extension `in_row`.
async fn one_row() -> Rig {
    let rig = Rig::start().await;
    run(&rig.sql, &insert("in_row")).await;
    rig
}

fn sources(stats: &Value) -> (&str, &str) {
    let text = |name: &str| stats[name].as_str().unwrap();
    (text("source"), text("active_source"))
}

#[tokio::test]
async fn fixtures_mode_serves_files_and_leaves_a_database_alone() {
    let rig = one_row().await;
    let daemon = rig.daemon().setting("SOURCE", "fixtures");
    let daemon = daemon.fixtures(&shipped_fixtures()).spawn().await;
    daemon.wait_ready().await;

    let reply = rig.lookup("normalize_text").await;
    assert_eq!(reply.ok()["subject"], "beamline.ext.pre.normalize_text.v1");
    assert_eq!((reply.header(SOURCE), reply.header(STALE_MS)), (None, None));
    assert_eq!(reason(&rig.lookup("in_row").await), "unknown");
    let stats = rig.stats().await;
    assert_eq!(sources(&stats), ("fixtures", "fixtures"));
    assert_eq!(
        (&stats["revision"], &stats["epoch"]),
        (&json!(0), &Value::Null)
    );
    assert_eq!(stats["total_extensions"], 6);
    assert_eq!(stats.pointer("/database/state"), Some(&json!("off")));
    assert_eq!(stats.pointer("/listener/state"), Some(&json!("off")));
}

#[tokio::test]
async fn database_mode_serves_rows_and_leaves_files_alone() {
    let (rig, folder) = (one_row().await, one_file());
    let daemon = rig.daemon().fixtures(folder.path()).spawn().await;
    daemon.wait_ready().await;

    let reply = rig.lookup("in_row").await;
    assert_eq!(reply.ok()["revision"], 1);
    assert_eq!((reply.header(SOURCE), reply.header(STALE_MS)), (None, None));
    assert_eq!(reason(&rig.lookup("in_file").await), "unknown");
    let stats = rig.wait_stats("/listener/state", json!("listening")).await;
    assert_eq!(sources(&stats), ("database", "database"));
    assert_eq!(stats["revision"], 1);
    assert_eq!(stats.pointer("/database/state"), Some(&json!("up")));
}

#[tokio::test]
async fn auto_takes_the_database_when_it_answers() {
    let (rig, folder) = (one_row().await, one_file());
    let daemon = rig.daemon().setting("SOURCE", "auto");
    let daemon = daemon.fixtures(folder.path()).spawn().await;
    daemon.wait_ready().await;

    let reply = rig.lookup("in_row").await;
    reply.ok();
    assert_eq!(reply.header(SOURCE), None);
    assert_eq!(reason(&rig.lookup("in_file").await), "unknown");
    assert_eq!(sources(&rig.stats().await), ("auto", "database"));
}

#[tokio::test]
async fn auto_without_a_database_configured_means_fixtures() {
    let (nats, folder) = (NatsServer::start().await, one_file());
    for database in [None, Some("postgres://127.0.0.1:1/nobody")] {
        let mut daemon = Daemon::builder().nats(&nats.url()).fixtures(folder.path());
        if let Some(url) = database {
            daemon = daemon.database(url).setting("DB_ENABLED", false);
        }
        let daemon = daemon.spawn().await;
        daemon.wait_ready().await;
        let client = Client::connect(&nats.url()).await;
        client
            .request("beamline.registry.lookup", "in_file")
            .await
            .ok();
        let stats = client.request("beamline.registry.stats", "").await.ok();
        assert_eq!(stats["active_source"], "fixtures");
        assert_eq!(stats.pointer("/database/state"), Some(&json!("off")));
    }
}

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
    let stats = rig.stats().await;
    assert_eq!(sources(&stats), ("auto", "fixtures"));
    assert_eq!(stats.pointer("/database/state"), Some(&json!("away")));
    assert!(
        stats["last_error"].as_str().unwrap().contains("away"),
        "{stats}"
    );
    write(folder.path(), "added");
    eventually("an edit is served", DEADLINE, async || {
        rig.lookup("added").await.json()["id"] == "added"
    })
    .await;

    proxy.heal().await;
    let stats = rig.wait_stats("/active_source", json!("database")).await;
    assert_eq!(stats["last_error"], Value::Null);
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
    assert!(stale.0 > 300, "only after a sync interval: {stale:?}");
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
    let reply = rig.lookup("in_row").await;
    assert_eq!((reply.header(SOURCE), reply.header(STALE_MS)), (None, None));
}

/// Asks for `id` again and again until it is served, and counts the silence before. An answer that
/// is neither the record nor silence ends the test.
async fn ask_until_served(rig: &Rig, id: &str) -> usize {
    let mut silence = 0;
    eventually("a lookup is served", DEADLINE, async || {
        let reply: Reply = rig.lookup(id).await;
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
        .wait_log("that the database is away", |entry| {
            (message(entry)? == "database is away").then_some(())
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

#[tokio::test]
async fn a_schema_that_is_behind_is_named_and_served_after_migrate() {
    for mode in ["database", "auto"] {
        let database = TestDatabase::create().await;
        let sql = database.connect().await;
        let (rig, folder) = (Rig::with(database, sql).await, one_file());
        let daemon = rig.daemon().setting("SOURCE", mode);
        let daemon = daemon.fixtures(folder.path()).spawn().await;
        let names_it = |text: &str| text.contains("schema is behind") && text.contains("migrate");
        daemon
            .wait_log("what is wrong", |entry| {
                names_it(field(entry, "error")?.as_str()?).then_some(())
            })
            .await;
        eventually("/readyz names it", DEADLINE, async || {
            let page = daemon.get("/readyz").await;
            names_it(page.json()["last_error"].as_str()?).then_some(())
        })
        .await;
        if mode == "auto" {
            daemon.wait_ready().await;
            assert!(names_it(rig.stats().await["last_error"].as_str().unwrap()));
            let reply = rig.lookup("in_file").await;
            reply.ok();
            assert_eq!(reply.header(SOURCE), Some("fixtures"));
        } else {
            assert_eq!(daemon.get("/readyz").await.status, 503);
            assert!(rig.lookup("in_row").await.is_no_responders());
        }

        let migrate = Daemon::builder()
            .database(&rig.database.url())
            .arg("migrate");
        let (code, _, errors) = migrate.arg("--seed").run().await;
        assert_eq!(code, 0, "{errors}");
        daemon.wait_ready().await;
        rig.wait_stats("/active_source", json!("database")).await;
        rig.lookup("normalize_text").await.ok();
        assert_eq!(
            daemon.get("/readyz").await.json()["last_error"],
            Value::Null
        );
    }
}

#[tokio::test]
async fn a_schema_that_is_ahead_by_additions_is_served() {
    let rig = one_row().await;
    run(
        &rig.sql,
        "ALTER TABLE extensions ADD COLUMN from_the_future text DEFAULT 'x';
         ALTER TABLE registry_revision ADD COLUMN from_the_future text;
         CREATE TABLE from_the_future ();
         INSERT INTO refinery_schema_history
             SELECT max(version) + 1, 'future', max(applied_on), '0' FROM refinery_schema_history",
    )
    .await;
    let daemon = rig.daemon().spawn().await;
    daemon.wait_ready().await;
    rig.lookup("in_row").await.ok();
    run(&rig.sql, &set_timeout_ms("in_row", 77)).await;
    assert_eq!(rig.lookup_at("in_row", 2).await.ok()["timeout_ms"], 77);
}

//! A database whose schema is older or newer than the daemon.

use serde_json::{Value, json};

use super::{SOURCE, one_file, one_row};
use crate::harness::daemon::field;
use crate::harness::{DEADLINE, Daemon, TestDatabase, eventually};
use crate::rig::{Rig, set_timeout_ms};
use crate::schema::{revision, run};

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
        // The seeds are a transaction of their own, after the schema.
        let now = revision(&rig.sql).await;
        rig.lookup_at("normalize_text", now).await.ok();
        // It is served a moment before the load that brought it is over.
        rig.wait_stats("/last_error", Value::Null).await;
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

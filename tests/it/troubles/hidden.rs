//! What cannot be seen is not taken for gone. CASES.md D2.

use serde_json::json;

use super::{Stage, wait_logged};
use crate::harness::{DEADLINE, eventually};
use crate::schema::{revision, run};

/// Every table of the schema.
const TABLES: &str = "SELECT relname::text FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' ORDER BY relname";

async fn tables(stage: &Stage) -> Vec<String> {
    let rows = stage.superuser.query(TABLES, &[]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

/// Gives every part of the daemon a reason to look at its tables.
async fn provoke(stage: &Stage, id: &str) {
    let bump = "UPDATE extensions SET timeout_ms = timeout_ms + 1 WHERE id = 'mock_provider'";
    // Refused where the triggers, which run as the owner, may not do their work.
    let _refused = stage.superuser.batch_execute(bump).await;
    stage.ask("audit", &json!({})).await;
    stage.ask("reload", &json!({})).await;
    let report = json!({"id": id, "outcome": "success"});
    stage.ask("report", &report).await;
    let order = json!({"id": id, "action": "reset"});
    stage.ask("circuit", &order).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_security_on_each_table_in_turn_hides_nothing_unsaid() {
    let stage = Stage::start().await;
    // The daemon as it should be, and one that owns what it reads.
    for (role, how) in [("beamline_registry", "ENABLE"), ("beamline_owner", "FORCE")] {
        let on = |table: &str| {
            format!(
                "ALTER TABLE {table} ENABLE ROW LEVEL SECURITY; ALTER TABLE {table} {how} ROW LEVEL SECURITY"
            )
        };
        // A lease that is held is looked at seldom, so this one is hidden from the start.
        run(&stage.superuser, &on("probe_lease")).await;
        let daemon = stage.daemon(role).await;
        let mut tables = tables(&stage).await;
        tables.sort_by_key(|table| table != "probe_lease");
        for table in tables {
            // A schema that was looked at stays looked at while its connections last; functions
            // are for `migrate`; attempts are read where a rollout may halt, of which there is none.
            let unread = [
                "refinery_schema_history",
                "registry_functions",
                "rollout_attempts",
            ];
            // Where the triggers cannot see them, nothing changes any more: see the next test but one.
            let unwritten = (role, &*table) == ("beamline_owner", "registry_tombstones");
            if unread.contains(&table.as_str()) || unwritten {
                continue;
            }
            run(&stage.superuser, &on(&table)).await;
            eventually(&format!("{role}: {table} is named"), DEADLINE, async || {
                provoke(&stage, super::SERVED).await;
                stage.serves().await;
                let words = ["hides rows", &format!("\\\"{table}\\\"")];
                super::logged(&daemon, &words)
            })
            .await;
            assert_ne!(stage.database_state().await["state"], "away", "{table}");
            let off = format!(
                "ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY; ALTER TABLE {table} DISABLE ROW LEVEL SECURITY"
            );
            run(&stage.superuser, &off).await;
            stage.wait_state("up").await;
            eventually(
                &format!("{role}: all works after {table}"),
                DEADLINE,
                async || stage.works().await,
            )
            .await;
        }
        daemon.sigterm();
        daemon.wait_exit(DEADLINE).await;
    }
}

#[tokio::test]
async fn hidden_rows_are_named_everywhere_and_nothing_is_forgotten() {
    let stage = Stage::start().await;
    let daemon = stage.daemon("beamline_registry").await;
    run(
        &stage.superuser,
        "ALTER TABLE extension_versions ENABLE ROW LEVEL SECURITY",
    )
    .await;
    stage.ask("reload", &json!({})).await;
    let down = stage.wait_state("failing").await;
    assert_eq!(down["reason"], "hidden");
    assert!(down["since"].is_string(), "{down}");
    let error = down["error"].as_str().unwrap();
    assert!(error.contains("extension_versions"), "{error}");
    let ready = daemon.get("/readyz").await;
    assert_eq!(
        (ready.status, &ready.json()["database"]),
        (200, &json!("failing"))
    );
    assert!(
        ready.json()["last_error"]
            .as_str()
            .unwrap()
            .contains("hides rows")
    );
    assert_eq!(
        crate::rig::metric(&daemon, "extension_registry_database_up").await,
        Some(0.0)
    );
    let refused = stage.ask("reload", &json!({})).await;
    assert_eq!(refused.error(), (500, "internal".to_owned()));
    assert!(
        refused.json()["error"]["message"]
            .as_str()
            .unwrap()
            .contains("is kept")
    );
    wait_logged(&daemon, &["database cannot be read; the data is kept"]).await;
    // While it lasts, that is one condition: replies get older, and it began when it began.
    eventually("replies say how old they are", DEADLINE, async || {
        let reply = stage.ask("lookup", &json!({"id": super::SERVED})).await;
        reply.header("Beamline-Stale-Ms").is_some()
    })
    .await;
    assert_eq!(stage.database_state().await["since"], down["since"]);
    let check = stage
        .builder(&stage.ruled.url("beamline_registry"))
        .arg("check");
    let (code, found, _) = check.run().await;
    assert_eq!(code, 1, "{found}");
    let failed = found.split_once("\u{d7} may read every table\n").unwrap().1;
    let problem = failed.lines().next().unwrap();
    assert!(problem.contains("extension_versions"), "{found}");

    let off = "ALTER TABLE extension_versions DISABLE ROW LEVEL SECURITY";
    run(&stage.superuser, off).await;
    assert_eq!(stage.wait_state("up").await["error"], json!(null));
    assert_eq!(
        daemon.get("/readyz").await.json()["last_error"],
        json!(null)
    );
}

/// Whoever writes: the triggers run as the owner, and what they cannot see would have no revision.
#[tokio::test]
async fn a_change_whose_extension_is_hidden_from_the_triggers_is_refused() {
    let stage = Stage::start().await;
    let force = "ALTER TABLE extensions ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY";
    run(&stage.superuser, force).await;
    let before = revision(&stage.superuser).await;
    for change in [
        "INSERT INTO extension_versions (id, version, subject)
         VALUES ('normalize_text', 'v7', 'beamline.ext.v7')",
        "INSERT INTO extension_instances (extension_id, instance_id, subject, version, created_by)
         VALUES ('normalize_text', 'a', 'beamline.ext.a', 'v1', 'kim')",
    ] {
        let refused = stage.superuser.batch_execute(change).await.unwrap_err();
        let words = refused.as_db_error().unwrap().message().to_owned();
        assert!(words.contains("row-level security"), "{words}");
    }
    let also = "ALTER TABLE extensions NO FORCE ROW LEVEL SECURITY, DISABLE ROW LEVEL SECURITY;
        ALTER TABLE registry_tombstones ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY";
    run(&stage.superuser, also).await;
    let change = "UPDATE extensions SET timeout_ms = 7 WHERE id = 'normalize_text'";
    let refused = stage.superuser.batch_execute(change).await.unwrap_err();
    let words = refused.as_db_error().unwrap().message().to_owned();
    assert!(words.contains("registry_tombstones"), "{words}");
    assert_eq!(revision(&stage.superuser).await, before);
}

#[tokio::test]
async fn a_view_in_the_place_of_a_table_is_not_believed() {
    let stage = Stage::start().await;
    let daemon = stage.daemon("beamline_registry").await;
    run(
        &stage.superuser,
        "ALTER TABLE extension_instances RENAME TO real_instances;
         CREATE VIEW extension_instances AS SELECT * FROM real_instances WHERE false;
         GRANT SELECT ON extension_instances TO beamline_registry;
         ALTER TABLE extensions RENAME TO real_extensions;
         CREATE VIEW extensions AS SELECT * FROM real_extensions WHERE id <> 'normalize_text';
         GRANT SELECT ON extensions TO beamline_registry",
    )
    .await;
    stage.ask("reload", &json!({})).await;
    assert_eq!(stage.wait_state("failing").await["reason"], "hidden");
    stage.serves().await;
    wait_logged(&daemon, &["is not a table any more"]).await;
    run(
        &stage.superuser,
        "DROP VIEW extensions; ALTER TABLE real_extensions RENAME TO extensions;
         DROP VIEW extension_instances; ALTER TABLE real_instances RENAME TO extension_instances",
    )
    .await;
    stage.wait_state("up").await;
    stage.works().await.unwrap();
}

/// The statements were prepared while it was a table.
#[tokio::test]
async fn a_view_is_not_believed_by_who_reads_changes_either() {
    let stage = Stage::start().await;
    let _daemon = stage.daemon("beamline_registry").await;
    stage.wait_state("up").await;
    let bump = "UPDATE extensions SET timeout_ms = timeout_ms + 1 WHERE id = 'mock_provider'";
    for _ in 0..5 {
        run(&stage.superuser, bump).await;
        let revision = revision(&stage.superuser).await;
        let body = json!({"id": "mock_provider", "min_revision": revision, "wait_ms": 10_000});
        stage.ask("lookup", &body).await.ok();
    }
    run(
        &stage.superuser,
        "ALTER TABLE extension_instances RENAME TO real_instances;
         CREATE VIEW extension_instances AS SELECT * FROM real_instances WHERE false;
         GRANT SELECT ON extension_instances TO beamline_registry",
    )
    .await;
    run(&stage.superuser, bump).await;
    assert_eq!(stage.wait_state("failing").await["reason"], "hidden");
    run(
        &stage.superuser,
        "DROP VIEW extension_instances; ALTER TABLE real_instances RENAME TO extension_instances",
    )
    .await;
    stage.wait_state("up").await;
    run(
        &stage.superuser,
        "ALTER TABLE registry_revision RENAME TO real_revision;
         CREATE VIEW registry_revision AS SELECT * FROM real_revision;
         GRANT SELECT ON registry_revision TO beamline_registry",
    )
    .await;
    assert_eq!(stage.wait_state("failing").await["reason"], "hidden");
    run(
        &stage.superuser,
        "DROP VIEW registry_revision; ALTER TABLE real_revision RENAME TO registry_revision",
    )
    .await;
    stage.wait_state("up").await;
    // Another type: what was prepared does not fit.
    run(
        &stage.superuser,
        "ALTER TABLE extensions ALTER COLUMN created_by TYPE text",
    )
    .await;
    run(&stage.superuser, bump).await;
    let revision = revision(&stage.superuser).await;
    let body = json!({"id": "mock_provider", "min_revision": revision, "wait_ms": 10_000});
    stage.ask("lookup", &body).await.ok();
    // It is served a moment before the load that brought it is over.
    stage.wait_state("up").await;
    let stats = stage.ask("stats", &json!({})).await.ok();
    assert_eq!(stats["last_error"], json!(null), "{stats}");
}

/// It is no fault of each of its rows.
#[tokio::test]
async fn a_column_of_another_type_takes_no_extension_away() {
    let stage = Stage::start().await;
    let _daemon = stage.daemon("beamline_registry").await;
    stage.wait_state("up").await;
    run(
        &stage.superuser,
        "ALTER TABLE extensions ALTER COLUMN updated_at TYPE date;
         UPDATE extensions SET timeout_ms = timeout_ms + 1",
    )
    .await;
    assert_eq!(stage.wait_state("failing").await["reason"], "unexpected");
    let back = "ALTER TABLE extensions ALTER COLUMN updated_at TYPE timestamptz";
    run(&stage.superuser, back).await;
    stage.wait_state("up").await;
    stage.works().await.unwrap();
}

//! Imports beside a running daemon, and imports that are killed.

use std::time::Instant;

use serde_json::{Value, json};

use super::{command, folder, import, ok, write};
use crate::change_events::bulk::reloads;
use crate::events_seen::EventsSeen;
use crate::harness::{DEADLINE, eventually};
use crate::rig::Rig;
use crate::schema::{run, value};
use crate::site::extension;

/// `e0`, `e1`...: so many extensions with a version and an instance each.
fn many(count: usize) -> Value {
    let one = |n| {
        let mut record = extension("pre", &format!("e{n}"));
        record["versions"] = json!([{"version": "v2", "subject": format!("beamline.ext.e{n}.v2")}]);
        let subject = format!("beamline.ext.e{n}.blue");
        record["instances"] = json!([{"instance_id": "blue", "subject": subject}]);
        record
    };
    (0..count).map(one).collect()
}

#[tokio::test]
async fn daemons_see_an_import_as_one_revision() {
    let rig = Rig::start().await;
    let daemon = rig.daemon().setting("INSTANCE_ID", "pod-1").spawn().await;
    daemon.wait_ready().await;
    let events = EventsSeen::start(&rig.nats).await;
    let folder = folder(&many(2));
    ok(import(&rig.database, folder.path(), &[]).await);
    let served = rig.lookup_at("e1", 1).await.ok();
    assert_eq!(served["instances"][0]["instance_id"], "blue");
    for id in ["e0", "e1"] {
        events.wait(id, &["extension_created"], 1).await;
    }

    write(folder.path(), &many(150));
    ok(import(&rig.database, folder.path(), &[]).await);
    rig.lookup_at("e149", 2).await.ok();
    run(&rig.sql, &crate::rig::insert("fence")).await;
    events.wait("fence", &["extension_created"], 1).await;
    assert_eq!(events.of_kind("extension_created").len(), 3);
    let told: Vec<_> = reloads(&events, 3)
        .await
        .iter()
        .map(|event| {
            (
                event["data"]["revision"].clone(),
                event["data"]["added"].clone(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            (json!(1), json!(2)),
            (json!(2), json!(148)),
            (json!(3), json!(1))
        ]
    );
}

/// However far it came: all of it is there, or nothing.
#[tokio::test]
async fn a_killed_import_leaves_all_or_nothing() {
    const COUNT: usize = 300;
    let place = super::Place::new().await;
    let folder = folder(&many(COUNT));
    let start = Instant::now();
    ok(place.import(folder.path(), &["--dry-run"]).await);
    let whole = start.elapsed();
    for _ in 0..6 {
        let process = command(&place.database, "import", folder.path(), &[])
            .spawn()
            .await;
        let moment = whole.mul_f64(rand::random_range(0.0..1.2));
        let _killed = tokio::time::timeout(moment, process.wait_exit(DEADLINE)).await;
        process.sigkill();
        process.wait_exit(DEADLINE).await;
        let sessions = "SELECT count(*) FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid()";
        eventually("the database has noticed", DEADLINE, async || {
            place.value(sessions).await == "0"
        })
        .await;
        let state = "SELECT concat_ws(' ', (SELECT count(*) FROM extensions),
            (SELECT count(*) FROM extension_versions), (SELECT count(*) FROM extension_instances),
            (SELECT count(*) FROM extension_audit_log))";
        let found = value(&place.sql, state).await;
        let all = format!("{COUNT} {COUNT} {COUNT} {}", 3 * COUNT);
        assert!(found == "0 0 0 0" || found == all, "{found}");
        run(
            &place.sql,
            "DELETE FROM extensions; TRUNCATE extension_audit_log",
        )
        .await;
    }
}

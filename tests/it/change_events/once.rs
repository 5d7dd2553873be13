//! Each change has one event, also when two sidecars apply it.

use serde_json::{Value, json};

use crate::events_seen::{EventsSeen, assert_about};
use crate::harness::DEADLINE;
use crate::rig::Rig;
use crate::schema::{run, value};

/// Changes of `a` by plain SQL, and what is to be told of each.
const CHANGES: [(&str, &str, &[&str]); 8] = [
    (
        "INSERT INTO extensions (id, type, subject) VALUES ('a', 'pre', 'beamline.ext.a')",
        "extension_created",
        &[],
    ),
    (
        r#"UPDATE extensions SET retry = 4, config = '{"secret": 1}'"#,
        "extension_updated",
        &["config", "retry"],
    ),
    (
        "INSERT INTO extension_versions (id, version, subject) VALUES ('a', 'v2', 'beamline.ext.v2')",
        "extension_updated",
        &["versions"],
    ),
    (
        "UPDATE extensions SET enabled = false",
        "extension_disabled",
        &["enabled"],
    ),
    (
        "UPDATE extensions SET enabled = true",
        "extension_enabled",
        &["enabled"],
    ),
    (
        "UPDATE extensions SET auto_disabled = true",
        "auto_disabled",
        &["auto_disabled"],
    ),
    (
        "UPDATE extensions SET auto_disabled = false",
        "auto_enabled",
        &["auto_disabled"],
    ),
    ("DELETE FROM extensions", "extension_deleted", &[]),
];

#[tokio::test]
async fn every_change_is_told_once_by_one_of_two_sidecars() {
    let rig = Rig::start().await;
    let events = EventsSeen::start(&rig.nats).await;
    let mut daemons = Vec::new();
    for name in ["pod-1", "pod-2"] {
        let daemon = rig.daemon().setting("INSTANCE_ID", name).spawn().await;
        daemon.wait_ready().await;
        daemons.push(daemon);
    }
    let kinds = CHANGES.map(|(_, kind, _)| kind);
    for (done, (sql, _, _)) in (1..).zip(CHANGES) {
        run(&rig.sql, sql).await;
        events.wait("a", &kinds, done).await;
    }
    // Whoever might have told one a second time has told this after it.
    let fence = "INSERT INTO extensions (id, type, subject) VALUES ('z', 'pre', 'beamline.ext.z')";
    run(&rig.sql, fence).await;
    events.wait("z", &["extension_created"], 1).await;

    let told = events.about("a");
    let epoch = value(&rig.sql, "SELECT epoch FROM registry_revision").await;
    assert_eq!(told.len(), CHANGES.len(), "{told:#?}");
    for (revision, ((kind, event), (_, expected, fields))) in (1..).zip(told.iter().zip(CHANGES)) {
        assert_eq!(kind, expected);
        assert_about(event, kind, "a");
        assert_eq!(event["id"], format!("{epoch}-{revision}-1"));
        let by = &event["data"]["changed_by"];
        assert!(by.is_string(), "{event}");
        let data = json!({
            "id": "a", "revision": revision, "changed_by": by, "total": 1, "changed": fields
        });
        assert_eq!(event["data"], data);
    }
    let text = Value::from_iter(told.into_iter().map(|(_, event)| event)).to_string();
    assert!(
        !text.contains("secret") && !text.contains("beamline.ext"),
        "{text}"
    );
}

#[tokio::test]
async fn what_changes_while_nobody_runs_is_told_by_the_next() {
    let rig = Rig::start().await;
    let events = EventsSeen::start(&rig.nats).await;
    // More revisions than one claim takes.
    for n in 1..=120 {
        let sql = format!(
            "INSERT INTO extensions (id, type, subject) VALUES ('e{n}', 'pre', 'beamline.ext.e{n}')"
        );
        run(&rig.sql, &sql).await;
    }
    let daemon = rig.daemon().setting("INSTANCE_ID", "pod-1").spawn().await;
    daemon.wait_ready().await;
    events.wait("e120", &["extension_created"], 1).await;
    let told = events.of_kind("extension_created");
    assert_eq!(told.len(), 120);
    // When it was changed, not when somebody came to publish it.
    let audit = rig.ask("audit", &json!({"id": "e1"})).await.ok();
    assert_eq!(told[0]["subject"], "e1");
    assert_eq!(told[0]["time"], audit["entries"][0]["timestamp"]);

    daemon.sigterm();
    assert_eq!(daemon.wait_exit(DEADLINE).await, 0);
    run(&rig.sql, "DELETE FROM extensions WHERE id = 'e1'").await;
    let daemon = rig.daemon().setting("INSTANCE_ID", "pod-1").spawn().await;
    daemon.wait_ready().await;
    events.wait("e1", &["extension_deleted"], 1).await;
    assert_eq!(
        events.of_kind("extension_created").len(),
        120,
        "told before"
    );
}

/// What other tools keep in the audit log may have any name.
#[tokio::test]
async fn columns_of_others_in_the_audit_log_keep_no_event_back() {
    let rig = Rig::start().await;
    let columns = ["place", "total", "created", "deleted", "key", "side"];
    let columns = columns.map(|name| format!("ADD COLUMN {name} text"));
    let alter = format!("ALTER TABLE extension_audit_log {}", columns.join(", "));
    run(&rig.sql, &alter).await;
    let events = EventsSeen::start(&rig.nats).await;
    let daemon = rig.daemon().spawn().await;
    daemon.wait_ready().await;
    let new = json!({"id": "a", "type": "pre", "subject": "beamline.ext.a"});
    rig.ask("create", &new).await.ok();
    events.wait("a", &["extension_created"], 1).await;
    let rehearsed = json!({"id": "a", "retry": 4, "dry_run": true});
    let rehearsed = rig.ask("update", &rehearsed).await.ok();
    assert_eq!(rehearsed["changed"], json!(["retry"]));
}

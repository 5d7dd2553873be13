//! Switches and answers that hold whatever state the record is in.

use serde_json::json;

use super::{actions, plain, started};
use crate::rig::insert;

#[tokio::test]
async fn what_is_broken_can_be_switched_off_and_keeps_its_columns() {
    let (rig, _daemon) = started().await;
    let broken = "INSERT INTO extensions (id, type, subject, timeout_ms, config)
        VALUES ('x', 'pre', 'elsewhere.x', 900000, '[]')";
    rig.sql.batch_execute(broken).await.unwrap();
    rig.wait_stats("/quarantined_total", json!(1)).await;
    let disabled = rig.ask("disable", &json!({"id": "x"})).await;
    assert_eq!(
        disabled.ok(),
        json!({"id": "x", "revision": 2}),
        "committed, and no record to show"
    );
    let row = "SELECT enabled, timeout_ms, config::text FROM extensions WHERE id = 'x'";
    let row = rig.sql.query_one(row, &[]).await.unwrap();
    let columns: (bool, i32, String) = (row.get(0), row.get(1), row.get(2));
    assert_eq!(columns, (false, 900_000, "[]".into()));
    assert_eq!(actions(&rig, "x").await, ["created", "disabled"]);
    assert_eq!(rig.ask("enable", &json!({"id": "x"})).await.error().0, 400);
}

#[tokio::test]
async fn a_value_beyond_the_limits_stands_in_no_ones_way() {
    let (rig, _daemon) = started().await;
    rig.sql.batch_execute(&insert("x")).await.unwrap();
    let beyond = "UPDATE extensions SET timeout_ms = 900000";
    rig.sql.batch_execute(beyond).await.unwrap();
    for verb in ["disable", "enable"] {
        let record = rig.ask(verb, &json!({"id": "x"})).await.ok();
        assert_eq!(record["enabled"], verb == "enable");
    }
    let renamed = json!({"id": "x", "metadata": {"owner": "me"}});
    rig.ask("update", &renamed).await.ok();
    let stored = "SELECT timeout_ms FROM extensions";
    let stored: i32 = rig.sql.query_one(stored, &[]).await.unwrap().get(0);
    assert_eq!(stored, 900_000, "left as it was");
    assert_eq!(
        actions(&rig, "x").await,
        ["created", "updated", "disabled", "enabled", "updated"]
    );
}

#[tokio::test]
async fn a_person_who_enables_what_the_machine_disabled_is_named_so() {
    let (rig, _daemon) = started().await;
    rig.ask("create", &plain("x")).await.ok();
    let machine = "UPDATE extensions SET auto_disabled = true";
    rig.sql.batch_execute(machine).await.unwrap();
    let record = rig.ask("as.alice.enable", &json!({"id": "x"})).await.ok();
    assert_eq!(record["auto_disabled"], false);
    assert_eq!(
        actions(&rig, "x").await,
        ["created", "auto_disabled", "enabled"]
    );
}

/// What somebody else has just written is in the answer of a change that finds nothing to do.
#[tokio::test]
async fn nothing_to_change_is_answered_with_the_record_as_it_is_stored() {
    let (rig, _daemon) = started().await;
    rig.ask("create", &plain("x")).await.ok();
    for retry in [2, 3, 4, 5, 6, 7, 8, 9] {
        let sql = format!("UPDATE extensions SET retry = {retry}");
        rig.sql.batch_execute(&sql).await.unwrap();
        let same = json!({"id": "x", "retry": retry});
        let record = rig.ask("update", &same).await.ok();
        assert_eq!(
            (&record["retry"], &record["revision"]),
            (&json!(retry), &json!(retry))
        );
    }
}

#[tokio::test]
async fn a_row_of_the_current_version_keeps_its_rules_through_a_promotion() {
    let (rig, _daemon) = started().await;
    rig.ask("create", &plain("x")).await.ok();
    let same = json!({"id": "x", "version": "v1", "subject": "beamline.ext.x", "priority": 3});
    rig.ask("put_version", &same).await.ok();
    assert_eq!(
        super::served(&rig, "x", "acme").await,
        "v1",
        "enabled unless it says otherwise"
    );
    let rules = json!({"id": "x", "version": "v1", "subject": "beamline.ext.x", "priority": 3,
        "routing_rules": {"tenant_id": "acme"}});
    rig.ask("put_version", &rules).await.ok();
    let next = json!({"id": "x", "version": "v2", "subject": "beamline.ext.x.v2"});
    rig.ask("put_version", &next).await.ok();
    let promote = json!({"id": "x", "version": "v2"});
    let record = rig.ask("promote", &promote).await.ok();
    let kept = &record["versions"][0];
    assert_eq!(kept["routing_rules"], json!({"tenant_id": "acme"}));
    assert_eq!(
        (&kept["priority"], &kept["enabled"], &kept["timeout_ms"]),
        (&json!(3), &json!(false), &json!(5000))
    );
}

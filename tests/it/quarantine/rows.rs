//! Rows that break a rule, repaired by plain SQL.

use serde_json::json;

use super::{QUARANTINED, logged, origins};
use crate::rig::{Rig, insert, metric, reason};
use crate::schema::{revision, run};

#[tokio::test]
async fn faulty_rows_are_named_while_the_rest_serves() {
    let rig = Rig::start().await;
    let good = ["good", "bad_rules", "bad_current", "versioned", "instanced"].map(insert);
    run(
        &rig.sql,
        &format!(
            "{};
             INSERT INTO extensions (id, type, subject) VALUES
                ('bad_subject', 'pre', 'internal.secrets'), ('no id!', 'pre', 'beamline.ext.odd');
             UPDATE extensions SET routing_rules = '[1]' WHERE id = 'bad_rules';
             INSERT INTO extension_versions (id, version, subject, enabled) VALUES
                ('bad_current', 'v1', '$JS.API.x', true),
                ('versioned', 'v2', 'beamline.registry.lookup', true),
                ('versioned', 'v3', 'beamline.ext.versioned.v3', true);
             INSERT INTO extension_instances (extension_id, instance_id, subject) VALUES
                ('instanced', 'bad', 'beamline.ext.*'), ('instanced', 'good', 'beamline.ext.i')",
            good.join(";")
        ),
    )
    .await;
    let daemon = rig.daemon().spawn().await;
    daemon.wait_ready().await;

    let faulty = [
        "extension_instances/instanced/bad",
        "extension_versions/versioned/v2",
        "extensions/bad_current",
        "extensions/bad_rules",
        "extensions/bad_subject",
        "extensions/no id!",
    ];
    let stats = rig.stats().await;
    assert_eq!(origins(&stats), faulty);
    assert_eq!(stats["total_extensions"], 3);
    assert_eq!(metric(&daemon, QUARANTINED).await, Some(6.0));
    for fault in stats["quarantined"].as_array().unwrap() {
        let said = logged(&daemon, fault["origin"].as_str().unwrap()).await;
        assert_eq!(fault["reason"], said, "log and stats agree");
    }
    assert!(
        logged(&daemon, "extensions/bad_subject")
            .await
            .contains("subject")
    );
    assert!(
        logged(&daemon, "extensions/bad_rules")
            .await
            .contains("routing_rules")
    );
    for id in ["bad_subject", "bad_rules", "bad_current"] {
        assert_eq!(reason(&rig.lookup(id).await), "quarantined", "{id}");
        assert_eq!(
            reason(&rig.ask("get", &json!({"id": id})).await),
            "quarantined",
            "{id}"
        );
    }
    rig.lookup("good").await.ok();
    assert_eq!(rig.lookup("versioned").await.ok()["version"], "v3");
    let instances = rig.lookup("instanced").await.ok()["instances"].clone();
    assert_eq!(
        instances,
        json!([{"instance_id": "good", "subject": "beamline.ext.i", "weight": 100}])
    );

    // One by one, by plain SQL: repaired, or gone.
    for (repair, id, left) in [
        (
            "UPDATE extensions SET subject = 'beamline.ext.fine' WHERE id = 'bad_subject'",
            "bad_subject",
            5,
        ),
        (
            "UPDATE extensions SET routing_rules = '{}' WHERE id = 'bad_rules'",
            "bad_rules",
            4,
        ),
        (
            "DELETE FROM extension_versions WHERE id = 'bad_current'",
            "bad_current",
            3,
        ),
        (
            "UPDATE extension_versions SET subject = 'beamline.ext.v2' WHERE version = 'v2'",
            "versioned",
            2,
        ),
        (
            "DELETE FROM extension_instances WHERE instance_id = 'bad'",
            "instanced",
            1,
        ),
        ("DELETE FROM extensions WHERE id = 'no id!'", "good", 0),
    ] {
        run(&rig.sql, repair).await;
        rig.lookup_at(id, revision(&rig.sql).await).await.ok();
        let stats = rig.stats().await;
        assert_eq!(origins(&stats).len(), left, "{repair}: {stats}");
        assert_eq!(
            metric(&daemon, QUARANTINED).await,
            Some(left as f64),
            "{repair}"
        );
    }

    // One that is larger than any reply need be is not even read whole.
    run(
        &rig.sql,
        "UPDATE extensions SET metadata = jsonb_build_object('big', repeat('x', 9 << 20))
         WHERE id = 'instanced'",
    )
    .await;
    let large = rig.lookup_at("instanced", revision(&rig.sql).await).await;
    assert_eq!(reason(&large), "quarantined");
    let said = logged(&daemon, "extensions/instanced").await;
    assert!(
        said.contains("`metadata` must be at most 8388608 bytes"),
        "{said}"
    );
    let repair = json!({"id": "instanced", "metadata": {}});
    rig.ask("update", &repair).await.ok();
    rig.lookup("instanced").await.ok();

    // And the other way: what goes bad stops serving, and says why.
    run(
        &rig.sql,
        "UPDATE extensions SET config = '[]' WHERE id = 'good'",
    )
    .await;
    assert_eq!(
        reason(&rig.lookup_at("good", revision(&rig.sql).await).await),
        "quarantined"
    );
    assert!(logged(&daemon, "extensions/good").await.contains("config"));
}

/// In a table that inherits; an index that is damaged shows the same.
#[tokio::test]
async fn of_two_rows_with_one_id_one_is_served_and_they_do_not_take_turns() {
    let rig = Rig::start().await;
    run(&rig.sql, &insert("a")).await;
    let faulty = "INSERT INTO extensions (id, type, subject) VALUES ('b', 'pre', 'internal.b')";
    run(&rig.sql, faulty).await;
    let daemon = rig.daemon().spawn().await;
    daemon.wait_ready().await;
    run(
        &rig.sql,
        "CREATE TABLE others () INHERITS (extensions);
         INSERT INTO others SELECT * FROM ONLY extensions;
         UPDATE others SET timeout_ms = 77, digest = 5",
    )
    .await;
    rig.ask("reload", &json!({})).await.ok();
    for _ in 0..3 {
        assert_eq!(rig.ask("reload", &json!({})).await.ok()["updated"], 0);
        assert_eq!(rig.lookup("a").await.ok()["timeout_ms"], 5000);
        let both = ["extensions/a/again", "extensions/b"];
        assert_eq!(origins(&rig.stats().await), both);
    }
}

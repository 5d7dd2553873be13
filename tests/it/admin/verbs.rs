//! Every verb: the record it answers, the entry it leaves, the lookup that follows.

use serde_json::{Value, json};

use super::{actions, plain, started};

#[tokio::test]
async fn an_extension_lives_and_is_served_by_the_time_of_each_reply() {
    let (rig, _daemon) = started().await;
    let config = json!({"a": 1.50, "b": ["\u{e9}", null]});
    let body = json!({
        "id": "x", "type": "validator", "subject": "beamline.ext.x", "timeout_ms": 250,
        "owner": "Team 7", "config": config, "metadata": {"owner": "me"}, "fallback": ["y"],
        "circuit_breaker": {"failure_threshold": 3},
    });
    let created = rig.ask("as.alice.create", &body).await;
    assert_eq!(created.header("Beamline-Revision"), Some("1"));
    let created = created.ok();
    for (field, value) in body.as_object().unwrap() {
        assert_eq!(&created[field], value, "{field}");
    }
    let defaults = json!({"retry": 1, "enabled": true, "version": "v1", "revision": 1,
        "created_by": "alice", "updated_by": "alice", "auto_disabled": false});
    for (field, value) in defaults.as_object().unwrap() {
        assert_eq!(&created[field], value, "{field}");
    }
    let served = rig.lookup("x").await.ok();
    assert_eq!(
        (&served["timeout_ms"], &served["owner"]),
        (&json!(250), &json!("Team 7"))
    );
    assert_eq!(rig.ask("get", &json!({"id": "x"})).await.ok(), created);

    let update =
        json!({"id": "x", "timeout_ms": 300, "owner": null, "config": null, "if_revision": 1});
    let updated = rig.ask("update", &update).await.ok();
    assert_eq!(updated["timeout_ms"], 300);
    assert_eq!(updated["config"], json!({}), "null means the default");
    assert!(updated.get("owner").is_none(), "absent where it is not set");
    assert_eq!(updated["metadata"], json!({"owner": "me"}), "left alone");
    assert_eq!(updated["revision"], 2);
    assert_eq!(rig.lookup("x").await.ok()["timeout_ms"], 300);

    rig.ask("disable", &json!({"id": "x"})).await.ok();
    assert_eq!(crate::rig::reason(&rig.lookup("x").await), "disabled");
    rig.client
        .request("beamline.registry.enable.x", "")
        .await
        .ok();
    rig.lookup("x").await.ok();

    let gone = rig.client.request("beamline.registry.delete", "x").await;
    assert_eq!(gone.ok(), json!({"id": "x", "revision": 5}));
    assert_eq!(crate::rig::reason(&rig.lookup("x").await), "unknown");
    assert_eq!(
        actions(&rig, "x").await,
        ["created", "updated", "disabled", "enabled", "deleted"],
        "a deleted extension keeps its history"
    );
    let bare = rig
        .client
        .request("beamline.registry.audit", "x")
        .await
        .ok();
    assert_eq!(
        bare["entries"].as_array().unwrap().len(),
        5,
        "a bare id will do"
    );
    rig.client.assert_one_reply_each().await;
}

#[tokio::test]
async fn an_update_that_changes_nothing_takes_no_revision_and_leaves_no_entry() {
    let (rig, _daemon) = started().await;
    let created = rig.ask("create", &plain("x")).await.ok();
    for same in [
        json!({"id": "x"}),
        json!({"id": "x", "timeout_ms": 5000, "config": {}, "retry": null}),
    ] {
        assert_eq!(rig.ask("update", &same).await.ok(), created, "{same}");
    }
    assert_eq!(rig.ask("enable", &json!({"id": "x"})).await.ok(), created);
    assert_eq!(actions(&rig, "x").await, ["created"]);
}

#[tokio::test]
async fn versions_and_instances_come_and_go() {
    let (rig, _daemon) = started().await;
    rig.ask("create", &plain("x")).await.ok();
    let version = json!({"id": "x", "version": "v2", "subject": "beamline.ext.x.v2",
        "routing_rules": {"tenant_id": "acme"}, "priority": 7});
    let record = rig.ask("put_version", &version).await.ok();
    let stored = &record["versions"][0];
    assert_eq!(stored["enabled"], true, "it has rules");
    assert_eq!(stored["priority"], 7);
    assert_eq!(stored["timeout_ms"], Value::Null, "the extension's own");

    let kept = json!({"id": "x", "version": "v3", "subject": "beamline.ext.x.v3"});
    let record = rig.ask("put_version", &kept).await.ok();
    assert_eq!(record["versions"][1]["enabled"], false, "it has none");

    let instance = json!({"id": "x", "instance_id": "a", "subject": "beamline.ext.x.a"});
    let record = rig.ask("put_instance", &instance).await.ok();
    let stored = json!({"instance_id": "a", "version": "v1", "subject": "beamline.ext.x.a",
        "weight": 100, "enabled": true});
    assert_eq!(record["instances"], json!([stored]));
    let lighter =
        json!({"id": "x", "instance_id": "a", "subject": "beamline.ext.x.a", "weight": 3});
    let record = rig.ask("put_instance", &lighter).await.ok();
    assert_eq!(record["instances"][0]["weight"], 3);

    let gone = json!({"id": "x", "instance_id": "a"});
    assert_eq!(rig.ask("delete_instance", &gone).await.ok()["revision"], 6);
    let gone = json!({"id": "x", "version": "v3"});
    rig.ask("delete_version", &gone).await.ok();
    let record = rig.ask("get", &json!({"id": "x"})).await.ok();
    assert_eq!(record["versions"].as_array().unwrap().len(), 1);
    assert_eq!(record["instances"], json!([]));
    let expected = [
        "created",
        "version_put",
        "version_put",
        "instance_put",
        "instance_put",
        "instance_deleted",
        "version_deleted",
    ];
    assert_eq!(actions(&rig, "x").await, expected);
}

#[tokio::test]
async fn a_version_is_changed_field_by_field_and_its_share_alone() {
    let (rig, _daemon) = started().await;
    rig.ask("create", &plain("x")).await.ok();
    let rollout = json!({"by": "user_id", "percent": 5, "salt": "s"});
    let v2 = json!({"id": "x", "version": "v2", "subject": "beamline.ext.x2", "timeout_ms": 70,
        "config": {"a": 1}, "rollout": rollout});
    rig.ask("put_version", &v2).await.ok();

    let change = json!({"id": "x", "version": "v2", "retry": 0, "config": null, "if_revision": 2});
    let changed = rig.ask("as.alice.update_version", &change).await.ok();
    let row = &changed["versions"][0];
    assert_eq!((&row["retry"], &row["config"]), (&json!(0), &Value::Null));
    assert_eq!(
        (&row["timeout_ms"], &row["rollout"]),
        (&json!(70), &rollout)
    );

    let halt = json!({"max_failure_rate_delta": 0.2});
    let wider = json!({"id": "x", "version": "v2", "percent": 10, "halt": halt});
    let wider = rig.ask("rollout", &wider).await.ok();
    assert_eq!(
        wider["versions"][0]["rollout"],
        json!({"by": "user_id", "percent": 10, "salt": "s", "halt": halt})
    );
    let stale = json!({"id": "x", "version": "v2", "percent": 100, "if_revision": 3});
    assert_eq!(rig.ask("rollout", &stale).await.error().1, "conflict");
    for (verb, body, field) in [
        ("rollout", json!({"id": "x", "version": "v2"}), "percent"),
        (
            "rollout",
            json!({"id": "x", "version": "v2", "percent": 101}),
            "percent",
        ),
        (
            "rollout",
            json!({"id": "x", "version": "v2", "percent": 1, "salt": 2, "by": ""}),
            "by",
        ),
        ("rollout", json!({"id": "x", "percent": 1}), "version"),
        (
            "update_version",
            json!({"id": "x", "version": "v2", "retry": 11}),
            "retry",
        ),
        (
            "update_version",
            json!({"id": "x", "version": "v2", "subject": null}),
            "subject",
        ),
        (
            "update_version",
            json!({"id": "x", "version": "v2", "owner": "me"}),
            "owner",
        ),
        (
            "update",
            json!({"id": "x", "rollout": {"by": "t", "percent": 1, "halt": {}}}),
            "rollout",
        ),
    ] {
        let reply = rig.ask(verb, &body).await;
        assert_eq!(
            reply.error(),
            (400, "invalid_request".to_owned()),
            "{verb} {body}"
        );
        assert_eq!(reply.details()["field"], field, "{verb} {body}");
    }
    let unknown = json!({"id": "x", "version": "v9", "percent": 1});
    assert_eq!(
        rig.ask("rollout", &unknown).await.error().1,
        "version_not_found"
    );
    for verb in ["rollout", "update_version"] {
        let mut current = json!({"id": "x", "version": "v1"});
        match verb {
            "rollout" => current["percent"] = json!(1),
            _ => current["retry"] = json!(2),
        }
        let reply = rig.ask(verb, &current).await;
        assert_eq!(reply.error(), (409, "conflict".to_owned()), "{verb}");
        let message = reply.json()["error"]["message"].to_string();
        assert!(message.contains("`update` changes them"), "{message}");
    }
    assert_eq!(
        actions(&rig, "x").await,
        ["created", "version_put", "version_put", "version_put"]
    );
}

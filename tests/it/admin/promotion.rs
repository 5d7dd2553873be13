//! A rollout as the old system's documents describe it, step by step, and the way back.

use serde_json::json;

use super::{actions, plain, served, started};

#[tokio::test]
async fn from_disabled_to_everyone_to_a_new_version_and_back() {
    let (rig, _daemon) = started().await;
    let mut body = plain("x");
    body["enabled"] = json!(false);
    rig.ask("create", &body).await.ok();
    assert_eq!(served(&rig, "x", "acme").await, "disabled");

    let two = json!({"id": "x", "enabled": true, "routing_rules": {"tenant_id": ["acme", "beta"]}});
    rig.ask("update", &two).await.ok();
    assert_eq!(served(&rig, "x", "acme").await, "v1");
    assert_eq!(served(&rig, "x", "other").await, "not_targeted");

    rig.ask("update", &json!({"id": "x", "routing_rules": null}))
        .await
        .ok();
    assert_eq!(served(&rig, "x", "other").await, "v1");

    let canary = json!({"id": "x", "version": "v2", "subject": "beamline.ext.x.v2",
        "timeout_ms": 900, "routing_rules": {"tenant_id": ["acme", "beta"]}});
    rig.ask("put_version", &canary).await.ok();
    assert_eq!(served(&rig, "x", "acme").await, "v2");
    assert_eq!(served(&rig, "x", "other").await, "v1");

    let share = json!({"id": "x", "version": "v2", "subject": "beamline.ext.x.v2",
        "timeout_ms": 900, "rollout": {"by": "tenant_id", "percent": 10}});
    rig.ask("put_version", &share).await.ok();
    let mut with_v2 = 0;
    for tenant in 0..1000 {
        with_v2 += u32::from(served(&rig, "x", &format!("t{tenant}")).await == "v2");
    }
    assert!(
        (60..150).contains(&with_v2),
        "{with_v2} of 1000 at 10 percent"
    );

    let promoted = rig
        .ask("as.alice.promote", &json!({"id": "x", "version": "v2"}))
        .await
        .ok();
    assert_eq!(promoted["version"], "v2");
    assert_eq!(promoted["subject"], "beamline.ext.x.v2");
    assert_eq!(promoted["timeout_ms"], 900);
    let kept = &promoted["versions"];
    assert_eq!(kept.as_array().unwrap().len(), 1);
    assert_eq!(
        (&kept[0]["version"], &kept[0]["enabled"]),
        (&json!("v1"), &json!(false))
    );
    for tenant in ["acme", "other"] {
        assert_eq!(served(&rig, "x", tenant).await, "v2");
    }

    let back = rig
        .ask("promote", &json!({"id": "x", "version": "v1"}))
        .await
        .ok();
    assert_eq!(
        (&back["subject"], &back["timeout_ms"]),
        (&json!("beamline.ext.x"), &json!(5000))
    );
    for tenant in ["acme", "other"] {
        assert_eq!(served(&rig, "x", tenant).await, "v1");
    }
    let expected = [
        "created",
        "updated",
        "updated",
        "version_put",
        "version_put",
        "promoted",
        "promoted",
    ];
    assert_eq!(actions(&rig, "x").await, expected, "one entry each");
    let again = rig
        .ask("promote", &json!({"id": "x", "version": "v1"}))
        .await
        .ok();
    assert_eq!(again, back, "nothing to do");
}

#[tokio::test]
async fn a_promotion_leaves_rules_and_disables_what_has_none() {
    let (rig, _daemon) = started().await;
    rig.ask("create", &plain("x")).await.ok();
    for (version, more) in [
        ("v2", json!({"enabled": true})),
        ("v3", json!({"routing_rules": {"tenant_id": "acme"}})),
        ("v4", json!({})),
    ] {
        let mut body =
            json!({"id": "x", "version": version, "subject": format!("beamline.ext.x.{version}")});
        body.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        rig.ask("put_version", &body).await.ok();
    }
    rig.ask("promote", &json!({"id": "x", "version": "v4"}))
        .await
        .ok();
    assert_eq!(served(&rig, "x", "other").await, "v4");
    assert_eq!(
        served(&rig, "x", "acme").await,
        "v3",
        "its rules stay in force"
    );
}

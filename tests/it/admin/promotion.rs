//! A rollout as the old system's documents describe it, step by step, and the way back.

use std::collections::BTreeSet;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng};
use serde_json::{Value, json};

use super::{actions, plain, served, started};
use crate::schema::run;

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

/// The record without what a promotion and its rollback do change; of the versions named, whether
/// they are enabled.
fn definition(mut record: Value, disabled: &BTreeSet<String>) -> Value {
    let fields = record.as_object_mut().unwrap();
    for name in ["revision", "updated_at", "updated_by"] {
        fields.remove(name);
    }
    let versions = fields["versions"].as_array_mut().unwrap();
    for version in versions {
        let version = version.as_object_mut().unwrap();
        version.remove("created_at");
        version.remove("created_by");
        if disabled.contains(version["version"].as_str().unwrap()) {
            version.remove("enabled");
        }
    }
    record
}

/// CASES.md D14: whatever was promoted in between, the record is what it was once the first version
/// is current again.
#[tokio::test]
async fn after_any_promotions_the_first_version_again_makes_the_record_what_it_was() {
    let (rig, _daemon) = started().await;
    let mut random = StdRng::seed_from_u64(14);
    for round in 0..12 {
        let id = format!("x{round}");
        let mut own = plain(&id);
        if random.random() {
            own["config"] = json!({"own": 1.10, "n": round});
            own["timeout_ms"] = json!(700);
        }
        rig.ask("create", &own).await.ok();
        let names = ["v2", "v3", "v4"];
        for name in names {
            let mut row = json!({"id": id, "version": name,
                "subject": format!("beamline.ext.{id}.{name}")});
            for (field, value) in [
                ("timeout_ms", json!(100 + round)),
                ("timeout_ms", json!(5000)),
                ("retry", json!(2)),
                ("config", json!({})),
                ("config", json!({"own": 1.10, "n": round})),
                ("metadata", json!({"team": "a"})),
                ("routing_rules", json!({"tenant_id": ["acme", name]})),
                ("rollout", json!({"by": "tenant_id", "percent": 10})),
                ("priority", json!(7)),
            ] {
                if random.random_bool(0.3) {
                    row[field] = value;
                }
            }
            rig.ask("put_version", &row).await.ok();
        }
        let get = json!({ "id": id });
        let before = rig.ask("get", &get).await.ok();
        let mut promoted = BTreeSet::new();
        for _ in 0..random.random_range(1..6) {
            let name = names[random.random_range(0..names.len())];
            rig.ask("promote", &json!({"id": id, "version": name}))
                .await
                .ok();
            promoted.insert(name.to_owned());
        }
        let after = rig
            .ask("promote", &json!({"id": id, "version": "v1"}))
            .await
            .ok();
        assert_eq!(
            definition(after, &promoted),
            definition(before, &promoted),
            "{promoted:?}"
        );
    }
}

/// What somebody gave the promoted version after its promotion stays with it, and what the one
/// before it had stays with that.
#[tokio::test]
async fn a_change_after_a_promotion_belongs_to_the_promoted_version() {
    let (rig, _daemon) = started().await;
    let mut own = plain("x");
    own["config"] = json!({"mode": "old"});
    rig.ask("create", &own).await.ok();
    let next = json!({"id": "x", "version": "v2", "subject": "beamline.ext.x.v2"});
    rig.ask("put_version", &next).await.ok();
    rig.ask("promote", &json!({"id": "x", "version": "v2"}))
        .await
        .ok();
    let tuned = json!({"id": "x", "config": {"mode": "new"}, "timeout_ms": 300});
    rig.ask("update", &tuned).await.ok();
    let back = rig
        .ask("promote", &json!({"id": "x", "version": "v1"}))
        .await
        .ok();
    assert_eq!(
        (&back["config"], &back["timeout_ms"]),
        (&json!({"mode": "old"}), &json!(5000))
    );
    let kept = &back["versions"][0];
    assert_eq!(
        (&kept["config"], &kept["timeout_ms"], &kept["retry"]),
        (&json!({"mode": "new"}), &json!(300), &Value::Null)
    );
}

/// Null of JSON, which plain SQL can write, is no configuration: the version that is kept has none, and
/// does not take the next one's.
#[tokio::test]
async fn the_rollback_of_a_version_without_a_configuration_has_none() {
    let (rig, _daemon) = started().await;
    rig.ask("create", &plain("x")).await.ok();
    let next = json!({"id": "x", "version": "v2", "subject": "beamline.ext.x.v2",
        "config": {"mode": "new"}, "metadata": {"team": "a"}});
    rig.ask("put_version", &next).await.ok();
    let null = "UPDATE extensions SET config = 'null', metadata = 'null' WHERE id = 'x'";
    run(&rig.sql, null).await;
    rig.ask("promote", &json!({"id": "x", "version": "v2"}))
        .await
        .ok();
    let back = rig
        .ask("promote", &json!({"id": "x", "version": "v1"}))
        .await
        .ok();
    assert_eq!(
        (&back["config"], &back["metadata"]),
        (&json!({}), &json!({}))
    );
}

/// Its rules are in force beside the extension's own: lost on the way back, what is for one tenant
/// would be for all.
#[tokio::test]
async fn a_row_that_names_the_current_version_is_in_force_again_after_the_way_back() {
    let (rig, _daemon) = started().await;
    rig.ask("create", &plain("x")).await.ok();
    let own = json!({"id": "x", "version": "v1", "subject": "beamline.ext.x.row",
        "routing_rules": {"tenant_id": "acme"}, "priority": 2});
    rig.ask("put_version", &own).await.ok();
    for name in ["v2", "v3"] {
        let subject = format!("beamline.ext.x.{name}");
        let next = json!({"id": "x", "version": name, "subject": subject});
        rig.ask("put_version", &next).await.ok();
    }
    let promote = async |name: &'static str| {
        let body = json!({"id": "x", "version": name});
        rig.ask("promote", &body).await.ok()
    };
    let before = rig.ask("get", &json!({"id": "x"})).await.ok();
    for between in [&["v2"][..], &["v3", "v2"]] {
        for &name in between {
            promote(name).await;
            assert_eq!(served(&rig, "x", "other").await, name);
        }
        let back = promote("v1").await;
        let none = BTreeSet::new();
        assert_eq!(
            definition(back, &none),
            definition(before.clone(), &none),
            "{between:?}"
        );
        assert_eq!(served(&rig, "x", "acme").await, "v1");
        assert_eq!(served(&rig, "x", "other").await, "not_targeted");
    }

    // What an operator has changed meanwhile is a version like any other.
    promote("v2").await;
    let changed = json!({"id": "x", "version": "v1", "priority": 3});
    rig.ask("update_version", &changed).await.ok();
    promote("v1").await;
    assert_eq!(served(&rig, "x", "other").await, "v1");
}

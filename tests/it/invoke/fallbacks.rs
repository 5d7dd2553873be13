use serde_json::json;

use super::{at, reason, record, refused};
use crate::harness::{Behaviour, DEADLINE, Daemon, Extension, Reply, eventually};
use crate::rig::{Rig, insert};
use crate::schema::run;
use crate::site::Site;

/// `x` has failed; `fallback` in its list are the first of the wrong type, the disabled, the
/// failed, the one for others, and then the one that serves.
async fn failed() -> (Site, Daemon, Extension, Extension) {
    let names = ["wrong", "off", "open", "others", "unknown", "good", "next"];
    let fixtures = json!([
        record("x", json!({"fallback": names, "config": {"own": 1}})),
        record("wrong", json!({"type": "post"})),
        record("off", json!({"enabled": false})),
        record(
            "open",
            json!({"fallback": ["next"], "metadata": {"fallback_on": "open"}})
        ),
        record("others", json!({"routing_rules": {"tenant_id": "other"}})),
        record("good", json!({"config": {"good": 1}})),
        record("next", json!({})),
    ]);
    let (site, daemon) = Site::serving(&fixtures).await;
    let x = site.play("x", Behaviour::error(500)).await;
    let good = site.play("good", Behaviour::Echo).await;
    // Nobody is there, which opens its circuit.
    let reply = site.call("open", json!({})).await;
    assert_eq!(
        reason(&reply, 503, "extension_unavailable"),
        "no_responders"
    );
    let reply = site.call("x", json!({})).await;
    assert_eq!(reply.header("Beamline-Fallback-From"), Some("x"));
    (site, daemon, x, good)
}

#[tokio::test]
async fn the_first_fallback_that_can_serve_stands_in() {
    let (site, _daemon, x, good) = failed().await;
    let request = json!({
        "config": {"travels": true}, "metadata": {"m": 1}, "timeout_ms": 5000,
        "fallback_config": {"good": {"b": 2}, "next": {"c": 3}},
    });
    let answer = site.call("x", request).await;
    answer.ok();
    assert_eq!(answer.header("Beamline-Extension-Id"), Some("good"));
    assert_eq!(answer.header("Beamline-Fallback-From"), Some("x"));
    let received = good.last();
    assert_eq!(received.header("Beamline-Extension-Id"), Some("good"));
    assert_eq!(received.json()["config"], json!({"good": 1, "b": 2}));
    assert_eq!(received.json()["metadata"], json!({"m": 1}));
    site.call("x", json!({"config": {"travels": true}}))
        .await
        .ok();
    assert_eq!(good.last().json()["config"], json!({"good": 1}));
    assert_eq!(x.count(), 1);

    let lookup = site.send("lookup", "x").await.ok();
    assert_eq!(
        (&lookup["id"], &lookup["subject"]),
        (&json!("good"), &json!(at("good")))
    );
    assert_eq!(lookup["circuit_breaker_state"], "closed");
    let many = site
        .ask("lookup", &json!({"ids": ["open", "x"]}))
        .await
        .ok();
    let ids: Vec<_> = many["extensions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| &e["id"])
        .collect();
    assert_eq!(ids, ["next", "good"]);
    let explained = site.send("explain", "x").await.ok();
    assert_eq!(
        (
            &explained["reason"],
            &explained["served_by"],
            &explained["circuit_breaker_state"]
        ),
        (&json!("fallback"), &json!("good"), &json!("open")),
    );
    let dry = site
        .call("x", json!({"dry_run": true, "config": {"travels": true}}))
        .await
        .ok();
    assert_eq!(dry["request"]["subject"], at("good"));
    assert_eq!(dry["request"]["body"]["config"], json!({"good": 1}));
    // Who names a version is not led elsewhere.
    assert!(refused(&site.call("x", json!({"version": "v1"})).await));
}

#[tokio::test]
async fn a_fallback_is_not_followed_further_and_its_own_error_is_its_own() {
    let fixtures = json!([
        record("x", json!({"fallback": ["y"]})),
        record("y", json!({"fallback": ["z"]})),
        record("z", json!({})),
    ]);
    let (site, _daemon) = Site::serving(&fixtures).await;
    let _z = site.play("z", Behaviour::Echo).await;
    let y = site.play("y", Behaviour::Echo).await;
    site.call("x", json!({})).await.ok();
    y.leave().await;
    let missing = site.call("x", json!({})).await;
    assert_eq!(
        reason(&missing, 503, "extension_unavailable"),
        "no_responders"
    );
    assert_eq!(missing.details()["id"], "y");
    let refusal = site.call("x", json!({})).await;
    assert!(refused(&refusal), "z is y's fallback, not x's: {refusal:?}");
    assert_eq!(refusal.details()["id"], "x");
    let lookup = site.send("lookup", "x").await.ok();
    assert_eq!(
        (&lookup["id"], &lookup["circuit_breaker_state"]),
        (&json!("x"), &json!("open"))
    );
}

#[tokio::test]
async fn an_auto_disabled_extension_is_served_by_its_fallback_or_not_at_all() {
    let rig = Rig::start().await;
    for id in ["x", "y", "alone"] {
        run(&rig.sql, &insert(id)).await;
    }
    run(
        &rig.sql,
        "UPDATE extensions SET fallback = '[\"y\"]' WHERE id = 'x'",
    )
    .await;
    run(
        &rig.sql,
        "UPDATE extensions SET auto_disabled = true WHERE id <> 'y'",
    )
    .await;
    let daemon = rig.daemon().spawn().await;
    daemon.wait_ready().await;
    let _y = Extension::at(&rig.nats.url(), "beamline.ext.y", Behaviour::Echo).await;
    let call = |id: &str| json!({"id": id, "payload": {}});
    let answer = rig.ask("invoke", &call("x")).await;
    answer.ok();
    assert_eq!(answer.header("Beamline-Fallback-From"), Some("x"));
    assert_eq!(rig.lookup("x").await.ok()["id"], "y");
    for reply in [
        rig.ask("invoke", &call("alone")).await,
        rig.lookup("alone").await,
    ] {
        assert_eq!(reason(&reply, 404, "extension_not_found"), "auto_disabled");
    }
    run(
        &rig.sql,
        "UPDATE extensions SET enabled = false WHERE id = 'x'",
    )
    .await;
    let reply: Reply = eventually("people's word counts more", DEADLINE, async || {
        let reply = rig.ask("invoke", &call("x")).await;
        if reply.header("Nats-Service-Error-Code").is_some() {
            Ok(reply)
        } else {
            Err(reply)
        }
    })
    .await;
    assert_eq!(reason(&reply, 404, "extension_not_found"), "disabled");
}

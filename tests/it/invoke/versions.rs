use std::collections::HashSet;

use async_nats::HeaderMap;
use serde_json::{Value, json};

use super::{at, one, reason, record, refused};
use crate::harness::{Behaviour, DEADLINE, Extension, Reply, eventually, flood};
use crate::rig::{Rig, insert};
use crate::schema::run;
use crate::site::{Site, subject};

const CANARY: &str = "beamline.ext.x.v2";

fn with_canary(version: Value, breaker: Value) -> Value {
    let mut canary = json!({"version": "v2", "subject": CANARY, "enabled": true});
    canary
        .as_object_mut()
        .unwrap()
        .extend(version.as_object().unwrap().clone());
    record(
        "x",
        json!({"versions": [canary], "circuit_breaker": breaker}),
    )
}

fn tenant(name: &str) -> Value {
    json!({"context": {"tenant_id": name}})
}

#[tokio::test]
async fn a_canary_that_fails_gives_way_to_the_current_version_and_nobody_else_notices() {
    let breaker = json!({"failure_threshold": 3, "timeout_seconds": 600});
    let fixture = with_canary(json!({"routing_rules": {"tenant_id": "acme"}}), breaker);
    let (site, _daemon) = Site::serving(&json!([fixture])).await;
    let current = site.play("x", Behaviour::Echo).await;
    let canary = Extension::at(&site.nats.url(), CANARY, Behaviour::error(500)).await;
    for n in 0..40 {
        let other = site.call("x", tenant("other")).await;
        other.ok();
        assert_eq!(other.header("Beamline-Version"), Some("v1"));
        let acme = site.call("x", tenant("acme")).await;
        let version = if n < 3 { "v2" } else { "v1" };
        assert_eq!(acme.header("Beamline-Version"), Some(version), "call {n}");
        assert_eq!(
            acme.header("Beamline-Fallback-From"),
            None,
            "of the same extension"
        );
    }
    assert_eq!((canary.count(), current.count()), (3, 77));
    let asked = json!({"id": "x", "context": {"tenant_id": "acme"}});
    let explained = site.ask("explain", &asked).await.ok();
    assert_eq!(
        (&explained["reason"], &explained["version"]),
        (&json!("fallback"), &json!("v1"))
    );
    assert_eq!(site.ask("lookup", &asked).await.ok()["version"], "v1");
    assert_eq!(
        site.circuit("x").await,
        "closed",
        "the extension's state is its current version's"
    );
    // Who names a version is not led around.
    let named = site.call("x", json!({"version": "v2"})).await;
    assert!(refused(&named), "{named:?}");
}

#[tokio::test]
async fn an_ailing_canary_gets_one_call_in_twenty() {
    let breaker = json!({
        "failure_threshold": 1000, "error_rate_threshold": 1.0, "minimum_requests": 10,
        "window_seconds": 600,
    });
    let fixture = with_canary(json!({"routing_rules": {"tenant_id": "acme"}}), breaker);
    let (site, _daemon) = Site::serving(&json!([fixture])).await;
    let current = site.play("x", Behaviour::Echo).await;
    let half = |number, _: &_| match number % 2 {
        0 => Behaviour::Echo,
        _ => Behaviour::error(500),
    };
    let url = site.nats.url();
    let canary = Extension::at(&url, CANARY, Behaviour::each(half)).await;
    for _ in 0..10 {
        site.call("x", tenant("acme")).await;
    }
    assert_eq!((canary.count(), current.count()), (10, 0));
    // To explain it takes nobody's turn.
    for _ in 0..7 {
        site.ask(
            "explain",
            &json!({"id": "x", "context": {"tenant_id": "acme"}}),
        )
        .await
        .ok();
        let dry = json!({"context": {"tenant_id": "acme"}, "dry_run": true});
        site.call("x", dry).await.ok();
    }
    for _ in 0..100 {
        site.call("x", tenant("acme")).await;
    }
    assert_eq!((canary.count(), current.count()), (15, 95));
}

#[tokio::test]
async fn with_health_based_routing_off_the_rules_alone_decide() {
    let breaker = json!({"failure_threshold": 1, "timeout_seconds": 600});
    let fixture = with_canary(json!({"routing_rules": {"tenant_id": "acme"}}), breaker);
    let site = Site::with(&json!([fixture])).await;
    let daemon = site.daemon().setting("HEALTH_BASED_ROUTING_ENABLED", false);
    let _daemon = site.start(daemon).await;
    let current = site.play("x", Behaviour::Echo).await;
    site.call("x", tenant("acme")).await;
    assert!(refused(&site.call("x", tenant("acme")).await));
    assert_eq!(current.count(), 0);
}

/// `x` has failed; `fallback` in its list are the first of the wrong type, the disabled, the
/// failed, the one for others, and then the one that serves.
async fn failed() -> (Site, crate::harness::Daemon, Extension, Extension) {
    let names = ["wrong", "off", "open", "others", "unknown", "good", "next"];
    let fixtures = json!([
        record("x", json!({"fallback": names, "config": {"own": 1}})),
        record("wrong", json!({"type": "post"})),
        record("off", json!({"enabled": false})),
        record("open", json!({"fallback": ["next"]})),
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
    assert_eq!(reply.header("Beamline-Extension-Error"), Some("1"));
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
    site.call("x", json!({})).await;
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
        "UPDATE extensions SET fallback = '{y}' WHERE id = 'x'",
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

#[tokio::test]
async fn an_answer_tells_the_version_and_versions_have_settings_of_their_own() {
    let version = json!({"config": {"v": 2}, "timeout_ms": 77, "retry": 0});
    let (site, _daemon, _current) = one(json!({}), Behaviour::Echo).await;
    site.write_fixtures(&json!([with_canary(version, Value::Null)]));
    let canary = Extension::at(&site.nats.url(), CANARY, Behaviour::Echo).await;
    let answer = eventually("the version", DEADLINE, async || {
        let reply = site.call("x", json!({"version": "v2"})).await;
        reply.header("Beamline-Version").is_some().then_some(reply)
    })
    .await;
    assert_eq!(answer.header("Beamline-Version"), Some("v2"));
    let received = canary.last();
    assert_eq!(received.json()["config"], json!({"v": 2}));
    assert_eq!(received.header("Beamline-Deadline-Ms"), Some("77"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollout_is_exact_and_whoever_is_in_stays_in() {
    const TENANTS: usize = 100_000;
    let fixture = |percent: u32| {
        let rollout = json!({"by": "tenant_id", "percent": percent});
        json!([with_canary(json!({ "rollout": rollout }), Value::Null)])
    };
    let (site, _daemon) = Site::serving(&fixture(10)).await;
    let mut before = HashSet::new();
    for percent in [10, 25] {
        site.write_fixtures(&fixture(percent));
        eventually("the new percentage", DEADLINE, async || {
            let stored = site.send("get", "x").await.ok();
            stored["versions"][0]["rollout"]["percent"].as_f64() == Some(f64::from(percent))
        })
        .await;
        let mut within = HashSet::new();
        let request = |n| {
            let payload = format!(r#"{{"id":"x","context":{{"tenant_id":"tenant-{n}"}}}}"#);
            (HeaderMap::new(), payload.into())
        };
        flood(
            &site.nats.url(),
            &subject("lookup"),
            (TENANTS, 1000),
            request,
            |n, reply| {
                if memchr::memmem::find(&reply.payload, br#""version":"v2""#).is_some() {
                    within.insert(n);
                }
            },
        )
        .await;
        let exact = TENANTS * percent as usize / 100;
        assert!(
            within.len().abs_diff(exact) <= TENANTS / 200,
            "{} of {exact}",
            within.len()
        );
        assert!(before.is_subset(&within), "nobody is thrown out");
        before = within;
    }
}

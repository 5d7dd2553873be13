use std::collections::HashSet;

use async_nats::HeaderMap;
use serde_json::{Value, json};

use super::{one, record, refused};
use crate::harness::{Behaviour, DEADLINE, Extension, eventually, flood};
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
    // Why the rules' choice does not serve.
    let asked = json!({"id": "x", "context": {"tenant_id": "acme"}});
    let explained = site.ask("explain", &asked).await.ok();
    assert_eq!(explained["reason"], "fallback");
    assert_eq!(explained["candidates"][0]["success_rate"], 0.5);
    assert_eq!(explained["candidates"][1].get("success_rate"), None);
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

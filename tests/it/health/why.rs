//! Which version fails, since when, how, and for whom; and who may know.

use async_nats::HeaderMap;
use serde_json::{Value, json};

use super::{health, service, serving};
use crate::events_seen::EventsSeen;
use crate::harness::daemon::{field, message};
use crate::harness::{Answer, Behaviour, DEADLINE, Daemon, Extension, Reply, eventually};
use crate::rig::metric;
use crate::site::Site;

const CANARY: &str = "beamline.ext.x.v2";

/// `x` with a canary for tenant `acme` that is played, as is its current version.
async fn canary(behaviour: Behaviour) -> (Site, Daemon, [Extension; 2]) {
    let mut x = service("pre", "x");
    x["circuit_breaker"] = json!({"failure_threshold": 3, "timeout_seconds": 600});
    x["versions"] = json!([{
        "version": "v2", "subject": CANARY, "routing_rules": {"tenant_id": "acme"},
    }]);
    let (site, daemon) = serving(&json!([x]), |with| with).await;
    let url = site.nats.url();
    let current = Extension::at(&url, "beamline.ext.x.v1", Behaviour::Echo).await;
    let canary = Extension::at(&url, CANARY, behaviour).await;
    (site, daemon, [current, canary])
}

async fn call(site: &Site, tenant: &str) -> Reply {
    let context = json!({"tenant_id": tenant, "trace_id": format!("trace of {tenant}")});
    let body = json!({"id": "x", "payload": {"secret": 1}, "context": context});
    site.ask("invoke", &body).await
}

fn not_loaded() -> Behaviour {
    let error = Answer::new(r#"{"error":{"message":"model not loaded\u001b[2J"}}"#);
    error.header("Nats-Service-Error-Code", "503").into()
}

/// Its only row in `list`.
async fn listed(site: &Site) -> Value {
    site.send("list", "").await.ok()["extensions"][0].take()
}

#[tokio::test]
async fn a_failing_canary_is_never_green_and_says_why() {
    let (site, daemon, _played) = canary(not_loaded()).await;
    let events = EventsSeen::start(&site.nats).await;
    assert_eq!(listed(&site).await["state"], "no_data");
    for _ in 0..5 {
        call(&site, "other").await.ok();
    }
    assert_eq!(listed(&site).await["state"], "ok");
    for _ in 0..3 {
        call(&site, "acme").await;
    }

    let record = listed(&site).await;
    assert_eq!(
        (&record["state"], &record["circuit_breaker_state"]),
        (&json!("open"), &json!("closed")),
        "the worst of its versions, and the circuit of the current one"
    );
    let page = site.send("health", r#"{"state":"open"}"#).await.ok();
    assert_eq!(page["extensions"][0]["id"], "x");
    assert_eq!(page["summary"]["unhealthy"], 1);
    assert!(page["extensions"][0].get("failures").is_none());

    let document = site.send("health.x", "").await.ok();
    assert_eq!(document["state"], "open");
    let versions = document["versions"].as_array().unwrap();
    let told = versions.iter().map(|it| {
        let names = ["version", "current", "takes_part", "state"];
        let counts = ["success_count", "failure_count"];
        json!([names.map(|name| &it[name]), counts.map(|name| &it[name])])
    });
    let expected = json!([
        [["v2", false, true, "open"], [0, 3]],
        [["v1", true, true, "ok"], [5, 0]],
    ]);
    assert_eq!(Value::from_iter(told), expected);
    assert!(versions[0]["failing_since"].is_string() && versions[1]["failing_since"].is_null());
    assert!(versions[1]["p99_latency_ms"].is_number(), "{versions:?}");

    let failures = document["failures"].as_array().unwrap();
    assert_eq!(failures.len(), 3);
    let newest = &failures[0];
    assert!(newest["at"].as_str() >= failures[2]["at"].as_str());
    for (name, value) in [
        ("version", json!("v2")),
        ("instance", Value::Null),
        ("attempt", json!(1)),
        ("kind", json!("error")),
        ("code", json!(503)),
        ("error", json!("model not loaded\u{fffd}[2J")),
        ("trace_id", json!("trace of acme")),
        ("tenant_id", json!("acme")),
    ] {
        assert_eq!(newest[name], value, "{name}: {newest}");
    }
    assert!(!document.to_string().contains("secret"));

    let opened = events.wait("x", &["circuit_opened"], 1).await;
    let data = &opened[0].1["data"];
    assert_eq!(data["error"], "model not loaded\u{fffd}[2J");
    assert_eq!(data["failing_since"], versions[0]["failing_since"]);
    let told = daemon.wait_log("the opening", |entry| {
        let value = |name| field(entry, name).cloned();
        (message(entry)? == "circuit opened").then(|| (value("error"), value("failing_since")))
    });
    let (error, since) = told.await;
    let error = error.unwrap_or_default().to_string();
    assert!(error.contains("model not loaded"), "{error}");
    assert_eq!(since.as_ref(), Some(&versions[0]["failing_since"]));

    for (series, count) in [
        (
            r#"extension_invocations_total{extension_id="x",version="v2",status="failure"}"#,
            3.0,
        ),
        (
            r#"extension_invocations_total{extension_id="x",version="v1",status="success"}"#,
            5.0,
        ),
    ] {
        assert_eq!(metric(&daemon, series).await, Some(count), "{series}");
    }
    let page = daemon.get("/metrics").await.body;
    assert!(!page.contains("not loaded") && !page.contains("acme"));
}

#[tokio::test]
async fn what_works_again_is_green_again_and_what_pushes_back_rests() {
    let busy = Answer::error(429).header("Retry-After", "60");
    let (site, _daemon, [_current, canary]) = canary(busy.into()).await;
    call(&site, "acme").await;
    let document = site.send("health.x", "").await.ok();
    let v2 = &document["versions"][0];
    assert_eq!(
        (&document["state"], &v2["state"]),
        (&json!("resting"), &json!("resting"))
    );
    assert!(
        v2["rests_until"].is_string() && v2["failing_since"].is_null(),
        "{v2}"
    );
    drop(canary);

    let (site, _daemon, [_current, canary]) = self::canary(not_loaded()).await;
    for _ in 0..3 {
        call(&site, "acme").await;
    }
    canary.behave(Behaviour::Echo);
    let reset = json!({"id": "x", "version": "v2", "action": "reset"});
    site.ask("circuit", &reset).await.ok();
    eventually("it is well again", DEADLINE, async || {
        call(&site, "acme").await;
        let document = site.send("health.x", "").await.ok();
        let well = document["state"] == "ok" && document["versions"][0]["failing_since"].is_null();
        if well { Ok(()) } else { Err(document) }
    })
    .await;
    // What has failed stays known.
    let failures = site.send("health.x", "").await.ok()["failures"].take();
    assert_eq!(failures.as_array().unwrap().len(), 3);
    assert_eq!(health(&site, "x").await["circuit_breaker_state"], "closed");
}

#[tokio::test]
async fn a_failure_names_the_call_by_the_id_that_its_caller_gave() {
    let (site, _daemon, _played) = canary(not_loaded()).await;
    let mut headers = HeaderMap::new();
    headers.insert("Beamline-Call-Id", "c0ffee");
    let body = json!({"id": "x", "payload": {}, "context": {"tenant_id": "acme"}}).to_string();
    let invoke = "beamline.registry.invoke";
    let named = site.client.request_with_headers(invoke, headers, body);
    assert_eq!(named.await.header("Nats-Service-Error-Code"), Some("503"));
    call(&site, "acme").await;
    let failures = site.send("health.x", "").await.ok()["failures"].take();
    let calls: Vec<_> = failures
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["call"])
        .collect();
    assert_eq!(calls, [&Value::Null, &json!("c0ffee")], "newest first");
}

#[tokio::test]
async fn over_http_only_who_may_operate_sees_what_extensions_said() {
    let (site, daemon, _played) = canary(not_loaded()).await;
    call(&site, "acme").await;
    let failures = |body: &str| {
        let document: Value = serde_json::from_str(body).unwrap();
        assert_eq!(document["versions"][0]["failure_count"], 1);
        document
            .get("failures")
            .map(|it| it.as_array().unwrap().len())
    };
    let paths = [
        "/admin/extensions/x/health",
        "/admin/extensions/health?id=x",
    ];
    for path in paths {
        let seen = failures(&daemon.get(path).await.body);
        assert_eq!(seen, Some(1), "on the loopback, at {path}");
    }
    drop(daemon);

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tokens");
    let (reader, operator) = ("r".repeat(32), "o".repeat(32));
    std::fs::write(&file, format!("{reader} reader\n{operator} operator\n")).unwrap();
    let builder = site
        .named("pod-2")
        .setting("HTTP_TOKENS_FILE", file.display());
    let daemon = site.start(builder).await;
    call(&site, "acme").await;
    let addr = daemon.http_addr().await;
    for (token, seen) in [(reader, None), (operator, Some(1))] {
        let headers = [("Authorization", format!("Bearer {token}"))];
        for path in paths {
            let request = format!("GET {path}");
            let reply = crate::http_admin::send(&addr, &request, &headers, b"").await;
            assert_eq!(failures(&reply.body), seen, "{path}");
        }
    }
}

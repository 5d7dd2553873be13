//! Reads: the documents that NATS answers, page by page, and what stands in their headers.

use serde_json::{Value, json};

use super::error;
use crate::harness::{DEADLINE, http};
use crate::harness::{Daemon, eventually};
use crate::rig::{Rig, shipped_fixtures};
use crate::site::Site;

/// Follows `next` to the end.
async fn page_through(daemon: &Daemon, path: &str, list: &str) -> Vec<Value> {
    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = daemon.get(&format!("{path}{cursor}")).await;
        assert_eq!(page.status, 200, "{page:?}");
        let page = page.json();
        found.extend(page[list].as_array().unwrap().iter().cloned());
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return found,
        }
    }
}

#[tokio::test]
async fn documents_are_those_of_nats() {
    let (site, daemon) = Site::served().await;
    for id in ["plain", "routed"] {
        let report = json!({"id": id, "outcome": "failure", "latency_ms": 3});
        site.ask("report", &report).await.ok();
    }
    for (path, verb, body) in [
        ("/admin/extensions", "list", json!({})),
        (
            "/admin/extensions?enabled=all",
            "list",
            json!({"enabled": "all"}),
        ),
        (
            "/admin/extensions?enabled=false",
            "list",
            json!({"enabled": false}),
        ),
        (
            "/admin/extensions?type=pre&limit=1&more=1",
            "list",
            json!({"type": "pre", "limit": 1}),
        ),
        ("/admin/extensions/routed", "get", json!({"id": "routed"})),
        ("/admin/extensions/health", "health", json!({})),
        (
            "/admin/extensions/health?state=open",
            "health",
            json!({"state": "open"}),
        ),
        (
            "/admin/extensions/routed/health",
            "health",
            json!({"id": "routed"}),
        ),
        (
            "/admin/extensions/health?id=routed",
            "health",
            json!({"id": "routed"}),
        ),
        ("/admin/circuits", "circuits", json!({})),
        ("/admin/circuits?limit=1", "circuits", json!({"limit": 1})),
    ] {
        let reply = daemon.get(path).await;
        assert_eq!(reply.status, 200, "{path}: {reply:?}");
        assert_eq!(reply.json(), site.ask(verb, &body).await.ok(), "{path}");
        assert_eq!(reply.header("cache-control"), Some("no-store"));
    }
    let stats = daemon.get("/admin/stats").await;
    assert_eq!(stats.json()["total_extensions"], 4);
    assert_eq!(stats.header("beamline-revision"), Some("0"));
    let tag = daemon.get("/admin/extensions/plain").await;
    assert_eq!(tag.header("etag"), Some("\"0\""));
    let audit = daemon.get("/admin/audit").await;
    assert_eq!(error(&audit), (409, "read_only".into()));

    let all = page_through(
        &daemon,
        "/admin/extensions?enabled=all&limit=1",
        "extensions",
    )
    .await;
    assert_eq!(all.len(), 4);
    let all = page_through(&daemon, "/admin/extensions/health?limit=3", "extensions").await;
    assert_eq!(all.len(), 4);
    let all = page_through(&daemon, "/admin/circuits?limit=1", "circuits").await;
    assert_eq!(all.len(), 2);
}

#[tokio::test]
async fn faults_name_the_parameter() {
    let (_site, daemon) = Site::served().await;
    for (path, field) in [
        ("/admin/extensions?limit=0", "limit"),
        ("/admin/extensions?limit=1001", "limit"),
        ("/admin/extensions?limit=many", "limit"),
        ("/admin/extensions?limit=1&limit=2", "limit"),
        ("/admin/extensions?type=nothing", "type"),
        ("/admin/extensions?enabled=perhaps", "enabled"),
        ("/admin/extensions?cursor=x", "cursor"),
        ("/admin/extensions?wait_ms=20000", "wait_ms"),
        ("/admin/extensions/health?state=ajar", "state"),
        ("/admin/circuits?cursor=x", "cursor"),
        ("/admin/audit?before=-1", "before"),
        ("/admin/audit?id=a%20b", "id"),
    ] {
        let reply = daemon.get(path).await;
        assert_eq!(error(&reply), (400, "invalid_request".into()), "{path}");
        assert_eq!(reply.json()["error"]["details"]["field"], field, "{path}");
    }
    for (path, expected) in [
        (
            "/admin/extensions?min_revision=9&wait_ms=1",
            (412, "revision_timeout"),
        ),
        ("/admin/extensions/nobody", (404, "extension_not_found")),
        (
            "/admin/extensions/nobody/health",
            (404, "extension_not_found"),
        ),
    ] {
        let (status, code) = error(&daemon.get(path).await);
        assert_eq!((status, code.as_str()), expected, "{path}");
    }
    let quarantined = daemon.get("/admin/extensions/faulty").await.json();
    assert_eq!(quarantined["error"]["details"]["reason"], "quarantined");
}

/// HTTP is there before the data is: an empty list would be a lie.
#[tokio::test]
async fn before_there_is_data_reads_say_so() {
    let rig = Rig::start().await;
    let daemon = rig
        .daemon_at("postgres://nobody@127.0.0.1:1/nothing")
        .spawn()
        .await;
    for path in [
        "/admin/extensions",
        "/admin/extensions/x",
        "/admin/extensions/health",
    ] {
        let reply = daemon.get(path).await;
        assert_eq!(error(&reply), (503, "starting".into()));
        assert_eq!(reply.header("retry-after"), Some("1"));
    }
    assert_eq!(daemon.get("/livez").await.status, 200);
}

#[tokio::test]
async fn files_that_stand_in_for_a_database_are_told_of() {
    let rig = Rig::start().await;
    let daemon = rig
        .daemon_at("postgres://nobody@127.0.0.1:1/nothing")
        .setting("SOURCE", "auto")
        .setting("SYNC_INTERVAL_SECONDS", 1)
        .fixtures(&shipped_fixtures())
        .spawn()
        .await;
    daemon.wait_ready().await;
    let reply = daemon.get("/admin/extensions").await;
    assert_eq!(reply.header("beamline-source"), Some("fixtures"));
    let addr = daemon.http_addr().await;
    eventually("the age of the data is told", DEADLINE, async || {
        let reply = http::get(&addr, "/admin/extensions").await.unwrap();
        reply.header("beamline-stale-ms").map(str::to_owned)
    })
    .await;
}

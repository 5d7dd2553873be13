//! Read your own writes, on any sidecar.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use crate::harness::http;
use crate::harness::{Client, DEADLINE, Daemon, NatsServer, eventually};
use crate::rig::{Rig, insert, metric};
use crate::schema::migrated;
use crate::site::{Site, subject};

#[tokio::test]
async fn a_write_is_read_on_any_sidecar() {
    let nats = NatsServer::start().await;
    let (database, sql) = migrated().await;
    let sidecar = |name: &str| {
        let builder = Daemon::builder()
            .nats(&nats.url())
            .database(&database.url());
        builder
            .setting("SOURCE", "database")
            .setting("INSTANCE_ID", name)
            .spawn()
    };
    let daemons = [sidecar("one").await, sidecar("two").await];
    for daemon in &daemons {
        daemon.wait_ready().await;
    }
    let client = Client::connect(&nats.url()).await;
    for n in 1..=20 {
        let write = format!(
            "INSERT INTO extensions (id, type, subject, timeout_ms)
             VALUES ('a', 'pre', 'beamline.ext.a', {n})
             ON CONFLICT (id) DO UPDATE SET timeout_ms = excluded.timeout_ms"
        );
        sql.batch_execute(&write).await.unwrap();
        let revision: i64 = sql
            .query_one("SELECT revision FROM registry_revision", &[])
            .await
            .unwrap()
            .get(0);
        let request = json!({"id": "a", "min_revision": revision, "wait_ms": 10_000});
        let many = json!({"ids": ["a"], "min_revision": revision, "wait_ms": 10_000});
        for name in ["one", "two"] {
            let at = |verb: &str| subject(&format!("local.{name}.{verb}"));
            let reply = client.request_json(&at("lookup"), &request).await;
            let said: i64 = reply.header("Beamline-Revision").unwrap().parse().unwrap();
            assert!(said >= revision, "{said} < {revision}");
            let body = reply.ok();
            assert_eq!(
                (&body["timeout_ms"], &body["revision"]),
                (&json!(n), &json!(revision))
            );
            for verb in ["lookup", "get", "explain", "list", "stats"] {
                let reply = client
                    .request_json(&at(verb), &many_or(&many, &request, verb))
                    .await;
                let said: i64 = reply.header("Beamline-Revision").unwrap().parse().unwrap();
                assert!(said >= revision, "{verb}: {said} < {revision}");
                reply.ok();
            }
        }
    }
    client.assert_one_reply_each().await;
}

#[tokio::test]
async fn what_no_revision_makes_valid_is_refused_without_waiting_for_one() {
    let (site, _daemon) = Site::served().await;
    for (verb, mut request, field) in [
        ("lookup", json!({"id": "no id"}), "id"),
        ("lookup", json!({"ids": []}), "ids"),
        (
            "lookup",
            json!({"id": "plain", "version": "no version"}),
            "version",
        ),
        ("get", json!({"id": "no id"}), "id"),
        ("explain", json!({"id": "no id"}), "id"),
        (
            "explain",
            json!({"id": "plain", "version": "no version"}),
            "version",
        ),
        ("health", json!({"id": "no id"}), "id"),
        ("health", json!({"state": "ajar"}), "state"),
        ("circuits", json!({"id": "no id"}), "id"),
        ("circuits", json!({"cursor": "x"}), "cursor"),
        ("list", json!({"type": "PRE"}), "type"),
        ("list", json!({"cursor": "x"}), "cursor"),
        ("list", json!({"selector": {}}), "selector"),
    ] {
        request["min_revision"] = json!(5);
        request["wait_ms"] = json!(1);
        let reply = site.ask(verb, &request).await;
        let refused = (400, "invalid_request".to_owned());
        assert_eq!(reply.error(), refused, "{verb} {request}");
        assert_eq!(reply.details()["field"], field, "{verb} {request}");
    }
}

/// Every verb that takes a version says so, whether the extension is there or not yet.
#[tokio::test]
async fn a_version_that_can_be_none_is_refused_for_an_unknown_extension_too() {
    let (site, _daemon) = Site::served().await;
    for id in ["plain", "nobody"] {
        for (verb, request) in [
            ("lookup", json!({})),
            ("explain", json!({})),
            ("invoke", json!({"payload": 1})),
            ("invoke", json!({"payload": 1, "dry_run": true})),
            ("report", json!({"outcome": "success"})),
            ("circuit", json!({"action": "reset"})),
        ] {
            let mut request = request;
            request["id"] = json!(id);
            request["version"] = json!("no version");
            let reply = site.ask(verb, &request).await;
            let refused = (400, "invalid_request".to_owned());
            assert_eq!(reply.error(), refused, "{verb} {request}");
            assert_eq!(reply.details()["field"], "version", "{verb} {request}");
        }
    }
}

#[tokio::test]
async fn a_revision_that_does_not_come_is_told_in_time() {
    let (site, _daemon) = Site::served().await;
    let start = Instant::now();
    let ask = |wait_ms: u64| {
        let site = &site;
        async move {
            let request = json!({"id": "plain", "min_revision": 5, "wait_ms": wait_ms});
            (wait_ms, site.ask("lookup", &request).await, start.elapsed())
        }
    };
    for (wait_ms, reply, took) in join_all([0, 1, 200, 1000].map(ask)).await {
        assert_eq!(reply.error(), (412, "revision_timeout".to_owned()));
        assert_eq!(reply.details(), json!({"min_revision": 5, "revision": 0}));
        assert!(
            took >= Duration::from_millis(wait_ms),
            "{wait_ms} ms: after {took:?}"
        );
    }
    let start = Instant::now();
    let reply = site
        .send("lookup", r#"{"id":"plain","min_revision":1}"#)
        .await;
    assert_eq!(reply.error().0, 412);
    assert!(
        start.elapsed() >= Duration::from_secs(1),
        "the default is a second"
    );

    let reads = [
        "lookup", "get", "explain", "list", "stats", "health", "circuits", "ping",
    ];
    for verb in reads {
        let request = json!({"id": "plain", "min_revision": 5, "wait_ms": 1});
        let reply = site.ask(verb, &request).await;
        assert_eq!(
            reply.error(),
            (412, "revision_timeout".to_owned()),
            "{verb}"
        );
        for min_revision in [0, 5] {
            let request = json!({"id": "plain", "min_revision": min_revision, "wait_ms": 10_001});
            let reply = site.ask(verb, &request).await;
            assert_eq!(
                reply.error(),
                (400, "invalid_request".to_owned()),
                "{verb} {request}"
            );
            assert_eq!(reply.details()["field"], "wait_ms");
        }
    }
    site.client.assert_one_reply_each().await;
}

/// `lookup` takes the request for many ids, the other verbs the one for one.
fn many_or(many: &Value, one: &Value, verb: &str) -> Value {
    if verb == "lookup" { many } else { one }.clone()
}

/// CASES.md B12.
#[tokio::test]
async fn reads_that_wait_take_no_place_of_what_they_wait_for() {
    let rig = Rig::start().await;
    rig.sql.batch_execute(&insert("a")).await.unwrap();
    let daemon = rig.daemon().setting("INSTANCE_ID", "one").spawn().await;
    daemon.wait_ready().await;
    let waiting = json!({"id": "a", "min_revision": 2, "wait_ms": 10_000});
    let verbs = [
        "get", "lookup", "explain", "list", "health", "circuits", "stats",
    ];
    // Whoever waited in vain asks again, so that all wait at once however slow this machine is. Nobody
    // else asks for a place, so that exactly those are refused for whom there is none.
    let refused = watch::Sender::new(0);
    let (rig, waiting, refused) = (&rig, &waiting, &refused);
    let reads = join_all((0..1024).map(|n| async move {
        loop {
            let reply = rig.ask(verbs[n % verbs.len()], waiting).await;
            match reply.header("Nats-Service-Error-Code") {
                Some("412") => {}
                Some("503") => {
                    assert_eq!(reply.error().1, "overloaded");
                    break refused.send_modify(|count| *count += 1);
                }
                _ => break assert_eq!(reply.header("Nats-Service-Error-Code"), None),
            }
        }
    }));
    let addr = &daemon.http_addr().await;
    let path = "/admin/extensions/a?min_revision=2&wait_ms=10000";
    let over_http = join_all((0..64).map(|_| async move {
        loop {
            let answer = http::get(addr, path).await.unwrap();
            match answer.status {
                412 => {}
                503 => break refused.send_modify(|count| *count += 1),
                status => break assert_eq!(status, 200),
            }
        }
    }));
    let work = async {
        let mut told = refused.subscribe();
        timeout(DEADLINE, told.wait_for(|count| *count == 64))
            .await
            .expect("1,024 wait and 64 are refused")
            .unwrap();
        for verb in ["ping", "list", "stats", "audit"] {
            rig.ask(verb, &json!({})).await.ok();
        }
        for path in ["/livez", "/admin/extensions/a", "/admin/stats", "/metrics"] {
            assert_eq!(http::get(addr, path).await.unwrap().status, 200, "{path}");
        }
        // What all of them wait for; and it is answered with the record that it made.
        let change = json!({"id": "a", "timeout_ms": 1234});
        let changed = rig.ask("update", &change).await.ok();
        assert_eq!(
            (&changed["revision"], &changed["timeout_ms"]),
            (&json!(2), &json!(1234))
        );
    };
    tokio::join!(reads, over_http, work);
    assert_eq!(*refused.borrow(), 64, "of 1,088");
    eventually("each refusal is counted", DEADLINE, async || {
        metric(&daemon, "extension_registry_overloaded_total").await == Some(64.0)
    })
    .await;
    rig.client.assert_one_reply_each().await;
}

/// CASES.md B12, by bytes.
#[tokio::test]
async fn reads_that_wait_take_no_bytes_of_what_they_wait_for() {
    let rig = Rig::start().await;
    rig.sql.batch_execute(&insert("a")).await.unwrap();
    let daemon = rig.daemon().spawn().await;
    daemon.wait_ready().await;
    let pad = "x".repeat(900_000);
    let waiting = json!({"id": "a", "min_revision": 2, "wait_ms": 10_000, "pad": pad});
    // Together more than all other requests may hold.
    let refused = watch::Sender::new(0);
    let (rig, waiting, refused) = (&rig, &waiting, &refused);
    let reads = join_all((0..40).map(|n| async move {
        let reply = rig.ask(["get", "lookup"][n % 2], waiting).await;
        match reply.header("Nats-Service-Error-Code") {
            None | Some("412") => {}
            Some(_) => {
                assert_eq!(reply.error(), (503, "overloaded".to_owned()));
                assert_eq!(reply.details(), json!({"reason": "bytes"}));
                refused.send_modify(|count| *count += 1);
            }
        }
    }));
    let work = async {
        let mut told = refused.subscribe();
        timeout(DEADLINE, told.wait_for(|count| *count > 0))
            .await
            .expect("some are refused")
            .unwrap();
        rig.ask("get", &json!({"id": "a", "pad": pad})).await.ok();
        for verb in ["ping", "list", "stats"] {
            rig.ask(verb, &json!({})).await.ok();
        }
        let change = json!({"id": "a", "timeout_ms": 1234});
        assert_eq!(rig.ask("update", &change).await.ok()["revision"], 2);
    };
    tokio::join!(reads, work);
    rig.client.assert_one_reply_each().await;
}

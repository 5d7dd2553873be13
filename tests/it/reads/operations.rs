//! `stats`, `ping` and `reload`.

use serde_json::{Value, json};

use super::{keys, list, many, text};
use crate::site::{Site, extensions};

#[tokio::test]
async fn stats_have_every_field_and_count() {
    let site = Site::with(&extensions()).await;
    let _daemon = site.start(site.named("pod-1")).await;
    for id in ["plain", "plain", "plain", "nobody", "off"] {
        site.send("lookup", id).await;
    }
    let stats = site.send("stats", "").await.ok();
    let fields = stats.as_object().unwrap();
    let exact = json!({
        "source": "fixtures", "active_source": "fixtures", "revision": 0, "epoch": null,
        "total_extensions": 4, "enabled_extensions": 3, "error_count": 0,
        "staleness_ms": null, "listener": {"state": "off"},
        "database": {"state": "off", "reason": null, "error": null, "since": null}, "nats": {"state": "up"}, "instance_id": "pod-1",
        "version": env!("CARGO_PKG_VERSION"),
        "invocations": {
            "success": 0, "failure": 0, "timeout": 0, "neutral": 0, "pushed_back": 0,
            "cancelled": 0, "rejected": 0,
            "overloaded": 0, "retries": 0, "in_flight": 0,
        },
    });
    for (name, value) in exact.as_object().unwrap() {
        assert_eq!(fields.get(name), Some(value), "{name}");
    }
    let lookups = &stats["lookups"];
    assert_eq!(
        json!([lookups["hits"], lookups["misses"], lookups["hit_rate"]]),
        json!([3, 1, 0.75])
    );
    let faults = list(&stats, "quarantined");
    assert_eq!(faults.len(), 1);
    assert!(
        text(&faults[0], "origin").contains("all.json"),
        "{faults:?}"
    );
    assert!(text(&faults[0], "reason").contains("subject"), "{faults:?}");
    for time in ["last_reload", "started_at"] {
        assert!(
            humantime::parse_rfc3339(text(&stats, time)).is_ok(),
            "{time}: {stats}"
        );
    }
    assert!(stats["last_reload_duration_ms"].as_f64().unwrap() > 0.0);
    assert!(stats["load_count"].as_u64().unwrap() >= 1);
    assert!(stats["uptime_ms"].is_u64());
    assert_eq!(text(&stats, "digest").len(), 16);
    site.client.assert_one_reply_each().await;
}

#[tokio::test]
async fn ping_tells_who_answers() {
    let site = Site::with(&extensions()).await;
    let _daemon = site.start(site.named("pod-1")).await;
    for payload in ["", " ", "{}", r#"{"whatever":1}"#] {
        let reply = site.send("ping", payload).await;
        assert_eq!(reply.ok(), json!({"ok": true, "instance_id": "pod-1"}));
        assert!(reply.headers.is_empty());
    }
    let reply = site.send("ping", "hello").await;
    assert_eq!(reply.error(), (400, "invalid_request".to_owned()));
}

#[tokio::test]
async fn reload_tells_what_it_changed() {
    let (site, _daemon) = Site::serving(&many(10, 0)).await;
    let nothing = site.send("reload", "").await.ok();
    let mut expected = [
        "added",
        "updated",
        "removed",
        "total",
        "duration_ms",
        "revision",
        "active_source",
    ];
    expected.sort_unstable();
    assert_eq!(keys(&nothing), expected);
    let told = |report: &Value| {
        json!([
            report["added"],
            report["updated"],
            report["removed"],
            report["total"]
        ])
    };
    assert_eq!(told(&nothing), json!([0, 0, 0, 10]));
    assert_eq!(
        json!([nothing["revision"], nothing["active_source"]]),
        json!([0, "fixtures"])
    );

    for (payload, ok) in [
        ("{}", true),
        ("x00003", true),
        (r#"{"id":"x00003"}"#, true),
        ("nobody", false),
    ] {
        let reply = site.send("reload", payload).await;
        match ok {
            true => assert_eq!(told(&reply.ok()), json!([0, 0, 0, 10]), "{payload}"),
            false => assert_eq!(reply.error(), (404, "extension_not_found".to_owned())),
        }
    }
    // In one step: a folder that is empty for a moment has no extensions.
    let away = tempfile::tempdir().unwrap();
    std::fs::rename(site.fixtures(), away.path().join("fixtures")).unwrap();
    let reply = site.send("reload", "").await;
    assert_eq!(reply.error().0, 500, "an error says so: {reply:?}");
    site.send("lookup", "x00003").await.ok();
    assert_eq!(
        site.send("list", "").await.ok()["total"],
        10,
        "and keeps the old data"
    );
}

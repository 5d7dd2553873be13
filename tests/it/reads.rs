//! The verbs for people and tools:
//!
//! - `list` filters, counts and pages through everything exactly once, whatever fits a message,
//! - `get` shows the stored record, served or not,
//! - `explain` makes the choice of `lookup` and says why,
//! - `stats`, `ping` and `reload` answer with the contract's fields.

use serde_json::{Map, Value, json};

use crate::harness::NatsServer;
use crate::site::{Site, extension, extensions};

#[tokio::test]
async fn a_listing_filters_counts_and_is_in_order() {
    let (site, _daemon) = Site::served().await;
    // By type in the order of a message's way, then by id.
    for (request, expected) in [
        (json!({}), vec!["plain", "routed", "acme_only"]),
        (
            json!({"enabled": true}),
            vec!["plain", "routed", "acme_only"],
        ),
        (json!({"enabled": false}), vec!["off"]),
        (
            json!({"enabled": "all"}),
            vec!["plain", "routed", "acme_only", "off"],
        ),
        (json!({"type": "validator"}), vec!["routed"]),
        (json!({"type": "provider"}), vec![]),
        (json!({"type": "provider", "enabled": "all"}), vec!["off"]),
        (
            json!({"limit": 1000, "unknown": {}}),
            vec!["plain", "routed", "acme_only"],
        ),
    ] {
        let page = site.ask("list", &request).await.ok();
        assert_eq!(keys(&page), ["extensions", "next", "total"]);
        let mut found = ids(&page);
        found.sort_unstable();
        let mut wanted = expected.clone();
        wanted.sort_unstable();
        assert_eq!(found, wanted, "{request}");
        assert_eq!(page["total"], expected.len(), "{request}");
        assert_eq!(page["next"], Value::Null, "{request}");
    }
    let all = site.send("list", r#"{"enabled":"all"}"#).await.ok();
    let places: Vec<(&str, &str)> = records(&all)
        .iter()
        .map(|record| (text(record, "type"), text(record, "id")))
        .collect();
    assert!(places.is_sorted(), "ordered by type, then id: {places:?}");
    let plain = records(&all).iter().find(|record| record["id"] == "plain");
    assert_eq!(
        plain,
        Some(&site.send("lookup", "plain").await.ok()),
        "the record of a lookup"
    );
}

#[tokio::test]
async fn a_listing_by_type_takes_the_type_bare_or_in_an_object() {
    let (site, _daemon) = Site::served().await;
    let listed = site.send("list", r#"{"type":"pre"}"#).await.payload;
    for payload in [
        "pre",
        " pre\n",
        r#"{"type":"pre"}"#,
        r#"{"type":"pre","limit":5}"#,
    ] {
        let reply = site.send("lookup_by_type", payload).await;
        assert_eq!(reply.payload, listed, "{payload}");
    }
    let disabled = site.send("lookup_by_type", "provider").await.ok();
    assert_eq!(
        disabled,
        json!({"extensions": [], "total": 0, "next": null})
    );
    for (verb, payload, field) in [
        ("lookup_by_type", "", "type"),
        ("lookup_by_type", "{}", "type"),
        ("lookup_by_type", "no type", "type"),
        ("list", r#"{"type":"no type"}"#, "type"),
        ("list", r#"{"enabled":"some"}"#, "enabled"),
        ("list", r#"{"limit":0}"#, "limit"),
        ("list", r#"{"limit":1001}"#, "limit"),
        ("list", r#"{"limit":-1}"#, "limit"),
        ("list", r#"{"cursor":"anything"}"#, "cursor"),
        ("list", r#"{"cursor":"pre:no id"}"#, "cursor"),
    ] {
        let reply = site.send(verb, payload).await;
        assert_eq!(
            reply.error(),
            (400, "invalid_request".to_owned()),
            "{verb} {payload}"
        );
        assert_eq!(reply.details()["field"], field, "{verb} {payload}");
    }
}

#[tokio::test]
async fn paging_meets_every_extension_once() {
    let (site, _daemon) = Site::serving(&many(250, 0)).await;
    for (limit, pages_expected) in [(1000, 1), (250, 1), (249, 2), (100, 3), (7, 36)] {
        let (found, pages) = page_through(&site, &json!({"limit": limit}), usize::MAX).await;
        assert_eq!((found.len(), pages), (250, pages_expected), "limit {limit}");
        assert!(found.is_sorted() && is_unique(&found), "limit {limit}");
    }
    let (found, pages) = page_through(&site, &json!({}), usize::MAX).await;
    assert_eq!((found.len(), pages), (250, 3), "100 unless told otherwise");
    let (validators, _) =
        page_through(&site, &json!({"type": "post", "limit": 9}), usize::MAX).await;
    assert_eq!(validators.len(), 83);
}

#[tokio::test]
async fn a_page_is_shortened_to_fit_a_message() {
    const MAX_PAYLOAD: usize = 4096;
    let nats = NatsServer::builder().max_payload(MAX_PAYLOAD).start().await;
    let site = Site::on(nats, &many(60, 300)).await;
    let _daemon = site.start(site.daemon()).await;
    let (found, pages) = page_through(&site, &json!({"limit": 1000}), MAX_PAYLOAD).await;
    assert_eq!(found.len(), 60);
    assert!(is_unique(&found) && found.is_sorted());
    assert!(
        (9..=12).contains(&pages),
        "{pages} pages, each about as long as it can be"
    );
    site.client.assert_one_reply_each().await;
}

/// Around the limit every byte counts, headers included: one reply, whichever it is.
#[tokio::test]
async fn a_record_larger_than_a_message_is_told() {
    const MAX_PAYLOAD: usize = 4096;
    let nats = NatsServer::builder().max_payload(MAX_PAYLOAD).start().await;
    let sizes: Vec<usize> = (3000..=5000).step_by(40).chain(3300..3900).collect();
    let records: Vec<Value> = sizes
        .iter()
        .map(|size| padded(extension("pre", &format!("x{size}")), *size))
        .collect();
    let site = Site::on(nats, &json!(records)).await;
    let _daemon = site.start(site.daemon()).await;
    let (mut answered, mut refused) = (0, 0);
    for size in &sizes {
        for verb in ["lookup", "get", "explain"] {
            let reply = site.send(&format!("{verb}.x{size}"), "").await;
            count(&reply, &mut answered, &mut refused, MAX_PAYLOAD);
        }
        let before = format!("pre:x{}", size - 1);
        for request in [
            json!({"ids": [format!("x{size}")]}),
            json!({"limit": 1, "cursor": before}),
        ] {
            let verb = if request["ids"].is_null() {
                "list"
            } else {
                "lookup"
            };
            let reply = site.ask(verb, &request).await;
            count(&reply, &mut answered, &mut refused, MAX_PAYLOAD);
        }
    }
    assert!(
        answered > 0 && refused > 0,
        "{answered} answered, {refused} refused"
    );
    site.client.assert_one_reply_each().await;
}

#[tokio::test]
async fn get_shows_the_stored_record_served_or_not() {
    let (site, _daemon) = Site::served().await;
    let routed = site.send("get", "routed").await.ok();
    let mut expected = [
        "id",
        "type",
        "subject",
        "timeout_ms",
        "retry",
        "enabled",
        "version",
        "config",
        "metadata",
        "fallback",
        "routing_rules",
        "rollout",
        "circuit_breaker",
        "versions",
        "instances",
        "created_at",
        "updated_at",
        "created_by",
        "updated_by",
        "auto_disabled",
        "revision",
    ];
    expected.sort_unstable();
    assert_eq!(keys(&routed), expected);
    assert_eq!(
        routed["versions"].as_array().unwrap().len(),
        4,
        "disabled ones too"
    );
    assert_eq!(
        routed["instances"].as_array().unwrap().len(),
        5,
        "idle and disabled ones too"
    );
    let v3 = &routed["versions"][1];
    let told = json!([
        v3["version"],
        v3["timeout_ms"],
        v3["routing_rules"],
        v3["enabled"]
    ]);
    let rules = json!({"environment": "staging", "tenant_id": ["acme", "umbrella"]});
    assert_eq!(told, json!(["v3", 7, rules, true]));
    let v2 = &routed["versions"][0];
    assert_eq!(
        (&v2["timeout_ms"], &v2["config"]),
        (&Value::Null, &Value::Null),
        "inherited"
    );
    assert_eq!(routed["instances"][0]["instance_id"], "blue");

    let off = site.send("get.off", "").await.ok();
    assert_eq!(
        json!([off["enabled"], off["auto_disabled"]]),
        json!([false, false])
    );
    let acme = site.send("get", r#"{"id":"acme_only"}"#).await.ok();
    assert_eq!(acme["routing_rules"], json!({"tenant_id": "acme"}));
    for (id, reason) in [("nobody", "unknown"), ("faulty", "quarantined")] {
        let reply = site.send("get", id).await;
        assert_eq!(reply.error(), (404, "extension_not_found".to_owned()));
        assert_eq!(reply.details(), json!({"id": id, "reason": reason}));
    }
}

#[tokio::test]
async fn explain_chooses_as_a_lookup_does_and_says_why() {
    let (site, _daemon) = Site::served().await;
    for (request, reason, version) in [
        (json!({"id": "plain"}), "default", json!("v1")),
        (json!({"id": "routed"}), "default", json!("v1")),
        (
            json!({"id": "routed", "version": "v2"}),
            "default",
            json!("v2"),
        ),
        (
            json!({"id": "routed", "context": {"environment": "staging"}}),
            "targeting_match",
            json!("v2"),
        ),
        (
            json!({"id": "routed", "context": {"user_id": "u"}}),
            "rollout",
            json!("v4"),
        ),
        (json!({"id": "acme_only"}), "not_targeted", json!(null)),
        (json!({"id": "off"}), "disabled", json!(null)),
    ] {
        let explained = site.ask("explain", &request).await.ok();
        let told = (text(&explained, "reason"), &explained["version"]);
        assert_eq!(told, (reason, &version), "{request}");
        let looked_up = site.ask("lookup", &request).await;
        assert_eq!(looked_up.json()["version"], version, "{request}");
        assert_eq!(
            looked_up.json()["subject"],
            explained["subject"],
            "{request}"
        );
        let chosen: Vec<&Value> = list(&explained, "candidates")
            .iter()
            .filter(|candidate| candidate["chosen"] == true)
            .map(|candidate| &candidate["version"])
            .collect();
        assert_eq!(
            chosen.first().copied().unwrap_or(&Value::Null),
            &version,
            "{request}"
        );
    }
    for (request, code) in [
        (json!({"id": "nobody"}), "extension_not_found"),
        (json!({"id": "faulty"}), "extension_not_found"),
        (
            json!({"id": "routed", "version": "v5"}),
            "version_not_found",
        ),
        (json!({"id": "routed", "version": "v 5"}), "invalid_request"),
    ] {
        assert_eq!(
            site.ask("explain", &request).await.error().1,
            code,
            "{request}"
        );
    }
}

#[tokio::test]
async fn explain_shows_every_candidate_with_its_verdicts() {
    let (site, _daemon) = Site::served().await;
    let request = json!({"id": "routed", "context": {"environment": "staging", "user_id": "u-1"}});
    let explained = site.ask("explain", &request).await.ok();
    let candidates = list(&explained, "candidates");
    let shown: Vec<_> = candidates
        .iter()
        .map(|x| {
            json!([
                x["version"],
                x["enabled"],
                x["current"],
                x["takes_part"],
                x["chosen"]
            ])
        })
        .collect();
    let expected = [
        json!(["v3", true, false, false, false]),
        json!(["v2", true, false, true, true]),
        json!(["v4", true, false, true, false]),
        json!(["v5", false, false, false, false]),
        json!(["v1", true, true, true, false]),
    ];
    assert_eq!(shown, expected, "in the order in which they are tried");
    let rules = json!([
        {"key": "environment", "matched": true},
        {"key": "tenant_id", "matched": false},
    ]);
    assert_eq!(candidates[0]["rules"], rules);
    // printf 'routed:u-1' | sha256sum, first 16 hex digits, mod 10000
    let rollout = json!([{"bucket": ROUTED_BUCKET, "admitted": true}]);
    assert_eq!(candidates[2]["rollouts"], rollout);
    assert_eq!(explained["circuit_breaker_state"], "closed");

    let request = json!({"id": "routed"});
    let explained = site.ask("explain", &request).await.ok();
    let instances: Vec<_> = list(&explained, "instances")
        .iter()
        .map(|x| json!([x["instance_id"], x["weight"]]))
        .collect();
    assert_eq!(instances, [json!(["blue", 30]), json!(["green", 70])]);
    assert_eq!(
        list(&explained, "candidates")[2]["rollouts"],
        json!([{"bucket": null, "admitted": false}])
    );
}
const ROUTED_BUCKET: u64 = 3366;

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
        "staleness_ms": null, "invocations": {}, "listener": {"state": "off"},
        "database": {"state": "off"}, "nats": {"state": "up"}, "instance_id": "pod-1",
        "version": env!("CARGO_PKG_VERSION"),
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
    // The folder is not watched in time for the reload: the file changes in the same instant.
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
    site.write_fixtures(&json!("broken"));
    std::fs::remove_dir_all(site.fixtures()).unwrap();
    let reply = site.send("reload", "").await;
    assert_eq!(reply.error().0, 500, "an error says so: {reply:?}");
    site.send("lookup", "x00003").await.ok();
    assert_eq!(
        site.send("list", "").await.ok()["total"],
        10,
        "and keeps the old data"
    );
}

/// `n` extensions of three types, each about `padding` bytes larger than it must be.
fn many(n: usize, padding: usize) -> Value {
    let kinds = ["pre", "validator", "post"];
    (0..n)
        .map(|i| {
            padded(
                extension(kinds[i % kinds.len()], &format!("x{i:05}")),
                padding,
            )
        })
        .collect()
}

fn padded(mut extension: Value, bytes: usize) -> Value {
    if bytes > 0 {
        extension["config"] = json!({"padding": "x".repeat(bytes)});
    }
    extension
}

/// Follows the cursor to the end: the places met, and how many pages there were.
async fn page_through(
    site: &Site,
    request: &Value,
    max_bytes: usize,
) -> (Vec<(String, String)>, usize) {
    let mut request = request.clone();
    let (mut found, mut pages, mut total) = (Vec::new(), 0, None);
    loop {
        let reply = site.ask("list", &request).await;
        assert!(reply.payload.len() <= max_bytes);
        let page = reply.ok();
        pages += 1;
        assert_eq!(
            *total.get_or_insert(page["total"].clone()),
            page["total"],
            "the same all along"
        );
        let places = records(&page).iter();
        found.extend(places.map(|x| (text(x, "type").to_owned(), text(x, "id").to_owned())));
        if page["next"].is_null() {
            assert_eq!(page["total"], found.len());
            return (found, pages);
        }
        request["cursor"] = page["next"].clone();
    }
}

fn count(reply: &crate::harness::Reply, answered: &mut usize, refused: &mut usize, limit: usize) {
    assert!(reply.payload.len() <= limit);
    match reply.header("Nats-Service-Error-Code") {
        None => *answered += 1,
        Some(_) => {
            assert_eq!(reply.error(), (413, "payload_too_large".to_owned()));
            assert_eq!(reply.details(), json!({"limit_bytes": limit}));
            *refused += 1;
        }
    }
}

fn is_unique(places: &[(String, String)]) -> bool {
    places.windows(2).all(|pair| pair[0] != pair[1])
}

fn records(page: &Value) -> &Vec<Value> {
    list(page, "extensions")
}

fn ids(page: &Value) -> Vec<&str> {
    records(page)
        .iter()
        .map(|record| text(record, "id"))
        .collect()
}

fn list<'a>(object: &'a Value, field: &str) -> &'a Vec<Value> {
    object[field]
        .as_array()
        .unwrap_or_else(|| panic!("no list {field}: {object}"))
}

fn text<'a>(object: &'a Value, field: &str) -> &'a str {
    object[field]
        .as_str()
        .unwrap_or_else(|| panic!("no text {field}: {object}"))
}

fn keys(object: &Value) -> Vec<&String> {
    let fields: &Map<String, Value> = object.as_object().unwrap();
    fields.keys().collect()
}

//! Pages of `health` and of `circuits`.

use std::time::Duration;

use serde_json::{Value, json};

use super::{counts, report, service};
use crate::harness::{DEADLINE, NatsServer, eventually};
use crate::site::{Site, subject};

const QUIET: Duration = Duration::from_millis(300);
const MANY: usize = 300;

/// Extensions of four types.
fn many(n: usize) -> Value {
    let kinds = ["pre", "validator", "post", "provider"];
    (0..n)
        .map(|i| service(kinds[i % kinds.len()], &format!("x{i:03}")))
        .collect()
}

/// Follows the cursor to the end: what `list` holds on all pages, and how many pages there were.
async fn page_through(site: &Site, verb: &str, list: &str, request: Value) -> (Vec<Value>, usize) {
    let (mut request, mut found, mut pages) = (request, Vec::new(), 0);
    loop {
        let page = site.ask(verb, &request).await.ok();
        pages += 1;
        found.extend(page[list].as_array().unwrap().iter().cloned());
        if page["next"].is_null() {
            return (found, pages);
        }
        request["cursor"] = page["next"].clone();
    }
}

fn places(found: &[Value], fields: [&str; 2]) -> Vec<[String; 2]> {
    let text = |record: &Value, field| record[field].as_str().unwrap().to_owned();
    let records = found.iter();
    records
        .map(|record| fields.map(|field| text(record, field)))
        .collect()
}

#[track_caller]
fn assert_each_once(places: &[[String; 2]], n: usize) {
    assert_eq!(places.len(), n);
    assert!(places.is_sorted() && places.windows(2).all(|pair| pair[0] != pair[1]));
}

#[tokio::test]
async fn every_extension_and_every_circuit_is_on_one_page() {
    let (site, _daemon) = Site::serving(&many(MANY)).await;
    for i in 0..MANY {
        report(&site, &format!("x{i:03}"), "success", 10.0).await;
    }
    for (limit, pages) in [(37, 9), (100, 3), (1000, 1)] {
        let request = json!({"limit": limit});
        let (found, met) = page_through(&site, "health", "extensions", request.clone()).await;
        assert_each_once(&places(&found, ["type", "id"]), MANY);
        assert!(
            found
                .iter()
                .all(|record| counts(&record["health"]) == (1, 0))
        );
        assert_eq!(met, pages);
        let (found, met) = page_through(&site, "circuits", "circuits", request).await;
        assert_each_once(&places(&found, ["id", "version"]), MANY);
        assert_eq!(met, pages);
    }
    for (verb, body, field) in [
        ("health", json!({"limit": 0}), "limit"),
        ("health", json!({"limit": 1001}), "limit"),
        ("health", json!({"cursor": "x"}), "cursor"),
        ("health", json!({"state": "ajar"}), "state"),
        ("circuits", json!({"limit": 0}), "limit"),
        ("circuits", json!({"cursor": "x"}), "cursor"),
    ] {
        let reply = site.ask(verb, &body).await;
        assert_eq!(reply.details(), json!({"field": field}), "{verb} {body}");
    }
    site.client.assert_one_reply_each().await;
}

#[tokio::test]
async fn pages_are_shortened_to_fit_a_message() {
    const MAX_PAYLOAD: usize = 4096;
    let nats = NatsServer::builder().max_payload(MAX_PAYLOAD).start().await;
    let site = Site::on(nats, &many(60)).await;
    let _daemon = site.start(site.daemon()).await;
    for i in 0..60 {
        report(&site, &format!("x{i:03}"), "failure", 10.0).await;
    }
    let request = json!({"limit": 1000});
    let (found, pages) = page_through(&site, "health", "extensions", request.clone()).await;
    assert_each_once(&places(&found, ["type", "id"]), 60);
    assert!((6..=15).contains(&pages), "{pages} pages");
    let (found, pages) = page_through(&site, "circuits", "circuits", request).await;
    assert_each_once(&places(&found, ["id", "version"]), 60);
    assert!((2..=6).contains(&pages), "{pages} pages");
}

#[tokio::test]
async fn a_state_can_be_asked_for_and_the_summary_covers_all() {
    let (site, _daemon) = Site::serving(&many(20)).await;
    for id in ["x003", "x010", "x017"] {
        for _ in 0..5 {
            report(&site, id, "failure", 30.0).await;
        }
    }
    report(&site, "x000", "success", 10.0).await;
    for (state, ids) in [
        ("open", vec!["x017", "x010", "x003"]),
        ("half_open", vec![]),
    ] {
        let page = site.ask("health", &json!({"state": state})).await.ok();
        let listed = page["extensions"].as_array().unwrap();
        let mut found: Vec<_> = listed.iter().map(|x| x["id"].as_str().unwrap()).collect();
        found.sort_unstable_by(|a, b| b.cmp(a));
        assert_eq!(found, ids);
        let summary = &page["summary"];
        let told = ["total", "enabled", "healthy", "unhealthy", "half_open"];
        let told = told.map(|field| summary[field].as_u64().unwrap());
        assert_eq!(told, [20, 20, 17, 3, 0]);
        assert_eq!(
            summary["avg_success_rate"], 0.25,
            "of those that were called"
        );
        assert_eq!(summary["avg_latency_ms"], 25.0);
    }
    let request = json!({"state": "closed", "limit": 5});
    let (found, pages) = page_through(&site, "health", "extensions", request).await;
    assert_each_once(&places(&found, ["type", "id"]), 17);
    assert_eq!(pages, 4);
}

#[tokio::test]
async fn each_sidecar_tells_its_own() {
    let site = Site::with(&many(2)).await;
    let _daemons = [
        site.start(site.named("one")).await,
        site.start(site.named("two")).await,
    ];
    let body = json!({"id": "x000", "outcome": "success"});
    for (name, times) in [("one", 2), ("two", 3)] {
        for _ in 0..times {
            let reply = site.ask(&format!("local.{name}.report"), &body).await;
            reply.ok();
        }
    }
    let all = async |rest: &str| {
        // One of them may be later than the other by more than that.
        let replies = eventually("an answer of each", DEADLINE, async || {
            let replies = site.client.request_all(&subject(rest), "", QUIET).await;
            if replies.len() >= 2 {
                Ok(replies)
            } else {
                Err(replies)
            }
        })
        .await;
        replies.iter().map(|reply| reply.ok()).collect::<Vec<_>>()
    };
    let health = all("all.health").await;
    let mut seen: Vec<_> = health
        .iter()
        .map(|page| counts(&page["extensions"][0]["health"]))
        .collect();
    seen.sort_unstable();
    assert_eq!(seen, [(2, 0), (3, 0)]);
    assert_eq!(all("all.circuits").await.len(), 2);
    let one = site.send("local.one.health.x000", "").await.ok();
    assert_eq!(counts(&one["health"]), (2, 0));
}

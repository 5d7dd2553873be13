//! Discovery as ADR-32 says, so that `nats micro ls`, `info` and `stats` work:
//!
//! - every sidecar answers in all nine forms, and only those that are meant,
//! - the documents have exactly the fields and types of the ADR,
//! - the figures count requests and errors per endpoint.

use std::time::Duration;

use async_nats::HeaderMap;
use beamline_registry::adapters::nats::verb::Verb;
use serde_json::{Map, Value, json};

use crate::harness::{DEADLINE, Daemon, Reply, eventually};
use crate::site::{Site, extensions};

const QUIET: Duration = Duration::from_millis(300);
/// Where an endpoint is found, and its queue group: a call is in one sidecar, so all are asked.
fn place(name: &str) -> (String, &'static str) {
    match name {
        "cancel" => ("beamline.registry.all.cancel".to_owned(), ""),
        _ => (format!("beamline.registry.{name}"), "beamline-registry"),
    }
}

#[tokio::test]
async fn every_sidecar_answers_in_every_form() {
    let (site, _daemons) = pair().await;
    for verb in ["PING", "INFO", "STATS"] {
        for (form, expected) in [
            ("", vec!["one", "two"]),
            (".beamline-registry", vec!["one", "two"]),
            (".beamline-registry.one", vec!["one"]),
            (".beamline-registry.two", vec!["two"]),
        ] {
            let (subject, wanted) = (format!("$SRV.{verb}{form}"), expected.len());
            let none = HeaderMap::new();
            let asked = site.client.request_several(&subject, none, "", wanted);
            let replies = asked.await;
            let mut found: Vec<String> = replies
                .iter()
                .map(|reply| text(&reply.ok(), "id"))
                .collect();
            found.sort_unstable();
            assert_eq!(found, expected, "$SRV.{verb}{form}");
        }
        for form in [
            ".other-service",
            ".beamline-registry.three",
            ".BEAMLINE-REGISTRY",
        ] {
            let reply = site.client.request(&format!("$SRV.{verb}{form}"), "").await;
            assert!(reply.is_no_responders(), "$SRV.{verb}{form}");
        }
    }
}

#[tokio::test]
async fn documents_have_the_fields_of_the_adr() {
    let (site, _daemons) = pair().await;
    let ping = ask(&site, "PING", "one").await;
    assert_eq!(ping, with_identity("ping", json!({})));

    let info = ask(&site, "INFO", "one").await;
    let description = text(&info, "description");
    assert!(!description.is_empty());
    let endpoints: Vec<Value> = Verb::ALL
        .map(Verb::as_str)
        .into_iter()
        .map(|name| {
            let (subject, group) = place(name);
            json!({
                "name": name, "subject": subject, "queue_group": group, "metadata": {},
            })
        })
        .collect();
    let expected = json!({"description": description, "endpoints": endpoints});
    let mut info_expected = with_identity("info", expected);

    let stats = ask(&site, "STATS", "one").await;
    let started = text(&stats, "started");
    assert!(humantime::parse_rfc3339(&started).is_ok(), "{started}");
    let with_microseconds = "2026-01-01T00:00:00.000000Z".len();
    assert_eq!(started.len(), with_microseconds, "nats-py reads no more");
    let endpoints: Vec<Value> = Verb::ALL
        .map(Verb::as_str)
        .into_iter()
        .map(|name| {
            let (subject, group) = place(name);
            json!({
                "name": name, "subject": subject, "queue_group": group, "num_requests": 0, "num_errors": 0,
                "last_error": "", "processing_time": 0, "average_processing_time": 0,
            })
        })
        .collect();
    let expected = json!({"started": started, "endpoints": endpoints});
    assert_eq!(stats, with_identity("stats", expected));

    let sidecar = site
        .client
        .request("beamline.registry.local.one.stats", "")
        .await;
    let settings = sidecar.ok()["settings"].clone();
    let mut metadata = settings["changed"].clone();
    metadata["settings_fingerprint"] = settings["fingerprint"].clone();
    assert_eq!(metadata["INSTANCE_ID"], "one");
    info_expected["metadata"] = metadata;
    assert_eq!(info, info_expected);
    assert!(is_semantic(env!("CARGO_PKG_VERSION")));
}

#[tokio::test]
async fn figures_count_requests_and_errors_per_endpoint() {
    let (site, _daemons) = pair().await;
    for (rest, payload, times) in [
        ("lookup", "plain", 5),
        ("lookup.plain", "", 1),
        ("lookup", "nobody", 2),
        ("lookup", "not an id", 1),
        ("get", "plain", 3),
        ("get", "nobody", 1),
        ("list", "", 2),
        ("reload", r#"{"unknown":1}"#, 1),
        ("ping", "", 1),
    ] {
        for _ in 0..times {
            let reply = site.send(&format!("local.one.{rest}"), payload).await;
            assert!(!reply.is_no_responders());
        }
    }
    let stats = ask(&site, "STATS", "one").await;
    for (name, requests, errors, last_error) in [
        ("lookup", 9, 3, "400:invalid request"),
        ("get", 4, 1, "404:extension not found"),
        ("list", 2, 0, ""),
        ("reload", 1, 1, "400:invalid request"),
        ("ping", 1, 0, ""),
        ("explain", 0, 0, ""),
    ] {
        let endpoints = stats["endpoints"].as_array().unwrap();
        let endpoint = endpoints
            .iter()
            .find(|endpoint| endpoint["name"] == name)
            .unwrap();
        let told = (
            &endpoint["num_requests"],
            &endpoint["num_errors"],
            &endpoint["last_error"],
        );
        assert_eq!(
            told,
            (&json!(requests), &json!(errors), &json!(last_error)),
            "{name}"
        );
        let time = |field: &str| endpoint[field].as_u64().unwrap();
        let (total, average) = (time("processing_time"), time("average_processing_time"));
        assert_eq!(total > 0, requests > 0, "{name}");
        assert_eq!(
            average,
            total.checked_div(requests).unwrap_or(0),
            "{name}, in nanoseconds"
        );
    }
    let other = ask(&site, "STATS", "two").await;
    assert_eq!(
        other["endpoints"][0]["num_requests"], 0,
        "each sidecar counts its own"
    );
}

#[tokio::test]
async fn a_sidecar_that_leaves_is_no_longer_found() {
    let (site, [one, _two]) = pair().await;
    one.sigterm();
    assert_eq!(one.wait_exit(DEADLINE).await, 0);
    let replies = site
        .client
        .request_all("$SRV.PING.beamline-registry", "", QUIET)
        .await;
    assert_eq!(replies.iter().map(id).collect::<Vec<_>>(), ["two"]);
    let restarted = site.start(site.named("one")).await;
    eventually("it is found again", DEADLINE, async || {
        let replies = site.client.request_all("$SRV.PING", "", QUIET).await;
        replies.len() == 2
    })
    .await;
    drop(restarted);
}

async fn pair() -> (Site, [Daemon; 2]) {
    let site = Site::with(&extensions()).await;
    let daemons = [
        site.start(site.named("one")).await,
        site.start(site.named("two")).await,
    ];
    (site, daemons)
}

async fn ask(site: &Site, verb: &str, id: &str) -> Value {
    let subject = format!("$SRV.{verb}.beamline-registry.{id}");
    site.client.request(&subject, "").await.ok()
}

/// The fields that every document begins with, of the sidecar `one`, and `more`.
fn with_identity(kind: &str, more: Value) -> Value {
    let mut document = json!({
        "type": format!("io.nats.micro.v1.{kind}_response"), "name": "beamline-registry",
        "id": "one", "version": env!("CARGO_PKG_VERSION"), "metadata": {},
    });
    let fields: &mut Map<String, Value> = document.as_object_mut().unwrap();
    fields.extend(more.as_object().unwrap().clone());
    document
}

/// Three numbers: all that the ADR's pattern asks of ours.
fn is_semantic(version: &str) -> bool {
    let parts: Vec<&str> = version.split('.').collect();
    parts.len() == 3 && parts.iter().all(|part| part.parse::<u32>().is_ok())
}

fn id(reply: &Reply) -> String {
    text(&reply.ok(), "id")
}

fn text(object: &Value, field: &str) -> String {
    object[field]
        .as_str()
        .unwrap_or_else(|| panic!("no text {field}: {object}"))
        .to_owned()
}

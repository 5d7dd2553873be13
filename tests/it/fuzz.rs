//! Whatever is sent, to whichever subject: one reply, never a crash, and afterwards all is well.
//!
//! The generator is seeded, so that a failure can be repeated.

use beamline_registry::adapters::nats::verb::Verb;
use futures_util::StreamExt;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use serde_json::{Map, Value, json};

use crate::harness::Daemon;
use crate::site::{Site, extensions, subject};

const REQUESTS: usize = 4000;
const IN_FLIGHT: usize = 64;
/// Names that mean something somewhere, and some that do not.
const FIELDS: &[&str] = &[
    "id",
    "ids",
    "version",
    "context",
    "type",
    "enabled",
    "limit",
    "cursor",
    "actor",
    "wait_ms",
    "outcome",
    "latency_ms",
    "state",
    "tenant_id",
    "environment",
    "user_id",
    "payload",
    "metadata",
    "config",
    "fallback_config",
    "timeout_ms",
    "deadline_ms",
    "dry_run",
    "trace_id",
    "",
    "\u{0}",
    "x",
];
/// Texts that mean something somewhere, here or in another language.
const TEXTS: &[&str] = &[
    "plain",
    "routed",
    "off",
    "faulty",
    "acme_only",
    "nobody",
    "v1",
    "v3",
    "pre",
    "validator",
    "all",
    "pre:plain",
    "plain:v1",
    "success",
    "failure",
    "open",
    "acme",
    "staging",
    "",
    " ",
    "\u{0}",
    "a\u{0}b",
    "\r\n",
    "..",
    "*",
    ">",
    "$SYS",
    "'; DROP TABLE extensions; --",
    "\" OR 1=1",
    "%s%n",
    "${jndi:x}",
    "<script>",
    "\u{202e}",
    "\u{1f600}",
    "e\u{301}",
    "null",
    "NaN",
    "-0",
    "1e999",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_bytes_get_one_reply() {
    let (site, daemon) = pod().await;
    let mut random = StdRng::seed_from_u64(1);
    let requests: Vec<_> = (0..REQUESTS)
        .map(|_| {
            let length = random.random_range(0..200);
            let bytes: Vec<u8> = (0..length).map(|_| random.random()).collect();
            (any_subject(&mut random), bytes)
        })
        .collect();
    send_all(&site, requests, IN_FLIGHT).await;
    assert_well(&site, &daemon).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_json_gets_one_reply() {
    let (site, daemon) = pod().await;
    let mut random = StdRng::seed_from_u64(2);
    let requests: Vec<_> = (0..REQUESTS)
        .map(|_| {
            (
                any_subject(&mut random),
                any_object(&mut random).to_string().into_bytes(),
            )
        })
        .collect();
    send_all(&site, requests, IN_FLIGHT).await;
    assert_well(&site, &daemon).await;
}

/// Valid requests with one byte changed, added or taken away.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn almost_valid_requests_get_one_reply() {
    let (site, daemon) = pod().await;
    let mut random = StdRng::seed_from_u64(3);
    let valid = [
        "plain",
        r#"{"id":"routed","version":"v2","context":{"environment":"staging"}}"#,
        r#"{"ids":["plain","routed"],"context":{"tenant_id":"acme","n":1.5e3,"b":true}}"#,
        r#"{"type":"pre","enabled":"all","limit":10,"cursor":"pre:plain"}"#,
        r#"{"id":"plain","min_revision":1,"wait_ms":1}"#,
        r#"{"id":"plain","payload":{"a":[1]},"metadata":{},"config":{"b":2},"timeout_ms":1}"#,
        r#"{"id":"plain","outcome":"success","latency_ms":1.5}"#,
        r#"{"state":"closed","limit":10,"cursor":"pre:plain"}"#,
    ];
    let requests: Vec<_> = (0..REQUESTS)
        .map(|_| {
            let mut bytes = valid.choose(&mut random).unwrap().as_bytes().to_vec();
            let at = random.random_range(0..bytes.len());
            match random.random_range(0..3) {
                0 => bytes[at] = random.random(),
                1 => bytes.insert(at, random.random()),
                _ => drop(bytes.remove(at)),
            }
            (any_subject(&mut random), bytes)
        })
        .collect();
    send_all(&site, requests, IN_FLIGHT).await;
    assert_well(&site, &daemon).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_and_deep_requests_get_one_reply() {
    const LARGE: usize = 1_000_000;
    let (site, daemon) = pod().await;
    let long = "x".repeat(LARGE);
    let quoted = |text: &str| json!(text).to_string();
    let mut payloads: Vec<Vec<u8>> = vec![
        long.clone().into_bytes(),
        vec![0; LARGE],
        vec![0xff; LARGE],
        b" ".repeat(LARGE),
        b"[".repeat(LARGE),
        b"{\"context\":".repeat(LARGE / 11),
        format!(
            "{{\"context\":{}1{}}}",
            "[".repeat(100_000),
            "]".repeat(100_000)
        )
        .into_bytes(),
        format!("{{\"ids\":[{}]}}", vec!["\"a\""; 200_000].join(",")).into_bytes(),
        format!(
            "{{\"ids\":[{}]}}",
            vec![quoted(&"\u{1}".repeat(1500)); 100].join(",")
        )
        .into_bytes(),
        format!("{{\"id\":\"plain\",\"limit\":{}}}", "9".repeat(LARGE)).into_bytes(),
        b"{\"id\":\"plain\",\"context\":{\"tenant_id\":\"\xff\xfe\"}}".to_vec(),
        b"{\"id\":\"pl\x00ain\"}".to_vec(),
        b"\xef\xbb\xbf{\"id\":\"plain\"}".to_vec(),
    ];
    let fields = FIELDS.iter().chain(&["min_revision"]);
    payloads.extend(fields.map(|name| json!({ *name: long }).to_string().into_bytes()));
    payloads.push(json!({ long.as_str(): 1 }).to_string().into_bytes());
    payloads.push(
        json!({"id": "routed", "context": {long.as_str(): long[..1000]}})
            .to_string()
            .into(),
    );
    let verbs = Verb::ALL.into_iter();
    for verb in verbs.filter(|verb| verb.answers_any()) {
        let requests = payloads
            .iter()
            .map(|payload| (subject(verb.as_str()), payload.clone()));
        // With 64 MiB on the way to one client, a nats-server takes it for too slow.
        send_all(&site, requests.collect(), IN_FLIGHT / 4).await;
    }
    assert_well(&site, &daemon).await;
}

/// One sidecar, so that a subject that all answer has one reply too.
async fn pod() -> (Site, Daemon) {
    let site = Site::with(&extensions()).await;
    let daemon = site.start(site.named("pod-1")).await;
    (site, daemon)
}

/// Sends every request, so many at a time; each must be answered, by the daemon.
async fn send_all(site: &Site, requests: Vec<(String, Vec<u8>)>, at_a_time: usize) {
    futures_util::stream::iter(requests)
        .for_each_concurrent(at_a_time, async |(subject, payload)| {
            let shown = String::from_utf8_lossy(&payload[..payload.len().min(200)]).into_owned();
            let reply = site.client.request(&subject, payload).await;
            assert!(!reply.is_no_responders(), "{subject}: {shown}");
            assert!(reply.json().is_object(), "{subject}: {shown}");
            if let Some(number) = reply.header("Nats-Service-Error-Code") {
                assert_ne!(number, "500", "{subject}: {shown}: {reply:?}");
                reply.error();
            }
        })
        .await;
    site.client.assert_one_reply_each().await;
}

/// The daemon lives, has not panicked anywhere, and answers as at its start.
async fn assert_well(site: &Site, daemon: &Daemon) {
    assert_eq!(daemon.exit_code(), None);
    let panics: Vec<_> = daemon
        .log()
        .into_iter()
        .filter(|line| line.contains("panicked"))
        .collect();
    assert!(panics.is_empty(), "{panics:#?}");
    assert_eq!(site.send("lookup", "plain").await.ok()["id"], "plain");
    assert_eq!(site.send("list", "").await.ok()["total"], 3);
    for (verb, payload) in [
        ("get", "off"),
        ("explain", "routed"),
        ("lookup_by_type", "pre"),
    ] {
        site.send(verb, payload).await.ok();
    }
    for verb in ["stats", "reload", "ping", "all.ping", "local.pod-1.ping"] {
        site.send(verb, "").await.ok();
    }
    assert_eq!(daemon.get("/readyz").await.status, 200);
}

/// A verb in one of its forms.
fn any_subject(random: &mut StdRng) -> String {
    // Of those that are in one sidecar only that one answers when all are asked.
    let to_all = |verb: Verb| verb.answers_all() && verb.answers_any();
    let (form, served): (String, fn(Verb) -> bool) = match random.random_range(0..4) {
        0 => ("all.".to_owned(), to_all),
        1 => ("local.pod-1.".to_owned(), |_| true),
        2 => (format!("as.{}.", any_token(random)), Verb::answers_any),
        _ => (String::new(), Verb::answers_any),
    };
    let with_id = form != "all." && random.random::<bool>();
    let verbs = Verb::ALL.into_iter();
    let verbs = verbs.filter(|verb| served(*verb) && (verb.takes_id() || !with_id));
    let verb = verbs.collect::<Vec<_>>().choose(random).unwrap().as_str();
    match with_id {
        true => subject(&format!("{form}{verb}.{}", any_token(random))),
        false => subject(&format!("{form}{verb}")),
    }
}

/// What the protocol lets through as one token: no white space, no dots, no wildcards.
fn any_token(random: &mut StdRng) -> String {
    if random.random() {
        return ["plain", "routed", "alice"]
            .choose(random)
            .unwrap()
            .to_string();
    }
    let length = random.random_range(1..20);
    (0..length)
        .map(|_| match random.random_range(0..4) {
            0 => char::from(random.random_range(b'a'..=b'z')),
            1 => *['$', '"', '\'', '\\', '/', '{', '%', ';', '_', '-', '@']
                .choose(random)
                .unwrap(),
            2 => random.random_range('\u{a1}'..='\u{2ff}'),
            _ => random.random_range('\u{1f300}'..='\u{1f5ff}'),
        })
        .collect()
}

fn any_object(random: &mut StdRng) -> Value {
    let fields = random.random_range(0..5);
    let mut object: Map<String, Value> = (0..fields)
        .map(|_| {
            (
                FIELDS.choose(random).unwrap().to_string(),
                any_value(random, 3),
            )
        })
        .collect();
    if random.random_ratio(1, 10) {
        // Sometimes something to wait for, though never long.
        object.insert("min_revision".to_owned(), any_number(random));
        object.insert("wait_ms".to_owned(), json!(random.random_range(0..20)));
    }
    Value::Object(object)
}

fn any_value(random: &mut StdRng, depth: usize) -> Value {
    match random.random_range(0..if depth == 0 { 5 } else { 7 }) {
        0 => Value::Null,
        1 => json!(random.random::<bool>()),
        2 => any_number(random),
        3 | 4 => json!(TEXTS.choose(random).unwrap()),
        5 => {
            let length = random.random_range(0..5);
            (0..length).map(|_| any_value(random, depth - 1)).collect()
        }
        _ => {
            let length = random.random_range(0..5);
            (0..length)
                .map(|_| {
                    (
                        FIELDS.choose(random).unwrap().to_string(),
                        any_value(random, depth - 1),
                    )
                })
                .collect::<Map<_, _>>()
                .into()
        }
    }
}

fn any_number(random: &mut StdRng) -> Value {
    match random.random_range(0..4) {
        0 => json!(random.random_range(-2..1100)),
        1 => json!(random.random::<i64>()),
        2 => json!(u64::MAX),
        _ => json!(random.random::<f64>() * 1e12),
    }
}

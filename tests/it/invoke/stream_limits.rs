use std::time::{Duration, Instant};

use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::streams::Stream;
use super::{at, one, record};
use crate::harness::{Answer, Behaviour, Reply, settled};
use crate::site::Site;

/// So long that a busy host does not explain silence: a third of it would have to be slept through.
const FAIR_MS: u64 = 2000;

/// The limits of streams, in metadata.
fn limits(limits: Value) -> Value {
    json!({"metadata": {"stream": limits}})
}

/// An `x` that goes on for ever, with a pause after each chunk.
async fn endless(site: &Site, pause: Duration) -> JoinHandle<()> {
    let client = async_nats::connect(site.nats.url()).await.unwrap();
    let mut requests = client.subscribe(at("x")).await.unwrap();
    settled(&client).await;
    tokio::spawn(async move {
        let request = requests.next().await.unwrap();
        let mut headers = async_nats::HeaderMap::new();
        headers.insert("Beamline-Stream", "chunk");
        loop {
            let to = request.reply.clone().unwrap();
            let sent = client.publish_with_headers(to, headers.clone(), "c".into());
            sent.await.unwrap();
            tokio::time::sleep(pause).await;
        }
    })
}

/// The first message that is no chunk, and when it came.
async fn last(site: &Site, fields: Value) -> (Reply, Duration) {
    let begun = Instant::now();
    let mut stream = Stream::of(site, fields).await;
    loop {
        let reply = stream.next().await;
        if reply.header("Beamline-Stream") != Some("chunk") {
            return (reply, begun.elapsed());
        }
    }
}

/// Not sooner, and sooner than by any other limit of [`record`].
#[track_caller]
fn assert_about(took: Duration, ms: u64) {
    let about = Duration::from_millis(ms)..Duration::from_millis(ms + 5000);
    assert!(about.contains(&took), "{took:?}, not about {ms} ms");
}

#[tokio::test]
async fn a_first_chunk_may_take_less_or_more_than_the_timeout() {
    let fields = limits(json!({"first_chunk_ms": FAIR_MS}));
    let (site, _daemon, _x) = one(fields, Behaviour::silent()).await;
    let (error, took) = last(&site, json!({})).await;
    assert_eq!(error.error(), (504, "extension_timeout".to_owned()));
    assert_about(took, FAIR_MS);
    assert_eq!(site.circuit("x").await, "open", "a failure");

    let mut fields = limits(json!({"first_chunk_ms": 5000}));
    fields["timeout_ms"] = json!(100);
    let slow = Behaviour::Slow(Duration::from_millis(800), Answer::end());
    let (site, _daemon, _x) = one(fields, slow).await;
    let (end, _) = last(&site, json!({})).await;
    assert_eq!(end.header("Beamline-Stream"), Some("end"));
    // Who takes no stream waits as ever.
    let reply = site.call("x", json!({})).await;
    assert_eq!(reply.error(), (504, "extension_timeout".to_owned()));
}

#[tokio::test]
async fn a_gap_that_is_too_long_ends_a_stream() {
    let fields = limits(json!({"gap_ms": FAIR_MS}));
    let (site, _daemon, _x) = one(fields, Behaviour::endless(3)).await;
    let (error, took) = last(&site, json!({})).await;
    assert_eq!(error.error(), (504, "extension_timeout".to_owned()));
    assert_about(took, FAIR_MS);
    assert_eq!(site.circuit("x").await, "open", "a failure");
}

#[tokio::test]
async fn a_stream_ends_with_its_time_however_it_goes_on() {
    for pause in [100, 1] {
        let fields = limits(json!({"total_ms": FAIR_MS}));
        let (site, _daemon) = Site::serving(&json!([record("x", fields)])).await;
        let x = endless(&site, Duration::from_millis(pause)).await;
        let (error, took) = last(&site, json!({})).await;
        assert_eq!(error.error(), (504, "extension_timeout".to_owned()));
        assert_about(took, FAIR_MS);
        assert_eq!(site.circuit("x").await, "open", "a failure");
        x.abort();
    }
}

#[tokio::test]
async fn the_callers_deadline_ends_a_stream_that_goes_on_without_blame() {
    let (site, _daemon) = Site::serving(&json!([record("x", json!({}))])).await;
    let x = endless(&site, Duration::from_millis(1)).await;
    let (error, took) = last(&site, json!({"deadline_ms": 500})).await;
    assert_eq!(error.error(), (504, "deadline_exceeded".to_owned()));
    assert_about(took, 500);
    assert_eq!(site.circuit("x").await, "closed");
    x.abort();
}

#[tokio::test]
async fn limits_that_cannot_be_read_are_a_warning_and_the_default_counts() {
    let fields = limits(json!({"gap_ms": "1s", "total_ms": 3_600_001}));
    let (site, _daemon, _x) = one(fields, Behaviour::stream(2, Answer::end())).await;
    let (end, _) = last(&site, json!({})).await;
    assert_eq!(end.header("Beamline-Stream"), Some("end"));
    let warnings = site.send("explain", "x").await.ok()["warnings"].clone();
    let rule = "must be a whole number from 1 to 3600000; the default applies";
    let expected = ["gap_ms", "total_ms"].map(|key| format!("metadata: `stream.{key}` {rule}"));
    assert_eq!(warnings, json!(expected));
}

//! CASES.md B3: a stream over the subjects of extensions answers calls, too.

use std::time::Duration;

use serde_json::{Value, json};

use super::record;
use super::streams::Stream;
use crate::harness::DEADLINE;
use crate::harness::daemon::message;
use crate::harness::{Answer, Behaviour, Client, Daemon, Extension, NatsServer, eventually};
use crate::rig::{Rig, insert};
use crate::site::Site;

/// How much later than the acknowledgement the extension answers.
const LATER: Duration = Duration::from_millis(50);

/// A stream over all extensions; `limits` beside that.
async fn store_all(client: &Client, limits: Value) {
    let mut stream =
        json!({"name": "ALL_CALLS", "subjects": ["beamline.ext.>"], "storage": "memory"});
    stream
        .as_object_mut()
        .unwrap()
        .extend(limits.as_object().unwrap().clone());
    let created = client
        .request_json("$JS.API.STREAM.CREATE.ALL_CALLS", &stream)
        .await
        .json();
    assert_eq!(created["error"], Value::Null, "{created}");
}

async fn stored(limits: Value, fields: Value) -> (Site, Daemon) {
    let nats = NatsServer::builder().jetstream().start().await;
    let site = Site::on(nats, &json!([record("x", fields)])).await;
    store_all(&site.client, limits).await;
    let daemon = site.start(site.daemon()).await;
    (site, daemon)
}

fn later(body: &'static str) -> Behaviour {
    Behaviour::Slow(LATER, Answer::new(body))
}

/// Whether it is a line of the log about the stream that answers.
fn is_about(entry: &Value) -> bool {
    message(entry).is_some_and(|message| message.contains("JetStream"))
        && entry["stream"] == "ALL_CALLS"
}

/// How many such lines there are, once there is one.
async fn told(daemon: &Daemon) -> usize {
    let about = |entry: &Value| is_about(entry).then_some(());
    daemon.wait_log("a line about the stream", about).await;
    let log = daemon.log();
    let entries = log
        .iter()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    entries.filter(is_about).count()
}

#[tokio::test]
async fn that_a_request_is_stored_is_nobodys_answer() {
    let (site, daemon) = stored(json!({}), json!({"timeout_ms": 4000})).await;
    let x = site.play("x", later(r#"{"payload":1}"#)).await;
    for _ in 0..3 {
        let reply = site.call("x", json!({})).await;
        assert_eq!(reply.ok(), json!({"payload": 1}));
    }
    x.leave().await;
    let reply = site.call("x", json!({})).await;
    assert_eq!(reply.error(), (504, "extension_timeout".to_owned()));
    assert_eq!(site.circuit("x").await, "open", "nobody is there");
    site.client.assert_one_reply_each().await;
    assert_eq!(told(&daemon).await, 1, "once per stream");
}

#[tokio::test]
async fn that_a_stream_is_full_is_no_failure_of_the_extension() {
    let full = json!({"max_msgs": 1, "discard": "new"});
    let (site, daemon) = stored(full, json!({})).await;
    let _x = site.play("x", later("{}")).await;
    for _ in 0..3 {
        site.call("x", json!({})).await.ok();
    }
    assert_eq!(site.circuit("x").await, "closed");
    assert_eq!(told(&daemon).await, 1);
}

#[tokio::test]
async fn an_acknowledgement_is_no_piece_of_a_stream() {
    let (site, _daemon) = stored(json!({}), json!({})).await;
    let _x = site.play("x", Behaviour::stream(3, Answer::end())).await;
    let mut stream = Stream::of(&site, json!({})).await;
    stream.chunks(3).await;
    assert_eq!(stream.next().await.header("Beamline-Stream"), Some("end"));
    assert_eq!(site.circuit("x").await, "closed");
}

#[tokio::test]
async fn what_looks_like_one_but_says_more_is_an_answer() {
    let (site, _daemon) = Site::serving(&json!([record("x", json!({}))])).await;
    for body in [
        r#"{"stream":"S","seq":1,"payload":{}}"#,
        r#"{"stream":"S"}"#,
        r#"{"stream":"S","seq":"1"}"#,
    ] {
        let x = site.play("x", Behaviour::reply(body)).await;
        assert_eq!(site.call("x", json!({})).await.payload, body);
        x.leave().await;
    }
    let headed = Answer::new(r#"{"stream":"S","seq":1}"#).header("Own", "1");
    let _x = site.play("x", headed.into()).await;
    site.call("x", json!({})).await.ok();
}

#[tokio::test]
async fn a_stream_answers_no_probe() {
    let mut rig = Rig::start().await;
    rig.nats = NatsServer::builder().jetstream().start().await;
    rig.client = Client::connect(&rig.nats.url()).await;
    store_all(&rig.client, json!({})).await;
    rig.sql.batch_execute(&insert("x")).await.unwrap();
    let out = "UPDATE extensions SET timeout_ms = 300, auto_disabled = true";
    rig.sql.batch_execute(out).await.unwrap();
    let x = Extension::at(&rig.nats.url(), "beamline.ext.x", Behaviour::silent()).await;
    let builder = rig.daemon().setting("AUTO_ENABLE_ON_CIRCUIT_CLOSE", true);
    let daemon = builder.setting("CIRCUIT_BREAKER_TIMEOUT_SECONDS", "300ms");
    let daemon = daemon.spawn().await;
    daemon.wait_ready().await;
    x.wait_count(3).await;
    assert_eq!(rig.lookup("x").await.error().0, 404, "nobody has answered");
    x.behave(later("{}"));
    eventually("it is back", DEADLINE, async || {
        rig.lookup("x")
            .await
            .header("Nats-Service-Error-Code")
            .is_none()
    })
    .await;
}

use std::time::{Duration, Instant};

use async_nats::{HeaderMap, Subscriber};
use futures_util::StreamExt;
use serde_json::{Value, json};

use super::streams::Stream;
use super::{at, one, record};
use crate::harness::raw::{MALFORMED, publish_raw};
use crate::harness::{
    Answer, Behaviour, Client, DEADLINE, Daemon, Extension, NatsServer, Reply, eventually,
};
use crate::rig::metric;
use crate::site::{Site, subject};

/// Beside the rest of the suite nobody is held to a second; a stream that is not cancelled goes on
/// for minutes.
const UNHURRIED: Duration = Duration::from_secs(8);

/// What extensions hear.
struct Heard(Subscriber);

impl Heard {
    async fn on(url: &str) -> Self {
        let client = async_nats::connect(url).await.unwrap();
        let all = client.subscribe(subject("cancelled.*")).await.unwrap();
        crate::harness::settled(&client).await;
        Self(all)
    }

    /// The next of it: whom it is for, which call, and which attempt.
    async fn next(&mut self) -> (String, String, Option<String>) {
        let message = tokio::time::timeout(DEADLINE, self.0.next()).await;
        let message = message.expect("a cancel").unwrap();
        assert!(message.payload.is_empty() && message.reply.is_none());
        let id = message.subject.rsplit('.').next().unwrap().to_owned();
        let reply = Reply::from(message);
        let call = reply.header("Beamline-Call-Id").unwrap().to_owned();
        let attempt = reply.header("Beamline-Attempt").map(str::to_owned);
        (id, call, attempt)
    }

    async fn nothing(&mut self) {
        let quiet = tokio::time::timeout(Duration::from_millis(200), self.0.next()).await;
        assert!(quiet.is_err(), "{quiet:?}");
    }
}

fn with_id(id: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("Beamline-Call-Id", id);
    headers
}

/// A call of `x` that somebody may cancel.
async fn call(site: &Site, id: &str, fields: &Value) -> Reply {
    let mut body = json!({"id": "x", "payload": {}});
    let fields = fields.as_object().unwrap().clone();
    body.as_object_mut().unwrap().extend(fields);
    let body = body.to_string();
    let invoke = subject("invoke");
    site.client
        .request_with_headers(&invoke, with_id(id), body)
        .await
}

/// What `metric` counts, nothing being 0.
async fn counted(daemon: &Daemon, series: &str) -> f64 {
    metric(daemon, series).await.unwrap_or_default()
}

#[tokio::test]
async fn a_call_that_is_cancelled_ends_at_once_and_its_extension_hears_of_it() {
    let limits = json!({"retry": 3, "metadata": {"max_in_flight": 1}});
    let (site, daemon, x) = one(limits, Behaviour::silent()).await;
    let mut heard = Heard::on(&site.nats.url()).await;
    let begun = Instant::now();
    let cancelling = async {
        x.wait_count(1).await;
        assert_eq!(x.last().header("Beamline-Call-Id"), Some("c0ffee"));
        let reply = site.ask("all.cancel", &json!({"call": "c0ffee"})).await;
        assert_eq!(reply.ok(), json!({"cancelled": 1}));
    };
    let fields = json!({});
    let (reply, ()) = tokio::join!(call(&site, "c0ffee", &fields), cancelling);
    assert_eq!(reply.error(), (499, "cancelled".to_owned()));
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert_eq!(heard.next().await, ("x".into(), "c0ffee".into(), None));

    // Its place is free, nobody is blamed, and nothing is tried again.
    x.behave(Behaviour::Echo);
    site.call("x", json!({})).await.ok();
    assert_eq!((x.count(), site.circuit("x").await.as_str()), (2, "closed"));
    let health = site.send("health", "x").await.ok();
    assert_eq!(health["health"]["failure_count"], 0);
    let status = r#"extension_invocations_total{extension_id="x",version="v1",status="cancelled"}"#;
    assert_eq!(counted(&daemon, status).await, 1.0);
    let told = r#"extension_cancelled_total{extension_id="x"}"#;
    assert_eq!(counted(&daemon, told).await, 1.0);
    heard.nothing().await;
    site.client.assert_one_reply_each().await;
}

#[tokio::test]
async fn every_call_of_an_id_ends_and_none_of_another() {
    let (site, _daemon, x) = one(json!({}), Behaviour::silent()).await;
    let cancelling = async {
        x.wait_count(3).await;
        site.send("all.cancel", "a").await.ok()
    };
    let (patient, hurried) = (json!({}), json!({"deadline_ms": 3000}));
    let (one, two, other, cancelled) = tokio::join!(
        call(&site, "a", &patient),
        call(&site, "a", &patient),
        call(&site, "b", &hurried),
        cancelling
    );
    assert_eq!(cancelled, json!({"cancelled": 2}), "the bare id will do");
    assert_eq!(
        (one.error().0, two.error().0, other.error().0),
        (499, 499, 504)
    );
}

#[tokio::test]
async fn who_does_not_have_a_call_says_so_by_name_and_is_silent_among_all() {
    let site = Site::with(&json!([record("x", json!({}))])).await;
    let _one = site.start(site.named("one")).await;
    let _two = site.start(site.named("two")).await;
    let x = site.play("x", Behaviour::silent()).await;
    for name in ["one", "two"] {
        let reply = site
            .ask(&format!("local.{name}.cancel"), &json!({"call": "c"}))
            .await;
        assert_eq!(reply.ok(), json!({"cancelled": 0}));
        // What can be no call's is no unknown call.
        let long = "c".repeat(129);
        for none in [
            json!({}),
            json!({"call": ""}),
            json!({"call": "c "}),
            json!({"call": "c.d"}),
            json!({"call": long}),
        ] {
            let reply = site.ask(&format!("local.{name}.cancel"), &none).await;
            assert_eq!(reply.error(), (400, "invalid_request".to_owned()), "{none}");
            assert_eq!(reply.details()["field"], "call", "{none}");
        }
    }
    let quiet = Duration::from_millis(300);
    let nobody = site
        .client
        .try_request(&subject("all.cancel"), "c", quiet)
        .await;
    assert!(nobody.is_none(), "{nobody:?}");
    let cancelling = async {
        x.wait_count(1).await;
        site.client
            .request_all(&subject("all.cancel"), "c", quiet)
            .await
    };
    let fields = json!({});
    let (reply, answers) = tokio::join!(call(&site, "c", &fields), cancelling);
    assert_eq!(reply.error().0, 499);
    assert_eq!(answers.len(), 1, "of the one that has it");
    for nowhere in ["cancel", "as.alice.cancel"] {
        assert!(
            site.send(nowhere, "c").await.is_no_responders(),
            "{nowhere}"
        );
    }
}

#[tokio::test]
async fn an_error_of_ours_names_them_too_where_it_is_the_first_message() {
    let site = Site::with(&json!([record("x", json!({}))])).await;
    let _daemon = site.start(site.named("one")).await;
    let x = site.play("x", Behaviour::silent()).await;
    let reply = call(&site, "mine", &json!({"deadline_ms": 100})).await;
    assert_eq!(reply.error(), (504, "deadline_exceeded".to_owned()));
    assert_eq!(reply.header("Beamline-Call-Id"), Some("mine"));
    assert_eq!(reply.header("Beamline-Served-By"), Some("one"));

    x.behave(Behaviour::endless(1));
    let mut stream = Stream::of(&site, json!({"deadline_ms": 3000})).await;
    let (chunk, error) = (stream.next().await, stream.next().await);
    assert_eq!(chunk.header("Beamline-Stream"), Some("chunk"));
    assert_eq!(chunk.header("Beamline-Served-By"), Some("one"));
    assert_eq!(error.error().0, 504);
    assert_eq!(error.header("Beamline-Served-By"), None);
}

#[tokio::test]
async fn a_call_that_is_refused_names_them_too() {
    let small = json!({"metadata": {"max_payload_size": 10, "max_in_flight": 1}});
    let site = Site::with(&json!([record("x", small)])).await;
    let _daemon = site.start(site.named("one")).await;
    let x = site.play("x", Behaviour::Held(Answer::new("{}"))).await;
    let refusals = async {
        x.wait_count(1).await;
        for (id, mut fields, number) in [
            ("nobody", json!({}), 404),
            ("x", json!({"payload": "more than ten bytes"}), 413),
            ("x", json!({}), 503),
            ("x", json!({"payload": null}), 400),
        ] {
            fields["id"] = json!(id);
            let reply = call(&site, "mine", &fields).await;
            assert_eq!(reply.error().0, number);
            assert_eq!(reply.header("Beamline-Call-Id"), Some("mine"), "{number}");
            assert_eq!(reply.header("Beamline-Served-By"), Some("one"), "{number}");
        }
        let reply = site.call("nobody", json!({})).await;
        assert_eq!(reply.header("Beamline-Call-Id"), None);
        x.behave(Behaviour::Echo);
    };
    let fields = json!({});
    let (held, ()) = tokio::join!(call(&site, "held", &fields), refusals);
    held.ok();
}

#[tokio::test]
async fn an_answer_names_its_call_and_who_has_it_and_calls_without_an_id_are_as_ever() {
    let site = Site::with(&json!([record("x", json!({}))])).await;
    let _daemon = site.start(site.named("one")).await;
    let x = site.play("x", Behaviour::Echo).await;
    let mut heard = Heard::on(&site.nats.url()).await;
    let reply = call(&site, "mine", &json!({})).await;
    reply.ok();
    assert_eq!(reply.header("Beamline-Call-Id"), Some("mine"));
    assert_eq!(reply.header("Beamline-Served-By"), Some("one"));
    for answer in [Answer::new("1"), Answer::error(500)] {
        x.behave(answer.into());
        let reply = site.call("x", json!({})).await;
        assert_eq!(reply.header("Beamline-Call-Id"), None);
        assert_eq!(reply.header("Beamline-Served-By"), None);
        assert_eq!(x.last().header("Beamline-Call-Id"), None);
    }
    x.behave(Behaviour::silent());
    site.call("x", json!({"deadline_ms": 100})).await;
    heard.nothing().await;
    for bad in ["", "a.b", "a b", &"x".repeat(129)] {
        let reply = call(&site, bad, &json!({})).await;
        assert_eq!(reply.error(), (400, "invalid_request".to_owned()), "{bad}");
        assert_eq!(reply.details()["field"], "Beamline-Call-Id");
    }
}

#[tokio::test]
async fn an_attempt_that_ran_out_of_time_is_told_with_its_number() {
    let fields = json!({
        "timeout_ms": 1500, "retry": 1, "fallback": ["y"], "circuit_breaker": {"enabled": false},
    });
    let fixtures = json!([record("x", fields), record("y", json!({}))]);
    let (site, _daemon) = Site::serving(&fixtures).await;
    let _x = site.play("x", Behaviour::silent()).await;
    let y = site.play("y", Behaviour::silent()).await;
    let mut heard = Heard::on(&site.nats.url()).await;
    let cancelling = async {
        y.wait_count(1).await;
        site.send("all.cancel", "c").await.ok()
    };
    let fields = json!({});
    let (reply, _) = tokio::join!(call(&site, "c", &fields), cancelling);
    assert_eq!(reply.error().0, 499);
    for (id, attempt) in [("x", Some("1")), ("x", Some("2")), ("y", None)] {
        let attempt = attempt.map(str::to_owned);
        assert_eq!(heard.next().await, (id.into(), "c".into(), attempt));
    }
    heard.nothing().await;
}

/// Streams a chunk at every step, for ever.
struct Ticker(tokio::task::JoinHandle<()>);

impl Ticker {
    async fn at(url: &str, step: Duration) -> Self {
        let client = async_nats::connect(url).await.unwrap();
        let mut requests = client.subscribe("beamline.ext.x.v1").await.unwrap();
        crate::harness::settled(&client).await;
        let mut headers = HeaderMap::new();
        headers.insert("Beamline-Stream", "chunk");
        Self(tokio::spawn(async move {
            let mut callers = Vec::new();
            let mut ticks = tokio::time::interval(step);
            loop {
                tokio::select! {
                    Some(request) = requests.next() => callers.extend(request.reply),
                    _ = ticks.tick() => for caller in &callers {
                        let sent = client.publish_with_headers(caller.clone(), headers.clone(), "1".into());
                        sent.await.unwrap();
                    },
                }
            }
        }))
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[tokio::test]
async fn a_stream_is_cancelled_by_the_id_in_its_first_message() {
    let (site, daemon, _x) = one(json!({}), Behaviour::endless(3)).await;
    let mut heard = Heard::on(&site.nats.url()).await;
    let mut stream = Stream::of(&site, json!({})).await;
    let first = stream.next().await;
    let call = first.header("Beamline-Call-Id").unwrap().to_owned();
    assert_eq!(call.len(), 16, "{call}");
    let sidecar = first.header("Beamline-Served-By").unwrap();
    for number in [2, 3] {
        let chunk = stream.next().await;
        assert_eq!(
            chunk.header("Beamline-Seq"),
            Some(number.to_string().as_str())
        );
        assert_eq!(chunk.header("Beamline-Call-Id"), None);
    }
    let cancel = format!("local.{sidecar}.cancel");
    let reply = site.ask(&cancel, &json!({"call": call})).await;
    assert_eq!(reply.ok(), json!({"cancelled": 1}));
    assert_eq!(stream.next().await.error(), (499, "cancelled".to_owned()));
    assert_eq!(heard.next().await, ("x".into(), call, None));
    assert_eq!(site.circuit("x").await, "closed");
    let in_flight = "extension_invocations_in_flight";
    assert_eq!(counted(&daemon, in_flight).await, 0.0);
}

#[tokio::test]
async fn a_stream_that_takes_too_long_is_told_as_an_attempt() {
    let (site, _daemon, _x) = one(
        json!({"metadata": {"stream": {"gap_ms": 200}}}),
        Behaviour::endless(1),
    )
    .await;
    let mut heard = Heard::on(&site.nats.url()).await;
    let mut stream = Stream::of(&site, json!({})).await;
    let call = stream
        .next()
        .await
        .header("Beamline-Call-Id")
        .unwrap()
        .to_owned();
    assert_eq!(stream.next().await.error().0, 504);
    assert_eq!(heard.next().await, ("x".into(), call, Some("1".into())));
    heard.nothing().await;
}

#[tokio::test]
async fn a_stream_that_ends_is_no_news() {
    for last in [Answer::end(), Answer::error(500), Answer::error(422)] {
        let (site, _daemon, _x) = one(json!({}), Behaviour::stream(2, last)).await;
        let mut heard = Heard::on(&site.nats.url()).await;
        let mut stream = Stream::of(&site, json!({})).await;
        stream.chunks(2).await;
        stream.next().await;
        heard.nothing().await;
    }
}

/// Callers of `x`, each on a connection of its own, that have their first chunk.
async fn callers(url: &str, count: usize) -> Vec<(async_nats::Client, Subscriber)> {
    let mut callers = Vec::new();
    for _ in 0..count {
        let client = async_nats::connect(url).await.unwrap();
        let inbox = client.new_inbox();
        let replies = client.subscribe(inbox.clone()).await.unwrap();
        crate::harness::settled(&client).await;
        let mut headers = HeaderMap::new();
        headers.insert("Beamline-Accept", "stream");
        let body = r#"{"id":"x","payload":{}}"#;
        let (to, body) = (subject("invoke"), body.into());
        client
            .publish_with_reply_and_headers(to, inbox, headers, body)
            .await
            .unwrap();
        callers.push((client, replies));
    }
    for (_, replies) in &mut callers {
        let first = tokio::time::timeout(DEADLINE, replies.next()).await;
        assert!(first.unwrap().unwrap().headers.is_some());
    }
    callers
}

/// Kills all callers but every fourth; `within` that time the extension hears of each of them, and
/// their places are free.
async fn killed(
    daemon: &Daemon,
    near: &str,
    far: &str,
    count: usize,
    within: Duration,
) -> Duration {
    let mut heard = Heard::on(near).await;
    let mut callers = callers(far, count).await;
    let mut alive = Vec::new();
    for (number, caller) in std::mem::take(&mut callers).into_iter().enumerate() {
        match number % 4 {
            0 => alive.push(caller),
            1 => drop(caller.1),
            _ => caller.0.drain().await.unwrap(),
        }
    }
    let begun = Instant::now();
    let gone = count - alive.len();
    for number in 0..gone {
        let (id, _, attempt) = heard.next().await;
        assert_eq!((id.as_str(), attempt), ("x", None));
        if number * 100 >= gone * 99 {
            continue;
        }
        let took = begun.elapsed();
        assert!(took < within, "{number} of {gone} after {took:?}");
    }
    let told = begun.elapsed();
    heard.nothing().await;
    let left = alive.len() as f64;
    let in_flight = "extension_invocations_in_flight";
    eventually("places", DEADLINE, async || {
        let found = counted(daemon, in_flight).await;
        if found == left { Ok(()) } else { Err(found) }
    })
    .await;
    // Who is there still gets chunks.
    for (_, replies) in &mut alive {
        while let Some(Some(_)) = futures_util::FutureExt::now_or_never(replies.next()) {}
        let next = tokio::time::timeout(DEADLINE, replies.next()).await;
        let next = Reply::from(next.unwrap().unwrap());
        assert_eq!(next.header("Beamline-Stream"), Some("chunk"));
    }
    told
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_whose_callers_are_gone_are_cancelled() {
    let site = Site::with(&json!([record("x", json!({}))])).await;
    let daemon = site.start(site.daemon()).await;
    let url = site.nats.url();
    let _x = Ticker::at(&url, Duration::from_millis(200)).await;
    killed(&daemon, &url, &url, 40, UNHURRIED).await;
}

/// As many as the contract's figures are of.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a thousand connections"]
async fn a_thousand_streams_whose_callers_are_gone_are_cancelled() {
    let site = Site::with(&json!([record("x", json!({}))])).await;
    let limit = site.daemon().setting("MAX_IN_FLIGHT_PER_EXTENSION", 1024);
    let daemon = site.start(limit).await;
    let url = site.nats.url();
    let _x = Ticker::at(&url, Duration::from_millis(250)).await;
    let within = Duration::from_millis(1500);
    let told = killed(&daemon, &url, &url, 1000, within).await;
    println!("all told after {told:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_at_another_server_of_the_cluster_are_missed_too() {
    let port = crate::harness::ports::free_port();
    let cluster = |routes: &str, listen: &str| {
        format!(
            "cluster {{ name: \"c\", listen: \"127.0.0.1:{listen}\", no_advertise: true, routes: [{routes}] }}"
        )
    };
    let near = NatsServer::builder()
        .config(&cluster("", &port.to_string()))
        .start()
        .await;
    let route = format!("\"nats://127.0.0.1:{port}\"");
    let far = NatsServer::builder()
        .config(&cluster(&route, "-1"))
        .start()
        .await;
    let far = far_side(&near, far).await;
    let site = Site::on(near, &json!([record("x", json!({}))])).await;
    let daemon = site.start(site.daemon()).await;
    let url = site.nats.url();
    let _x = Ticker::at(&url, Duration::from_millis(200)).await;
    // The other server hears of subscriptions here a moment later.
    let client = Client::connect(&far.url()).await;
    let (invoke, nobody) = (subject("invoke"), r#"{"id":"nobody","payload":1}"#);
    eventually("the daemon, from there", DEADLINE, async || {
        !client.request(&invoke, nobody).await.is_no_responders()
    })
    .await;
    killed(&daemon, &url, &far.url(), 12, UNHURRIED).await;
}

/// `far`, as soon as what is sent there arrives here.
async fn far_side(near: &NatsServer, far: NatsServer) -> NatsServer {
    let echo = Extension::at(&near.url(), "cluster.echo", Behaviour::Echo).await;
    let client = Client::connect(&far.url()).await;
    eventually("a route", DEADLINE, async || {
        !client.request("cluster.echo", "1").await.is_no_responders()
    })
    .await;
    drop(echo);
    far
}

/// Whatever is sent there reaches nobody: the extension need not go on.
#[tokio::test]
async fn a_stream_to_where_we_may_not_publish_is_cancelled() {
    let denied = r#"publish: { deny: ["_INBOX.denied.>"] }"#;
    let fixtures = json!([record("x", json!({}))]);
    let (site, _daemon) = Site::restricted(denied, &fixtures).await;
    let _x = site.play("x", Behaviour::endless(1)).await;
    let mut heard = Heard::on(&site.nats.url()).await;
    let client = async_nats::connect(site.nats.url()).await.unwrap();
    let _denied = Stream::at(&client, "_INBOX.denied.1".to_owned(), json!({})).await;
    let (id, _, attempt) = heard.next().await;
    assert_eq!((id.as_str(), attempt), ("x", None), "not late");
}

#[tokio::test]
async fn what_says_that_nobody_is_there_takes_nothing_else() {
    let site = Site::with(&json!([record("x", json!({}))])).await;
    let _daemon = site.start(site.daemon()).await;
    let url = site.nats.url();
    let _x = Ticker::at(&url, Duration::from_millis(100)).await;
    let mut callers = callers(&url, 1).await;
    let (client, replies) = &mut callers[0];
    let mut error = HeaderMap::new();
    error.insert("Nats-Service-Error-Code", "500");
    let mut end = HeaderMap::new();
    end.insert("Beamline-Stream", "end");
    for _ in 0..8 {
        let chunk = tokio::time::timeout(DEADLINE, replies.next())
            .await
            .unwrap()
            .unwrap();
        let back = chunk.reply.clone().expect("somewhere to say so");
        assert!(!back.contains('*'));
        for headers in [error.clone(), end.clone(), HeaderMap::new()] {
            client
                .publish_with_headers(back.clone(), headers, "2".into())
                .await
                .unwrap();
        }
        let chunk = Reply::from(chunk);
        assert_eq!(
            (chunk.header("Beamline-Stream"), &*chunk.payload),
            (Some("chunk"), &b"1"[..])
        );
    }
}

#[tokio::test]
async fn a_stream_whose_first_chunk_could_not_be_kept_is_cancelled() {
    let site = Site::with(&json!([record("x", json!({}))])).await;
    let daemon = site.daemon().setting("MAX_IN_FLIGHT_BYTES", 100_000);
    let _daemon = site.start(daemon).await;
    let large = Answer::new("c".repeat(200_000)).header("Beamline-Stream", "chunk");
    let _x = site.play("x", large.into()).await;
    let mut heard = Heard::on(&site.nats.url()).await;
    let mut stream = Stream::of(&site, json!({})).await;
    let refused = stream.next().await;
    assert_eq!(refused.error(), (503, "overloaded".to_owned()));
    let call = refused.header("Beamline-Call-Id").unwrap().to_owned();
    assert_eq!(heard.next().await, ("x".into(), call, None));
}

#[tokio::test]
async fn a_stream_with_a_piece_that_cannot_be_read_is_cancelled() {
    for before in [0, 1] {
        let (site, _daemon) = Site::serving(&json!([record("x", json!({}))])).await;
        let mut heard = Heard::on(&site.nats.url()).await;
        let client = async_nats::connect(site.nats.url()).await.unwrap();
        let mut requests = client.subscribe(at("x")).await.unwrap();
        crate::harness::settled(&client).await;
        let mut stream = Stream::of(&site, json!({})).await;
        let request = tokio::time::timeout(DEADLINE, requests.next()).await;
        let inbox = request.expect("a request").unwrap().reply.unwrap();
        for number in 0..before {
            let mut headers = HeaderMap::new();
            headers.insert("Beamline-Stream", "chunk");
            let chunk = number.to_string().into();
            let sent = client.publish_with_headers(inbox.clone(), headers, chunk);
            sent.await.unwrap();
        }
        stream.chunks(before).await;
        publish_raw(&site.nats.addr(), &inbox, None, MALFORMED[0], b"{}").await;
        let broken = stream.next().await;
        assert_eq!(broken.error(), (502, "extension_error".to_owned()));
        let (id, _, attempt) = heard.next().await;
        assert_eq!((id.as_str(), attempt), ("x", None), "after {before}");
    }
}

use std::time::Duration;

use async_nats::{HeaderMap, Subscriber};
use futures_util::StreamExt;
use serde_json::{Value, json};

use super::{one, record};
use crate::harness::{Answer, Behaviour, DEADLINE, NatsServer, Reply};
use crate::site::{Site, subject};

/// A router's inbox for one call.
pub(crate) struct Stream(Subscriber);

impl Stream {
    /// Calls `x` and takes an answer in pieces.
    pub(crate) async fn of(site: &Site, fields: Value) -> Self {
        let client = async_nats::ConnectOptions::new().subscription_capacity(100_000);
        let client = client.connect(site.nats.url()).await.unwrap();
        let inbox = client.new_inbox();
        Self::at(&client, inbox, fields).await
    }

    /// The same at an inbox of the test's own.
    pub(crate) async fn at(client: &async_nats::Client, inbox: String, fields: Value) -> Self {
        let replies = client.subscribe(inbox.clone()).await.unwrap();
        let mut headers = HeaderMap::new();
        headers.insert("Beamline-Accept", "stream");
        let mut body = json!({"id": "x", "payload": {}});
        body.as_object_mut()
            .unwrap()
            .extend(fields.as_object().unwrap().clone());
        let invoke = subject("invoke");
        let sent =
            client.publish_with_reply_and_headers(invoke, inbox, headers, body.to_string().into());
        sent.await.unwrap();
        Self(replies)
    }

    pub(crate) async fn next(&mut self) -> Reply {
        let reply = tokio::time::timeout(DEADLINE, self.0.next()).await;
        reply.expect("a message").unwrap().into()
    }

    /// Chunks from 0 to `count`, in order and numbered from 1; the first one names the version that
    /// answers.
    pub(crate) async fn chunks(&mut self, count: usize) {
        for number in 0..count {
            let reply = self.next().await;
            assert_eq!(reply.payload, number.to_string());
            assert_eq!(reply.header("Beamline-Stream"), Some("chunk"));
            assert_eq!(
                reply.header("Beamline-Seq"),
                Some((number + 1).to_string().as_str())
            );
            let id = (number == 0).then_some("x");
            assert_eq!(reply.header("Beamline-Extension-Id"), id);
        }
    }

    /// The last message: an error with this code; nothing comes after it.
    async fn error(&mut self, number: u16, code: &str) -> Reply {
        let reply = self.next().await;
        assert_eq!(reply.error(), (number, code.to_owned()));
        self.nothing_more().await;
        reply
    }

    async fn end(&mut self, sequence: usize) {
        let reply = self.next().await;
        assert_eq!(reply.header("Beamline-Stream"), Some("end"), "{reply:?}");
        assert_eq!(
            reply.header("Beamline-Seq"),
            Some(sequence.to_string().as_str())
        );
        assert!(reply.payload.is_empty());
        self.nothing_more().await;
    }

    async fn nothing_more(&mut self) {
        let quiet = Duration::from_millis(150);
        let more = tokio::time::timeout(quiet, self.0.next()).await;
        assert!(more.is_err(), "one message too many: {more:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_chunks_arrive_complete_and_in_order() {
    let (site, _daemon, _x) = one(json!({}), Behaviour::stream(10_000, Answer::end())).await;
    let mut stream = Stream::of(&site, json!({})).await;
    stream.chunks(10_000).await;
    stream.end(10_001).await;
    assert_eq!(site.circuit("x").await, "closed");
}

/// The control line of its request is nearly as long as a server takes.
#[tokio::test]
async fn a_stream_reaches_the_longest_of_inboxes() {
    let (site, _daemon, _x) = one(json!({}), Behaviour::stream(3, Answer::end())).await;
    let client = async_nats::connect(site.nats.url()).await.unwrap();
    let inbox = format!("{:x<4040}", client.new_inbox() + ".");
    let mut stream = Stream::at(&client, inbox, json!({})).await;
    stream.chunks(3).await;
    stream.end(4).await;
}

#[tokio::test]
async fn an_empty_stream_is_an_end_and_tells_who_answered() {
    let (site, _daemon, _x) = one(json!({}), Answer::end().into()).await;
    let mut stream = Stream::of(&site, json!({})).await;
    let reply = stream.next().await;
    assert_eq!(reply.header("Beamline-Stream"), Some("end"));
    assert_eq!(reply.header("Beamline-Extension-Id"), Some("x"));
    stream.nothing_more().await;
}

#[tokio::test]
async fn what_comes_with_the_end_is_not_lost() {
    let last = Answer::new("2").header("Beamline-Stream", "end");
    let (site, _daemon, _x) = one(json!({}), Behaviour::stream(2, last)).await;
    let mut stream = Stream::of(&site, json!({})).await;
    stream.chunks(3).await;
    stream.end(4).await;
}

#[tokio::test]
async fn a_stalled_stream_ends_with_an_error_and_counts_at_the_end() {
    let (site, _daemon, x) = one(
        json!({"timeout_ms": 4000, "retry": 3}),
        Behaviour::endless(5),
    )
    .await;
    let mut stream = Stream::of(&site, json!({})).await;
    stream.chunks(5).await;
    assert_eq!(site.circuit("x").await, "closed", "nothing is known yet");
    stream.error(504, "extension_timeout").await;
    assert_eq!(site.circuit("x").await, "open");
    assert_eq!(x.count(), 1, "not tried again after the first chunk");
}

#[tokio::test]
async fn a_deadline_ends_a_stream_without_blame() {
    let (site, _daemon, _x) = one(json!({}), Behaviour::endless(2)).await;
    let mut stream = Stream::of(&site, json!({"deadline_ms": 3000})).await;
    stream.chunks(2).await;
    stream.error(504, "deadline_exceeded").await;
    assert_eq!(site.circuit("x").await, "closed");
}

#[tokio::test]
async fn an_error_in_the_middle_is_the_extensions_own() {
    for (code, state) in [(503, "open"), (422, "closed")] {
        let last = Answer::error(code);
        let (site, _daemon, x) = one(json!({"retry": 3}), Behaviour::stream(3, last)).await;
        let mut stream = Stream::of(&site, json!({})).await;
        stream.chunks(3).await;
        let error = stream.next().await;
        assert_eq!(
            error.header("Nats-Service-Error-Code"),
            Some(code.to_string().as_str())
        );
        assert_eq!(error.header("Nats-Service-Error"), Some("played"));
        assert_eq!(error.header("Beamline-Extension-Error"), Some("1"));
        assert_eq!(error.payload, format!(r#"{{"failed":{code}}}"#));
        stream.nothing_more().await;
        assert_eq!((x.count(), site.circuit("x").await.as_str()), (1, state));
    }
}

/// As of a whole answer.
#[tokio::test]
async fn an_error_without_a_code_ends_a_stream_unless_it_is_marked_as_a_piece() {
    let body = r#"{"error":"broke"}"#;
    let piece = Answer::new(body).header("Beamline-Stream", "chunk");
    let unmarked = Answer::new("1");
    let answers = [piece, unmarked, Answer::new(body)];
    let (site, _daemon, _x) = one(json!({}), Behaviour::Answers(answers.into())).await;
    let mut stream = Stream::of(&site, json!({})).await;
    for payload in [body, "1"] {
        let chunk = stream.next().await;
        assert_eq!(chunk.header("Beamline-Stream"), Some("chunk"));
        assert_eq!(chunk.payload, payload);
    }
    let error = stream.next().await;
    assert_eq!(error.header("Nats-Service-Error-Code"), Some("502"));
    assert_eq!(error.header("Beamline-Extension-Error"), Some("1"));
    assert_eq!(error.payload, body);
    stream.nothing_more().await;
    assert_eq!(site.circuit("x").await, "open");
}

/// As of a whole answer.
#[tokio::test]
async fn a_code_below_400_makes_no_chunk_an_error() {
    let chunk = |number| Answer::chunk(number).header("Nats-Service-Error-Code", "200");
    let end = Answer::end().header("Nats-Service-Error-Code", "200");
    let (site, _daemon, _x) = one(
        json!({}),
        Behaviour::Answers([chunk(0), chunk(1), end].into()),
    )
    .await;
    let mut stream = Stream::of(&site, json!({})).await;
    stream.chunks(2).await;
    stream.end(3).await;
}

#[tokio::test]
async fn an_error_instead_of_a_first_chunk_is_tried_again() {
    let (site, _daemon, x) = one(
        json!({"retry": 1, "circuit_breaker": {"enabled": false}}),
        Behaviour::each(|number, _| match number {
            0 => Answer::error(500).header("Beamline-Stream", "chunk").into(),
            _ => Behaviour::stream(2, Answer::end()),
        }),
    )
    .await;
    let mut stream = Stream::of(&site, json!({})).await;
    stream.chunks(2).await;
    stream.end(3).await;
    assert_eq!(x.count(), 2);
}

#[tokio::test]
async fn who_takes_no_stream_gets_none_and_a_plain_answer_is_whole() {
    let (site, _daemon, x) = one(json!({}), Behaviour::stream(3, Answer::end())).await;
    let reply = site.call("x", json!({})).await;
    assert_eq!(
        (&reply.payload[..], reply.header("Beamline-Stream")),
        (&b"0"[..], None)
    );
    x.behave(Behaviour::Answers(
        [Answer::new("1"), Answer::chunk(2), Answer::end()].into(),
    ));
    let mut stream = Stream::of(&site, json!({})).await;
    let reply = stream.next().await;
    assert_eq!(
        (&reply.payload[..], reply.header("Beamline-Stream")),
        (&b"1"[..], None)
    );
    assert_eq!(reply.header("Beamline-Attempts"), Some("1"));
    stream.nothing_more().await;
    site.client.assert_one_reply_each().await;
}

#[tokio::test]
async fn a_chunk_that_the_server_does_not_carry_ends_the_stream() {
    let nats = NatsServer::builder().max_payload(2048).start().await;
    let site = Site::on(nats, &json!([record("x", json!({}))])).await;
    let _daemon = site.start(site.daemon()).await;
    // It fits without the headers that the relay adds.
    let large = Answer::new("c".repeat(2000)).header("Beamline-Stream", "chunk");
    let answers = [Answer::chunk(0), large, Answer::chunk(2), Answer::end()];
    let _x = site.play("x", Behaviour::Answers(answers.into())).await;
    let mut stream = Stream::of(&site, json!({})).await;
    stream.chunks(1).await;
    stream.error(413, "payload_too_large").await;
    assert_eq!(site.circuit("x").await, "closed");
}

#[tokio::test]
async fn a_stream_holds_its_place_until_its_end() {
    let fields = json!({"metadata": {"max_in_flight": 1}, "timeout_ms": 4000});
    let (site, _daemon, x) = one(fields, Behaviour::endless(1)).await;
    let mut stream = Stream::of(&site, json!({})).await;
    stream.chunks(1).await;
    let reply = site.call("x", json!({})).await;
    assert_eq!(reply.error(), (503, "overloaded".to_owned()));
    stream.error(504, "extension_timeout").await;
    drop(x);
}

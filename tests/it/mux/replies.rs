use std::time::Duration;

use async_nats::HeaderMap;
use beamline_registry::domain::subject::Subject;
use beamline_registry::service::caller::{Call, CallError, Caller, Headers};
use bytes::Bytes;
use tokio::time::Instant;

use super::{CALLS, Calling, Extension, at_once, next};
use crate::harness::{DEADLINE, NatsServer, eventually};

const SUBJECT: &str = "beamline.ext.pre.x";

#[tokio::test]
async fn a_call_carries_headers_and_payload_both_ways() {
    let server = NatsServer::start().await;
    let mut extension = Extension::at(&server, SUBJECT).await;
    let calling = Calling::ready(&server.url(), 4).await;

    let mut headers = Headers::new();
    headers.push("traceparent", "00-1-2-01");
    headers.push("Vary", "b");
    headers.push(String::from("Vary"), "a");
    let subject = Subject::parse(SUBJECT).unwrap();
    let deadline = Instant::now() + DEADLINE;
    let call = calling
        .mux
        .call(&subject, headers, Bytes::from("ping"), deadline);
    let mut call = call.await.unwrap();

    let request = extension.request().await;
    assert_eq!(request.payload, "ping");
    let received = request.headers.unwrap();
    assert_eq!(received.get("traceparent").unwrap().as_str(), "00-1-2-01");
    let vary: Vec<_> = received
        .get_all("Vary")
        .map(|value| value.as_str())
        .collect();
    assert_eq!(vary, ["b", "a"]);

    let mut headers = HeaderMap::new();
    headers.append("Kind", "1");
    headers.append("Kind", "2");
    let to = request.reply.unwrap();
    let replying = extension
        .client
        .publish_with_headers(to, headers, "\0pong\r\n".into());
    replying.await.unwrap();
    let reply = next(&mut call).await.unwrap();
    assert_eq!(reply.payload, "\0pong\r\n");
    let kinds: Vec<_> = reply.headers.iter().collect();
    assert_eq!(kinds, [("Kind", "1"), ("Kind", "2")]);
}

#[tokio::test]
async fn ten_thousand_chunks_arrive_complete_and_in_order() {
    const CHUNKS: usize = 10_000;
    let server = NatsServer::start().await;
    let mut extension = Extension::at(&server, SUBJECT).await;
    let calling = Calling::ready(&server.url(), 4).await;
    let mut call = calling.call(SUBJECT, "").await.unwrap();
    let request = extension.request().await;
    let sender = tokio::spawn(async move {
        for number in 0..CHUNKS {
            extension.reply(&request, number.to_string()).await;
        }
        extension.reply(&request, "end").await;
        extension.sent().await;
    });
    for number in 0..CHUNKS {
        assert_eq!(next(&mut call).await.unwrap().payload, number.to_string());
    }
    assert_eq!(next(&mut call).await.unwrap().payload, "end");
    sender.await.unwrap();
}

#[tokio::test]
async fn a_chunk_the_library_drops_ends_the_call_instead_of_missing() {
    let server = NatsServer::start().await;
    let mut extension = Extension::at(&server, SUBJECT).await;
    let purpose = beamline_registry::adapters::nats::connect::Purpose {
        subscription_capacity: 2,
        ..CALLS
    };
    let auth = beamline_registry::config::NatsAuth::None;
    let calling = Calling::with(&server.url(), auth, purpose, 4).await;
    calling.round_trip().await;
    let mut call = calling.call(SUBJECT, "").await.unwrap();
    let request = extension.request().await;
    for number in 0..20_000 {
        extension.reply(&request, number.to_string()).await;
    }
    extension.sent().await;
    let mut expected = 0;
    let error = loop {
        match next(&mut call).await {
            Ok(reply) => assert_eq!(reply.payload, expected.to_string(), "no gap"),
            Err(error) => break error,
        }
        expected += 1;
    };
    assert_eq!(error, CallError::Overloaded);
}

#[tokio::test]
async fn a_timeout_leaves_nothing_behind_and_its_late_reply_reaches_nobody() {
    let server = NatsServer::start().await;
    let mut extension = Extension::at(&server, SUBJECT).await;
    // One slot: the second call has the place of the first.
    let calling = Calling::ready(&server.url(), 1).await;

    let mut first = calling.call(SUBJECT, "first").await.unwrap();
    assert_eq!(calling.mux.pending(), 1);
    let soon = Instant::now() + Duration::from_millis(20);
    assert_eq!(first.next(soon).await, Err(CallError::Timeout));
    drop(first);
    assert_eq!(calling.mux.pending(), 0);

    let mut second = calling.call(SUBJECT, "second").await.unwrap();
    let (late, fresh) = (extension.request().await, extension.request().await);
    let slot = |reply: &str| {
        reply
            .rsplit('.')
            .next()
            .unwrap()
            .split('-')
            .next()
            .map(str::to_owned)
    };
    let (a, b) = (late.reply.as_ref().unwrap(), fresh.reply.as_ref().unwrap());
    assert_eq!(slot(a), slot(b), "the same slot");
    assert_ne!(a, b, "another generation");
    extension.reply(&late, "too late").await;
    extension.reply(&fresh, "in time").await;
    assert_eq!(next(&mut second).await.unwrap().payload, "in time");
}

#[tokio::test]
async fn a_timeout_between_replies_loses_none() {
    let server = NatsServer::start().await;
    let mut extension = Extension::at(&server, SUBJECT).await;
    let calling = Calling::ready(&server.url(), 1).await;
    let mut call = calling.call(SUBJECT, "").await.unwrap();
    let request = extension.request().await;
    for chunk in ["1", "2"] {
        let soon = Instant::now() + Duration::from_millis(5);
        assert_eq!(call.next(soon).await, Err(CallError::Timeout));
        extension.reply(&request, chunk).await;
        assert_eq!(next(&mut call).await.unwrap().payload, chunk);
    }
}

#[tokio::test]
async fn a_call_dropped_while_it_waits_frees_its_place() {
    let server = NatsServer::start().await;
    let mut extension = Extension::at(&server, SUBJECT).await;
    let calling = Calling::ready(&server.url(), 1).await;
    let mut call = calling.call(SUBJECT, "").await.unwrap();
    let waiting = tokio::spawn(async move { next(&mut call).await });
    let request = extension.request().await;
    waiting.abort();
    assert!(waiting.await.unwrap_err().is_cancelled());
    eventually("the place is free", DEADLINE, async || {
        calling.mux.pending() == 0
    })
    .await;

    extension.reply(&request, "to nobody").await;
    let _echo = extension.echo();
    assert_eq!(
        calling.ask(SUBJECT, "again").await.unwrap().payload,
        "again"
    );
}

#[tokio::test]
async fn nobody_subscribed_is_known_at_once() {
    let server = NatsServer::start().await;
    let calling = Calling::ready(&server.url(), 4).await;
    let asked = at_once(calling.ask("nobody.there", "")).await;
    assert_eq!(asked, Err(CallError::NoResponders));
}

#[tokio::test]
async fn replies_to_no_call_are_ignored() {
    let server = NatsServer::start().await;
    let mut extension = Extension::at(&server, SUBJECT).await;
    let calling = Calling::ready(&server.url(), 4).await;
    let mut call = calling.call(SUBJECT, "").await.unwrap();
    let request = extension.request().await;
    let (inbox, _) = request.reply.as_ref().unwrap().rsplit_once('.').unwrap();
    for token in ["x", "0-0-0", "0-ffff", "ffffffff-0", "-", "\u{e9}"] {
        let to = format!("{inbox}.{token}");
        extension
            .client
            .publish(to, "foreign".into())
            .await
            .unwrap();
    }
    extension.reply(&request, "own").await;
    assert_eq!(next(&mut call).await.unwrap().payload, "own");
}

use std::time::Duration;

use async_nats::HeaderMap;
use beamline_registry::domain::overload::Overload;
use beamline_registry::service::caller::{Call, CallError};
use bytes::Bytes;
use tokio::time::Instant;

use super::{Calling, Extension, at_once, next};
use crate::harness::raw::{MALFORMED, publish_raw};
use crate::harness::{DEADLINE, NatsServer, eventually};

const SUBJECT: &str = "beamline.ext.pre.x";

#[tokio::test]
async fn a_call_carries_headers_and_payload_both_ways() {
    let server = NatsServer::start().await;
    let mut extension = Extension::at(&server, SUBJECT).await;
    let calling = Calling::ready(&server.url(), 4).await;

    let mut call = calling.call(SUBJECT, "ping").unwrap();

    let request = extension.request().await;
    assert_eq!(request.payload, "ping");
    let received = request.headers.unwrap();
    assert_eq!(received.get("Beamline-Extension-Id").unwrap().as_str(), "x");

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
    let mut call = calling.call(SUBJECT, "").unwrap();
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
async fn chunks_that_nobody_reads_end_the_call_instead_of_missing() {
    let server = NatsServer::start().await;
    let mut extension = Extension::at(&server, SUBJECT).await;
    let calling = Calling::ready(&server.url(), 4).await;
    let mut call = calling.call(SUBJECT, "").unwrap();
    let request = extension.request().await;
    let chunk = Bytes::from(vec![0; 512 * 1024]);
    for _ in 0..40 {
        extension.reply(&request, chunk.clone()).await;
    }
    extension.sent().await;
    calling.round_trip().await;
    let mut read = 0;
    let error = loop {
        match next(&mut call).await {
            Ok(reply) => assert_eq!(reply.payload.len(), chunk.len()),
            Err(error) => break error,
        }
        read += 1;
    };
    assert_eq!(error, CallError::Overloaded(Overload::Bytes));
    assert!((1..40).contains(&read), "{read}");
}

#[tokio::test]
async fn a_reply_with_headers_that_nobody_can_read_is_a_bad_reply_of_that_call_only() {
    let server = NatsServer::start().await;
    let mut extension = Extension::at(&server, SUBJECT).await;
    let calling = Calling::ready(&server.url(), 4).await;
    for block in MALFORMED {
        let (mut bad, mut good) = (
            calling.call(SUBJECT, "").unwrap(),
            calling.call(SUBJECT, "").unwrap(),
        );
        let (first, second) = (extension.request().await, extension.request().await);
        publish_raw(
            &server.addr(),
            first.reply.as_ref().unwrap(),
            None,
            block,
            b"{}",
        )
        .await;
        extension.reply(&second, "fine").await;
        let shown = String::from_utf8_lossy(block);
        assert_eq!(next(&mut bad).await, Err(CallError::BadReply), "{shown:?}");
        assert_eq!(next(&mut good).await.unwrap().payload, "fine");
    }
}

/// Several clients let an extension set the status of its reply. A server's own has no body.
#[tokio::test]
async fn a_reply_with_a_status_and_a_body_is_a_reply() {
    let server = NatsServer::start().await;
    let mut extension = Extension::at(&server, SUBJECT).await;
    let calling = Calling::ready(&server.url(), 4).await;
    for (block, body) in [
        (&b"NATS/1.0 503 busy\r\nKind: 1\r\n\r\n"[..], "{}"),
        (b"NATS/1.0 100 Idle Heartbeat\r\nKind: 1\r\n\r\n", ""),
    ] {
        let mut call = calling.call(SUBJECT, "").unwrap();
        let request = extension.request().await;
        let to = request.reply.unwrap();
        publish_raw(&server.addr(), &to, None, block, body.as_bytes()).await;
        let reply = next(&mut call).await.unwrap();
        assert_eq!(
            (&reply.payload[..], reply.headers.get("Kind")),
            (body.as_bytes(), Some("1"))
        );
    }
    let mut call = calling.call(SUBJECT, "").unwrap();
    let request = extension.request().await;
    let to = request.reply.unwrap();
    let nobody = b"NATS/1.0 503\r\nNats-Subject: x\r\n\r\n";
    publish_raw(&server.addr(), &to, None, nobody, b"").await;
    assert_eq!(next(&mut call).await, Err(CallError::NoResponders));
}

#[tokio::test]
async fn a_timeout_leaves_nothing_behind_and_its_late_reply_reaches_nobody() {
    let server = NatsServer::start().await;
    let mut extension = Extension::at(&server, SUBJECT).await;
    // One slot: the second call has the place of the first.
    let calling = Calling::ready(&server.url(), 1).await;

    let mut first = calling.call(SUBJECT, "first").unwrap();
    assert_eq!(calling.calls.pending(), 1);
    let soon = Instant::now() + Duration::from_millis(20);
    assert_eq!(first.next(soon).await, Err(CallError::Timeout));
    drop(first);
    assert_eq!(calling.calls.pending(), 0);

    let mut second = calling.call(SUBJECT, "second").unwrap();
    let (late, fresh) = (extension.request().await, extension.request().await);
    let slot = |reply: &str| {
        reply
            .rsplit('.')
            .next()
            .unwrap()
            .get(..8)
            .map(str::to_owned)
    };
    let (a, b) = (late.reply.as_ref().unwrap(), fresh.reply.as_ref().unwrap());
    assert_eq!(slot(a), slot(b), "the same slot");
    assert_ne!(a, b, "another secret");
    extension.reply(&late, "too late").await;
    extension.reply(&fresh, "in time").await;
    assert_eq!(next(&mut second).await.unwrap().payload, "in time");
}

#[tokio::test]
async fn a_timeout_between_replies_loses_none() {
    let server = NatsServer::start().await;
    let mut extension = Extension::at(&server, SUBJECT).await;
    let calling = Calling::ready(&server.url(), 1).await;
    let mut call = calling.call(SUBJECT, "").unwrap();
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
    let mut call = calling.call(SUBJECT, "").unwrap();
    let waiting = tokio::spawn(async move { next(&mut call).await });
    let request = extension.request().await;
    waiting.abort();
    assert!(waiting.await.unwrap_err().is_cancelled());
    eventually("the place is free", DEADLINE, async || {
        calling.calls.pending() == 0
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
    let mut call = calling.call(SUBJECT, "").unwrap();
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

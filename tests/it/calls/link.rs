use std::sync::Arc;
use std::time::Duration;

use beamline_registry::adapters::nats::link::lane::Companion;
use beamline_registry::domain::overload::Overload;
use beamline_registry::service::caller::{Call, CallError, Caller};
use bytes::Bytes;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::{Calling, Extension, at_once, next};
use crate::harness::{DEADLINE, FaultProxy, NatsServer, eventually};

const SUBJECT: &str = "beamline.ext.pre.x";

#[tokio::test]
async fn a_cut_link_fails_calls_at_once_and_a_healed_one_works_again() {
    let server = NatsServer::start().await;
    let proxy = FaultProxy::start(&server.addr()).await;
    let mut extension = Extension::at(&server, SUBJECT).await;
    let calling = Calling::ready(&format!("nats://{}", proxy.addr()), 64).await;
    for round in 0..3 {
        let mut pending = calling.call(SUBJECT, "before").unwrap();
        assert_eq!(extension.request().await.payload, "before");
        proxy.cut().await;
        let ended = at_once(next(&mut pending)).await;
        assert_eq!(ended, Err(CallError::Disconnected), "round {round}");
        assert!(!calling.calls.is_connected());
        let refused = at_once(calling.ask(SUBJECT, "while down")).await;
        assert_eq!(refused, Err(CallError::Disconnected));
        drop(pending);
        assert_eq!(calling.calls.pending(), 0);

        proxy.heal().await;
        eventually("the link is up", DEADLINE, async || {
            calling.calls.is_connected()
        })
        .await;
        let mut call = calling.call(SUBJECT, "after").unwrap();
        let request = extension.request().await;
        assert_eq!(request.payload, "after", "nothing was queued while down");
        extension.reply(&request, "healed").await;
        assert_eq!(next(&mut call).await.unwrap().payload, "healed");
    }
}

#[tokio::test]
async fn nothing_is_sent_before_the_first_connection() {
    let mut server = NatsServer::start().await;
    server.stop().await;
    let calling = Calling::start(&server.url(), 4).await;
    let asked = at_once(calling.ask(SUBJECT, "")).await;
    assert_eq!(asked, Err(CallError::Disconnected));

    server.start_again().await;
    let _echo = Extension::at(&server, SUBJECT).await.echo();
    eventually("the link is up", DEADLINE, async || {
        calling.calls.is_connected()
    })
    .await;
    assert_eq!(
        calling.ask(SUBJECT, "first").await.unwrap().payload,
        "first"
    );
}

/// Between two attempts a call has nothing under way at the server. The next one would fail, where it
/// falls into the move to another.
#[tokio::test]
async fn a_call_that_pauses_keeps_us_at_a_server_that_is_about_to_go() {
    let server = NatsServer::start().await;
    let calling = Calling::ready(&server.url(), 4).await;
    assert!(!calling.calls.is_busy());
    let (go_on, paused) = oneshot::channel::<()>();
    calling.calls.spawn(async move {
        let _ = paused.await;
    });
    assert!(calling.calls.is_busy());
    drop(go_on);
    eventually("the end of the call", DEADLINE, async || {
        !calling.calls.is_busy()
    })
    .await;
}

/// Half a second there and back: a timeout is the extension's all the same.
#[tokio::test]
async fn a_long_way_is_no_dead_link() {
    let server = NatsServer::start().await;
    let proxy = FaultProxy::start(&server.addr()).await;
    let mut silent = Extension::at(&server, SUBJECT).await;
    proxy.delay(Duration::from_millis(250));
    let calling = Calling::ready(&format!("nats://{}", proxy.addr()), 4).await;
    for _ in 0..2 {
        let deadline = Instant::now() + Duration::from_millis(700);
        let mut call = calling.call_until(SUBJECT, None, "", deadline).unwrap();
        silent.request().await;
        assert_eq!(call.next(deadline).await, Err(CallError::Timeout));
    }
}

#[tokio::test]
async fn a_link_that_takes_nothing_holds_nobody_past_the_deadline() {
    let server = NatsServer::start().await;
    let proxy = FaultProxy::start(&server.addr()).await;
    let _silent = Extension::at(&server, SUBJECT).await;
    let calling = Arc::new(Calling::ready(&format!("nats://{}", proxy.addr()), 4096).await);
    proxy.stall();

    let payload = Bytes::from(vec![0; 64 * 1024]);
    let start = Instant::now();
    let deadline = start + Duration::from_secs(3);
    let calls: Vec<_> = (0..4096)
        .map(|_| {
            let (calling, payload) = (Arc::clone(&calling), payload.clone());
            tokio::spawn(async move {
                let mut call = calling.call_until(SUBJECT, None, payload, deadline)?;
                call.next(deadline).await
            })
        })
        .collect();
    let mut overloaded = 0;
    for call in calls {
        match call.await.unwrap().unwrap_err() {
            CallError::Disconnected => {}
            error => {
                assert_eq!(error, CallError::Overloaded(Overload::Requests));
                overloaded += 1;
            }
        }
    }
    assert!(overloaded > 0, "the outbox was full");
    assert!(start.elapsed() < DEADLINE / 2, "{:?}", start.elapsed());
    assert_eq!(calling.calls.pending(), 0);
}

#[tokio::test]
async fn a_closed_connection_ends_calls_for_good() {
    let server = NatsServer::start().await;
    let mut extension = Extension::at(&server, SUBJECT).await;
    let calling = Calling::ready(&server.url(), 4).await;
    let mut call = calling.call(SUBJECT, "").unwrap();
    extension.request().await;
    calling.lane.close(Instant::now() + DEADLINE).await;
    assert_eq!(at_once(next(&mut call)).await, Err(CallError::Closed));
    let refused = calling.call(SUBJECT, "");
    assert_eq!(refused.err(), Some(CallError::Closed));
}

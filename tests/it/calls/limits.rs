use beamline_registry::config::NatsAuth;
use beamline_registry::domain::overload::Overload;
use beamline_registry::domain::traceparent::{TraceHeaders, TraceParent, TraceSeed};
use beamline_registry::service::caller::CallError;
use secrecy::SecretString;
use tokio::time::Instant;

use super::{Calling, Extension, at_once, next};
use crate::harness::{DEADLINE, NatsServer, eventually};

const SUBJECT: &str = "beamline.ext.pre.x";

fn user(name: &str) -> NatsAuth {
    NatsAuth::User {
        name: name.to_owned(),
        password: SecretString::from("secret").into(),
    }
}

async fn server_with_users() -> NatsServer {
    let config = r#"authorization { users: [
        { user: extension, password: secret }
        { user: caller, password: secret, permissions: { publish: { deny: ["denied.>"] } } }
        { user: deaf, password: secret, permissions: { subscribe: { deny: ["_INBOX.*.>"] } } }
    ] }"#;
    NatsServer::builder().config(config).start().await
}

#[tokio::test]
async fn a_subject_the_server_denies_is_named_at_once_and_harms_no_other() {
    let server = server_with_users().await;
    let options = async_nats::ConnectOptions::with_user_and_password(
        "extension".to_owned(),
        "secret".to_owned(),
    );
    let extension = options.connect(server.url()).await.unwrap();
    let mut extension = Extension::over(extension, SUBJECT).await;
    let calling = Calling::with(&server.url(), user("caller"), 16);
    calling.round_trip().await;

    let mut allowed = calling.call(SUBJECT, "").unwrap();
    for subject in ["denied.a", r#"denied.with"quote\"#] {
        let denied = at_once(calling.ask(subject, "")).await;
        assert_eq!(denied, Err(CallError::PermissionDenied), "{subject}");
    }
    let request = extension.request().await;
    extension.reply(&request, "still here").await;
    assert_eq!(next(&mut allowed).await.unwrap().payload, "still here");
}

#[tokio::test]
async fn replies_the_server_does_not_let_us_receive_are_no_timeouts() {
    let server = server_with_users().await;
    let calling = Calling::with(&server.url(), user("deaf"), 16);
    eventually("the denial is known", DEADLINE, async || {
        calling.ask(SUBJECT, "").await == Err(CallError::PermissionDenied)
    })
    .await;
    let refused = calling.call(SUBJECT, "");
    assert_eq!(refused.err(), Some(CallError::PermissionDenied));
}

/// Permissions change under a connection that stays.
#[tokio::test]
async fn replies_that_the_server_lets_us_receive_again_are_received() {
    let builder = |denied: &str| {
        NatsServer::builder().config(&format!(
            r#"authorization {{ users: [
                {{ user: extension, password: secret }}
                {{ user: caller, password: secret,
                   permissions: {{ subscribe: {{ deny: ["{denied}"] }} }} }}
            ] }}"#
        ))
    };
    let mut server = builder("nothing").start().await;
    let options = async_nats::ConnectOptions::with_user_and_password(
        "extension".to_owned(),
        "secret".to_owned(),
    );
    let extension = options.connect(server.url()).await.unwrap();
    let _echo = Extension::over(extension, SUBJECT).await.echo();
    let calling = Calling::with(&server.url(), user("caller"), 16);
    calling.round_trip().await;
    let connection = calling.lane.up();
    for (denied, outcome) in [
        ("nothing", Ok(())),
        ("_INBOX.*.>", Err(CallError::PermissionDenied)),
        ("nothing", Ok(())),
    ] {
        server.configure(builder(denied));
        server.reload();
        eventually("the calls' outcome", DEADLINE, async || {
            let asked = calling.ask(SUBJECT, "").await.map(drop);
            if asked == outcome { Ok(()) } else { Err(asked) }
        })
        .await;
    }
    assert!(!connection.has_changed().unwrap(), "the connection stayed");
}

#[tokio::test]
async fn what_cannot_be_sent_is_refused_and_the_link_stays() {
    let server = NatsServer::builder().max_payload(1000).start().await;
    let _echo = Extension::at(&server, SUBJECT).await.echo();
    let calling = Calling::ready(&server.url(), 4).await;
    let with = |tracestate: &'static str, payload: usize| {
        let seed = TraceSeed {
            trace_id: [1; 16],
            span_id: [2; 8],
        };
        let trace = TraceHeaders {
            traceparent: TraceParent::begin(seed),
            tracestate: Some(tracestate),
        };
        let deadline = Instant::now() + DEADLINE;
        let called = calling.call_until(SUBJECT, Some(trace), vec![b'x'; payload], deadline);
        called.err()
    };
    assert_eq!(
        calling.ask(SUBJECT, vec![b'x'; 1001]).await,
        Err(CallError::TooLarge)
    );
    let headers_count = Some(CallError::TooLarge);
    assert_eq!(with("a=1", 900), headers_count);
    assert_eq!(with("a=1\r\nB: 1", 0), Some(CallError::InvalidHeader));
    assert_eq!(calling.calls.pending(), 0);
    assert_eq!(
        calling
            .ask(SUBJECT, vec![b'x'; 800])
            .await
            .unwrap()
            .payload
            .len(),
        800
    );
}

#[tokio::test]
async fn a_call_whose_deadline_has_passed_is_not_sent() {
    let server = NatsServer::start().await;
    let mut extension = Extension::at(&server, SUBJECT).await;
    let calling = Calling::ready(&server.url(), 4).await;
    let late = calling.call_until(SUBJECT, None, "late", Instant::now());
    assert_eq!(late.err(), Some(CallError::Timeout));
    let _call = calling.call(SUBJECT, "in time").unwrap();
    assert_eq!(extension.request().await.payload, "in time");
}

#[tokio::test]
async fn thousands_of_calls_at_a_time_get_their_own_reply_each_and_one_more_is_refused() {
    const CALLS: u32 = 4096;
    let server = NatsServer::start().await;
    let mut extension = Extension::at(&server, SUBJECT).await;
    let calling = Calling::ready(&server.url(), CALLS).await;
    for round in 0..3 {
        let mut calls = Vec::new();
        for number in 0..CALLS {
            let payload = format!("{round} {number}");
            calls.push((calling.call(SUBJECT, payload.clone()).unwrap(), payload));
        }
        let refused = calling.call(SUBJECT, "");
        assert_eq!(
            refused.err(),
            Some(CallError::Overloaded(Overload::Requests))
        );
        let mut requests = Vec::new();
        for _ in 0..CALLS {
            requests.push(extension.request().await);
        }
        for request in requests.iter().rev() {
            extension.reply(request, request.payload.clone()).await;
        }
        for (call, payload) in &mut calls {
            assert_eq!(next(call).await.unwrap().payload, *payload);
        }
    }
    assert_eq!(calling.calls.pending(), 0);
}

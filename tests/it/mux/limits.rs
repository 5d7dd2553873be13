use beamline_registry::config::NatsAuth;
use beamline_registry::domain::subject::Subject;
use beamline_registry::service::caller::{CallError, Caller, Headers};
use bytes::Bytes;
use secrecy::SecretString;
use tokio::time::Instant;

use super::{CALLS, Calling, Extension, at_once, next};
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
    let calling = Calling::with(&server.url(), user("caller"), CALLS, 16).await;
    calling.round_trip().await;

    let mut allowed = calling.call(SUBJECT, "").await.unwrap();
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
    let calling = Calling::with(&server.url(), user("deaf"), CALLS, 16).await;
    eventually("the denial is known", DEADLINE, async || {
        calling.ask(SUBJECT, "").await == Err(CallError::PermissionDenied)
    })
    .await;
    let refused = at_once(calling.call(SUBJECT, "")).await;
    assert_eq!(refused.err(), Some(CallError::PermissionDenied));
}

#[tokio::test]
async fn what_cannot_be_sent_is_refused_and_the_link_stays() {
    let server = NatsServer::builder().max_payload(1000).start().await;
    let _echo = Extension::at(&server, SUBJECT).await.echo();
    let calling = Calling::ready(&server.url(), 4).await;
    let subject = Subject::parse(SUBJECT).unwrap();
    let with = |name: &'static str, value: &str, payload: usize| {
        let mut headers = Headers::new();
        headers.push(name, value);
        let deadline = Instant::now() + DEADLINE;
        let sent = calling
            .mux
            .call(&subject, headers, vec![b'x'; payload].into(), deadline);
        async { sent.await.err() }
    };
    assert_eq!(
        calling.ask(SUBJECT, vec![b'x'; 1001]).await,
        Err(CallError::TooLarge)
    );
    assert_eq!(
        with("A", "headers count", 1000).await,
        Some(CallError::TooLarge)
    );
    assert_eq!(
        with("A", "split\r\nB: 1", 0).await,
        Some(CallError::InvalidHeader)
    );
    assert_eq!(with("A B:", "1", 0).await, Some(CallError::InvalidHeader));
    assert_eq!(calling.mux.pending(), 0);
    assert_eq!(
        calling
            .ask(SUBJECT, vec![b'x'; 1000])
            .await
            .unwrap()
            .payload
            .len(),
        1000
    );
}

#[tokio::test]
async fn a_call_whose_deadline_has_passed_is_not_sent() {
    let server = NatsServer::start().await;
    let mut extension = Extension::at(&server, SUBJECT).await;
    let calling = Calling::ready(&server.url(), 4).await;
    let subject = Subject::parse(SUBJECT).unwrap();
    let sent = calling.mux.call(
        &subject,
        Headers::new(),
        Bytes::from("late"),
        Instant::now(),
    );
    assert_eq!(sent.await.err(), Some(CallError::Timeout));
    let _call = calling.call(SUBJECT, "in time").await.unwrap();
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
            calls.push((
                calling.call(SUBJECT, payload.clone()).await.unwrap(),
                payload,
            ));
        }
        let refused = at_once(calling.call(SUBJECT, "")).await;
        assert_eq!(refused.err(), Some(CallError::Overloaded));
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
    assert_eq!(calling.mux.pending(), 0);
}

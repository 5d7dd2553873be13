//! `dev`: an author sees each request, call and fault as it happens.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use crate::harness::raw::{MALFORMED, publish_raw};
use crate::harness::servers::{self, Mode};
use crate::harness::{
    Answer, Behaviour, Client, DEADLINE, Daemon, Extension, NatsServer, eventually,
};

/// With the nats-server of the tests.
fn path() -> String {
    let server = servers::nats_server();
    #[expect(clippy::disallowed_methods, reason = "passed on as it is")]
    let known = std::env::var("PATH").unwrap_or_default();
    format!("{}:{known}", server.parent().unwrap().display())
}

#[tokio::test]
async fn an_author_sees_requests_calls_and_faults() {
    if servers::mode() == Mode::Containers {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let write = |entry: &Value| {
        fs::write(folder.path().join("mine.json"), entry.to_string()).unwrap();
    };
    write(&json!({"id": "mine", "type": "pre", "subject": "beamline.ext.mine"}));
    let dev = Daemon::builder().arg("dev").arg(folder.path().display());
    let dev = dev.env("PATH", path());
    let dev = dev.setting("HTTP_ADDR", "off").spawn().await;
    let url = url(&dev).await;
    let client = Client::connect(&url).await;
    let answer = json!({"payload": {"text": "seen"}}).to_string();
    let _extension = Extension::at(&url, "beamline.ext.mine", Behaviour::reply(answer)).await;
    // What is asked before it looks is answered, but not shown.
    eventually("it shows what is asked", DEADLINE, async || {
        let asked = client.try_request("beamline.registry.lookup", "mine", DEADLINE);
        let reply = asked.await.map(|reply| reply.is_no_responders());
        assert!(reply.is_some(), "a request has an answer");
        dev.log().iter().any(|line| line.contains("lookup mine"))
    })
    .await;
    let call = json!({"id": "mine", "payload": {"text": "x"}});
    client
        .request_json("beamline.registry.invoke", &call)
        .await
        .ok();
    client
        .request("beamline.registry.get.nothing", "")
        .await
        .error();
    for words in [
        &["lookup mine", "\"subject\":\"beamline.ext.mine\""][..],
        &["  call beamline.ext.mine (attempt 1)", "seen"],
        &["invoke mine", "seen"],
        &["get nothing", "error 404: "],
    ] {
        let all = |line: &str| words.iter().all(|word| line.contains(word));
        dev.wait_line(words[0], |line| all(line).then_some(()))
            .await;
    }
    write(&json!({"id": "mine", "type": "nonsense", "subject": "beamline.ext.mine"}));
    let fault = |line: &str| (line.contains("mine.json") && line.contains("type")).then_some(());
    dev.wait_line("the fault", fault).await;
    dev.sigterm();
    assert_eq!(dev.wait_exit(DEADLINE).await, 0);
}

/// Contract 2. At a terminal Ctrl-C reaches the whole process group.
#[tokio::test]
async fn a_call_in_flight_is_answered_after_ctrl_c() {
    if servers::mode() == Mode::Containers {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let entry = json!({"id": "mine", "type": "pre", "subject": "beamline.ext.mine"});
    fs::write(folder.path().join("mine.json"), entry.to_string()).unwrap();
    let dev = Daemon::builder().arg("dev").arg(folder.path().display());
    let dev = dev.env("PATH", path()).setting("HTTP_ADDR", "off");
    let dev = dev.shell(r#"exec setsid "$@""#).spawn().await;
    let url = url(&dev).await;
    let client = Client::connect(&url).await;
    let held = Behaviour::Held(Answer::new(r#"{"payload":{}}"#));
    let extension = Extension::at(&url, "beamline.ext.mine", held).await;
    let ready = |line: &str| line.contains(" ready ").then_some(());
    dev.wait_line("that it serves", ready).await;
    let call = json!({"id": "mine", "payload": {}});
    let called = client.request_json("beamline.registry.invoke", &call);
    let interrupted = async {
        extension.wait_count(1).await;
        let group = format!("-{}", dev.pid());
        let mut kill = Command::new("kill");
        let sent = kill.args(["-s", "INT", "--", &group]).status();
        assert!(sent.unwrap().success());
        dev.wait_line("the drain", |line| line.contains("draining").then_some(()))
            .await;
        extension.behave(Behaviour::silent());
    };
    let (reply, ()) = tokio::join!(called, interrupted);
    assert_eq!(reply.ok(), json!({"payload": {}}));
    assert_eq!(dev.wait_exit(DEADLINE).await, 0);
}

/// The daemon waits for the server, and so does what shows the requests.
#[tokio::test]
async fn an_author_sees_requests_of_a_server_that_comes_later() {
    let mut nats = NatsServer::start().await;
    nats.stop().await;
    let folder = tempfile::tempdir().unwrap();
    let dev = Daemon::builder().arg("dev").arg(folder.path().display());
    let dev = dev.nats(&nats.url()).setting("HTTP_ADDR", "off");
    let dev = dev.spawn().await;
    let reason = |line: &str| line.starts_with("requests are not shown: ").then_some(());
    dev.wait_line("why nothing is shown", reason).await;
    nats.start_again().await;
    let client = Client::connect(&nats.url()).await;
    eventually("it shows what is asked", DEADLINE, async || {
        let asked = client.try_request("beamline.registry.lookup", "mine", DEADLINE);
        asked.await.is_some() && dev.log().iter().any(|line| line.contains("lookup mine"))
    })
    .await;
    dev.sigterm();
    assert_eq!(dev.wait_exit(DEADLINE).await, 0);
}

/// CASES.md B1: the client library panics over what anybody may send.
#[tokio::test]
async fn an_author_sees_requests_after_a_header_block_that_cannot_be_read() {
    let nats = NatsServer::start().await;
    let folder = tempfile::tempdir().unwrap();
    let dev = Daemon::builder().arg("dev").arg(folder.path().display());
    let dev = dev.nats(&nats.url()).setting("HTTP_ADDR", "off");
    let dev = dev.spawn().await;
    let client = Client::connect(&nats.url()).await;
    let shows = async |id: &'static str| {
        let line = format!("lookup {id}");
        eventually("it shows what is asked", DEADLINE, async || {
            let asked = client.try_request("beamline.registry.lookup", id, DEADLINE);
            asked.await.is_some() && dev.log().iter().any(|it| it.contains(&line))
        })
        .await;
    };
    shows("before").await;
    publish_raw(&nats.addr(), "beamline.ext.x", None, MALFORMED[0], b"{}").await;
    let reason = |line: &str| line.starts_with("requests are not shown: ").then_some(());
    dev.wait_line("why nothing is shown", reason).await;
    shows("after").await;
    dev.sigterm();
    assert_eq!(dev.wait_exit(DEADLINE).await, 0);
}

#[tokio::test]
async fn an_author_is_told_what_cannot_be_shown() {
    let users = r#"authorization { users: [ { user: u, password: p,
        permissions: { subscribe: { allow: ">", deny: "beamline.ext.>" } } } ] }"#;
    let nats = NatsServer::builder().config(users).start().await;
    let folder = tempfile::tempdir().unwrap();
    let dev = Daemon::builder().arg("dev").arg(folder.path().display());
    let dev = dev.nats(&format!("nats://u:p@{}", nats.addr()));
    let dev = dev.setting("HTTP_ADDR", "off").spawn().await;
    let reason = "messages at `beamline.ext.>` are not shown: the NATS server refuses: ";
    let told = |line: &str| line.starts_with(reason).then_some(());
    dev.wait_line("what is not shown", told).await;
    dev.sigterm();
    assert_eq!(dev.wait_exit(DEADLINE).await, 0);
}

/// Where its nats-server listens.
async fn url(dev: &Daemon) -> String {
    dev.wait_line("where it serves", |line| {
        let place = line.split_once(" at nats://")?.1;
        Some(format!("nats://{place}"))
    })
    .await
}

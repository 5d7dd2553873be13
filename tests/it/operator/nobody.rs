use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::join_all;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::time::timeout;

use super::{run, said};
use crate::harness::ports;
use crate::harness::{Answer, Behaviour, DEADLINE, Extension, NatsServer};
use crate::site::{Site, extensions};

/// "Service unavailable" of sysexits.h.
const UNAVAILABLE: i32 = 69;

#[tokio::test]
async fn it_is_said_who_does_not_answer() {
    let (site, _daemon) = Site::served().await;
    let url = site.nats.url();
    let silent = site.client.nats().subscribe("quiet.ping").await.unwrap();
    let mut silent = silent.fuse();
    for (line, told) in [
        (
            "list --subject-prefix no.such",
            format!("no registry answers under `no.such` at {url}"),
        ),
        (
            "ping --local nobody",
            format!("no sidecar `nobody` answers under `beamline.registry` at {url}"),
        ),
        (
            // Which is also for the connection.
            "ping --subject-prefix quiet --wait 3s",
            format!("no answer under `quiet` at {url} within 3s"),
        ),
        (
            "stats --all --subject-prefix no.such",
            "no registry answers".to_owned(),
        ),
        (
            "invoke a --subject-prefix no.such",
            "no registry answers".to_owned(),
        ),
    ] {
        let ran = run(&url, line).await;
        assert_eq!((ran.code, ran.out.as_str()), (UNAVAILABLE, ""), "{line}");
        assert!(
            ran.err.starts_with("error: ") && ran.err.contains(&told),
            "{}",
            ran.err
        );
    }
    assert!(silent.next().await.is_some(), "it was asked");
    let nowhere = format!("nats://127.0.0.1:{}", ports::free_port());
    let ran = run(&nowhere, "list").await;
    assert_eq!(ran.code, UNAVAILABLE);
    let told = format!("cannot connect to NATS at {nowhere}: ");
    assert!(ran.err.contains(&told), "{}", ran.err);
}

/// What is committed is answered late where the sidecar is slow to serve it: docs/administration.md.
#[tokio::test]
async fn a_change_is_waited_for_as_long_as_it_may_take() {
    let nats = NatsServer::start().await;
    let (url, answer) = (nats.url(), Answer::new(r#"{"id":"a","revision":7}"#));
    let slow = Behaviour::Slow(Duration::from_secs(6), answer);
    let _registry = Extension::at(&url, "beamline.registry.update", slow).await;
    let told = said(&url, "update a retry=1").await;
    assert_eq!(told, "a: updated, revision 7\n");
}

#[tokio::test]
async fn a_server_is_shown_its_own_login_and_no_others() {
    // Whoever shows none is let in, whoever shows a wrong one is not.
    let users = r#"authorization { users: [ { user: u, password: p }, { user: t, password: t } ] }
        no_auth_user: t"#;
    let nats = NatsServer::builder().config(users).start().await;
    let site = Site::on(nats, &extensions()).await;
    let _daemon = site.start(site.daemon()).await;
    let live = format!("nats://u:p@{}", site.nats.addr());
    let dead = ports::free_port();
    said(&format!("nats://x:y@127.0.0.1:{dead},{live}"), "ping").await;

    let other = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("nats://{},{live}", other.local_addr().unwrap());
    let shown = async {
        let (mut socket, _) = other.accept().await.unwrap();
        let info = br#"INFO {"server_id":"other","version":"2.12.0","max_payload":1048576,"headers":true,"auth_required":true}"#;
        socket.write_all(info).await.unwrap();
        socket.write_all(b"\r\n").await.unwrap();
        let mut line = String::new();
        let mut reader = BufReader::new(socket);
        reader.read_line(&mut line).await.unwrap();
        let refusal = b"-ERR 'Authorization Violation'\r\n";
        reader.get_mut().write_all(refusal).await.unwrap();
        line
    };
    let shown = timeout(DEADLINE, shown);
    let (shown, _pong) = tokio::join!(shown, said(&url, "ping --wait 20s"));
    let shown = shown.expect("a login");
    let shown = shown.strip_prefix("CONNECT ").expect("its first line");
    let shown: Value = serde_json::from_str(shown).unwrap();
    for field in ["user", "pass", "auth_token"] {
        assert_eq!(shown[field], Value::Null, "{field}");
    }
}

/// The client tries them in any order.
#[tokio::test]
async fn a_silent_server_leaves_the_others_their_share_of_the_patience() {
    let (site, _daemon) = Site::served().await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!(
        "nats://{},{}",
        silent.local_addr().unwrap(),
        site.nats.url()
    );
    let asking = (0..8).map(|_| run(&url, "ping"));
    for ran in join_all(asking).await {
        assert_eq!(ran.code, 0, "{}", ran.err);
    }
}

#[tokio::test]
async fn a_missing_permission_is_told_at_once() {
    let nats = NatsServer::builder()
        .config(
            r#"authorization { users = [{
                user: reader, password: "s3cret",
                permissions: { publish: "beamline.registry.ping", subscribe: "_INBOX.>" }
            }] }"#,
        )
        .start()
        .await;
    let url = nats.url();
    let as_reader =
        |line: &str| format!("{line} --nats-user reader --nats-password s3cret --wait 20s");
    for line in ["list", "watch", "ping --nats-inbox-prefix _INBOX_mine"] {
        let ran = run(&url, &as_reader(line)).await;
        assert_eq!(ran.code, UNAVAILABLE, "{line}: {}", ran.err);
        assert!(
            ran.err.contains("Permissions Violation"),
            "{line}: {}",
            ran.err
        );
        assert!(!ran.err.contains("s3cret"), "{}", ran.err);
    }
    let ran = run(&url, "list").await;
    assert_eq!(ran.code, UNAVAILABLE);
    assert!(ran.err.contains("authorization violation"), "{}", ran.err);
}

#[tokio::test]
async fn what_is_typed_wrong_is_bad_usage() {
    // Nothing is connected to for these.
    for line in [
        "get",
        "get a b",
        "list --type first",
        "list --limit 0",
        "lookup a --context tenant",
        "lookup a --context n=1 --context n=2",
        "disable --selector owner=a --selector owner=b",
        "update a retry=1 retry=2",
        "invoke a --override n=1 --override n=1",
        "circuit a explode",
        "circuit a open --ttl 5",
        "ping --local a.b",
        "ping --as a.b",
        "ping --as a --local b",
        "list --all",
        "cancel a --as alice",
        "watch --kind nothing",
        "completion cmd",
        "invoke a --payload {",
        "invoke a --stream --dry-run",
        "ping --wait soon",
        "invoke a --wait 18446744073709551615s600ms",
        "invoke a --timeout 500us",
        "circuit a open --ttl 500ms",
    ] {
        let ran = run("nats://127.0.0.1:1", line).await;
        assert_eq!(
            (ran.code, ran.out.as_str()),
            (64, ""),
            "{line}: {}",
            ran.err
        );
    }
}

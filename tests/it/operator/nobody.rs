use futures_util::StreamExt;

use super::run;
use crate::harness::NatsServer;
use crate::harness::ports;
use crate::site::Site;

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
            "ping --subject-prefix quiet --wait 200ms",
            format!("no answer under `quiet` at {url} within 200ms"),
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
        "circuit a explode",
        "circuit a open --ttl 5",
        "ping --local a.b",
        "ping --as a.b",
        "ping --as a --local b",
        "list --all",
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

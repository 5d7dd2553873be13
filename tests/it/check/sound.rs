//! What works is found to work, and nothing is disturbed by looking.

use serde_json::json;

use super::{Found, sound};
use crate::access::guarded;
use crate::access::ruled::Ruled;
use crate::harness::{Daemon, NatsServer, ports, settled};
use crate::site::Site;

#[tokio::test]
async fn fixtures_on_a_plain_server() {
    let site = Site::with(&sound()).await;
    let found = Found::by(site.daemon()).await;
    found.is_sound();
    // A check has the same name whether it fails or not.
    let receives = |line: &&serde_json::Value| line.to_string().contains("receives at _INBOX.>");
    assert!(
        found.marked("good").iter().any(receives),
        "{:#}",
        found.document
    );
    Found::by(site.daemon().setting("HTTP_ADDR", "off"))
        .await
        .is_sound();
    let with_prefix = site.daemon().setting("SUBJECT_PREFIX", "other.place");
    Found::by(with_prefix).await.is_sound();
}

/// The daemon never asks it.
#[tokio::test]
async fn a_database_beside_files_alone_need_not_be_there() {
    let site = Site::with(&sound()).await;
    let unreachable = site.daemon().database("postgres://u:pw@127.0.0.1:1/x");
    Found::by(unreachable.clone()).await.is_sound();
    Found::by(unreachable.setting("SOURCE", "auto"))
        .await
        .names("database", "connects for queries");
}

#[tokio::test]
async fn the_roles_and_the_users_that_ship() {
    let (server, ruled) = tokio::join!(guarded::server(), Ruled::start());
    let daemon = guarded::daemon(&server).database(&ruled.url("beamline_registry"));
    Found::by(daemon.setting("SOURCE", "database"))
        .await
        .is_sound();
}

#[tokio::test]
async fn beside_a_daemon_that_runs() {
    let site = Site::with(&sound()).await;
    let port = ports::free_port();
    let here = |builder: crate::harness::daemon::Builder| {
        builder.setting("HTTP_ADDR", format!("127.0.0.1:{port}"))
    };
    let _daemon = site.start(here(site.named("one"))).await;
    let found = Found::by(here(site.named("one"))).await;
    found.is_sound();
    let running = |line: &&serde_json::Value| line.to_string().contains("a daemon is running");
    assert!(
        found.marked("good").iter().any(running),
        "{:#}",
        found.document
    );
}

/// A check subscribes in the group for a moment: no request may be lost to it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_request_is_answered_while_somebody_checks() {
    let (site, _daemon) = Site::serving(&sound()).await;
    let client = &site.client;
    let stop = std::sync::atomic::AtomicBool::new(false);
    let asking = async {
        let (mut served, mut turned_away) = (0, 0);
        while !stop.load(std::sync::atomic::Ordering::Relaxed) {
            let body = json!({"id": "normalize_text"});
            let reply = client.request_json("beamline.registry.get", &body).await;
            match reply.header("Nats-Service-Error-Code") {
                None => served += 1,
                Some("503") => turned_away += 1,
                Some(_) => panic!("{:?}", reply.error()),
            }
        }
        (served, turned_away)
    };
    let checking = async {
        for _ in 0..5 {
            Found::by(site.daemon()).await.is_sound();
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    };
    let ((served, turned_away), ()) = tokio::join!(asking, checking);
    assert!(
        served > 10 * turned_away,
        "{served} served, {turned_away} turned away"
    );
}

#[tokio::test]
async fn what_is_published_means_nothing_to_anybody() {
    let nats = NatsServer::start().await;
    let observer = async_nats::connect(nats.url()).await.unwrap();
    let mut events = observer
        .subscribe("beamline.registry.events.>")
        .await
        .unwrap();
    settled(&observer).await;
    let folder = tempfile::tempdir().unwrap();
    let builder = Daemon::builder().nats(&nats.url()).fixtures(folder.path());
    Found::by(builder).await.is_sound();
    let event = futures_util::StreamExt::next(&mut events).await.unwrap();
    let event: serde_json::Value = serde_json::from_slice(&event.payload).unwrap();
    assert_eq!(event["type"], "beamline.registry.check");
}

/// As an operator sees it.
#[tokio::test]
async fn a_terminal_gets_groups_marks_and_hints() {
    let site = Site::with(&json!({"id": "a", "type": "no_such_type"})).await;
    let (code, out, _) = site.daemon().arg("check").run().await;
    assert_eq!(code, 1, "{out}");
    for line in [
        "configuration\n-------------\n\u{221a} is sound; ",
        "NATS\n----\n\u{221a} connects to 127.0.0.1:",
        "\u{221a} may subscribe to all ",
        "files\n-----\n\u{221a} ",
        "\n\u{d7} all.json is sound\n    line 1, column 18: `type` must be one of ",
        "\n    hint: correct the entry",
        "\n    see docs/troubleshooting.md#a-record-is-quarantined",
    ] {
        assert!(out.contains(line), "{line}: {out}");
    }
}

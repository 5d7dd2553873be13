use serde_json::{Value, json};

use super::{command, said};
use crate::harness::raw::{MALFORMED, publish_raw};
use crate::harness::{DEADLINE, Daemon, FaultProxy, NatsServer, eventually};
use crate::rig::Rig;
use crate::site::Site;

/// Follows the events; returns when the server knows of it.
async fn watching(url: &str, line: &str) -> Daemon {
    let watch = command(url, line).spawn().await;
    wait_line(&watch, |line| {
        line.starts_with("watching `beamline.registry.events.>`")
    })
    .await;
    watch
}

async fn wait_line(watch: &Daemon, wanted: impl Fn(&str) -> bool) -> String {
    let found = |line: &str| wanted(line).then(|| line.to_owned());
    watch.wait_line("a line", found).await
}

#[tokio::test]
async fn events_are_shown_as_they_happen_until_interrupted() {
    let rig = Rig::start().await;
    let daemon = rig.daemon().spawn().await;
    daemon.wait_ready().await;
    let url = rig.nats.url();
    let all = watching(&url, "watch").await;
    let openings = watching(&url, "watch --kind circuit_opened --id a --json").await;

    said(&url, "create a type=pre subject=beamline.ext.a").await;
    said(&url, "circuit a open").await;
    let created = wait_line(&all, |line| line.contains("extension_created")).await;
    let words: Vec<&str> = created.split_whitespace().collect();
    assert_eq!(
        words[1..5],
        ["extension_created", "a", "revision", "1"],
        "{created}"
    );
    assert!(words[0].ends_with('Z'), "{created}");
    let opened = wait_line(&all, |line| line.contains("circuit_opened")).await;
    assert!(opened.contains("a  v1 closed -> open (forced)"), "{opened}");
    let event = wait_line(&openings, |line| line.starts_with('{')).await;
    let event: Value = serde_json::from_str(&event).unwrap();
    assert_eq!(event["type"], "beamline.registry.circuit_opened");

    for watch in [&all, &openings] {
        watch.signal("INT");
        assert_eq!(watch.wait_exit(DEADLINE).await, 0);
    }
    let shown = openings
        .log()
        .iter()
        .filter(|line| line.starts_with('{'))
        .count();
    assert_eq!(shown, 1, "nothing else: {:?}", openings.log());
}

/// One of two changes of a revision waits for the other.
#[tokio::test]
async fn an_event_that_waits_for_others_is_shown_when_interrupted() {
    let (site, _daemon) = Site::served().await;
    let watch = watching(&site.nats.url(), "watch").await;
    let client = site.client.nats();
    let publish = async |kind: &str, data: Value| {
        let subject = format!("beamline.registry.events.{kind}.a");
        let event = json!({"subject": "a", "data": data}).to_string();
        client.publish(subject, event.into()).await.unwrap();
    };
    let one = json!({"revision": 7, "total": 2, "changed": ["retry"]});
    publish("extension_updated", one).await;
    publish("health_degraded", json!({"success_rate": 0.5})).await;
    client.flush().await.unwrap();
    wait_line(&watch, |line| line.contains("health_degraded")).await;
    watch.signal("INT");
    assert_eq!(watch.wait_exit(DEADLINE).await, 0);
    let log = watch.log();
    assert!(
        log.iter().any(|line| line.contains("revision 7: retry")),
        "{log:?}"
    );
}

#[tokio::test]
async fn a_watch_outlives_the_server() {
    let mut nats = NatsServer::start().await;
    let watch = command(&nats.url(), "watch").spawn().await;
    wait_line(&watch, |line| {
        line.contains("no registry answers there now")
    })
    .await;
    nats.stop().await;
    wait_line(&watch, |line| line.contains("is lost")).await;
    nats.start_again().await;
    wait_line(&watch, |line| line == "connected again").await;
    watch.signal("INT");
    assert_eq!(watch.wait_exit(DEADLINE).await, 0);
}

/// Contract 2: a silent connection is given up after 3 s.
#[tokio::test]
async fn a_watch_notices_that_the_server_is_silent() {
    let nats = NatsServer::start().await;
    let proxy = FaultProxy::start(&nats.addr()).await;
    let url = format!("nats://{}", proxy.addr());
    let watch = watching(&url, "watch").await;
    proxy.stall();
    wait_line(&watch, |line| line.contains("is lost")).await;
    proxy.heal().await;
    wait_line(&watch, |line| line == "connected again").await;
    watch.signal("INT");
    assert_eq!(watch.wait_exit(DEADLINE).await, 0);
}

/// Such as a server sends where nobody listens, but anybody may publish it.
#[tokio::test]
async fn a_watch_outlives_an_event_with_a_status() {
    let (site, _daemon) = Site::served().await;
    let watch = watching(&site.nats.url(), "watch").await;
    let subject = "beamline.registry.events.circuit_opened.a";
    let status = b"NATS/1.0 503\r\n\r\n";
    publish_raw(&site.nats.addr(), subject, None, status, b"").await;
    said(&site.nats.url(), "circuit plain open").await;
    wait_line(&watch, |line| line.contains("plain  v1 closed -> open")).await;
    watch.signal("INT");
    assert_eq!(watch.wait_exit(DEADLINE).await, 0);
}

/// CASES.md B1: the client library panics over what anybody may publish.
#[tokio::test]
async fn a_watch_outlives_a_header_block_that_ends_its_client() {
    let rig = Rig::start().await;
    let daemon = rig.daemon().spawn().await;
    daemon.wait_ready().await;
    let url = rig.nats.url();
    let watch = watching(&url, "watch").await;
    let subject = "beamline.registry.events.circuit_opened.a";
    publish_raw(&rig.nats.addr(), subject, None, MALFORMED[0], b"{}").await;
    wait_line(&watch, |line| line.contains("is lost")).await;
    eventually("it watches again", DEADLINE, async || {
        let log = watch.log();
        let begun = log.iter().filter(|line| line.starts_with("watching `"));
        begun.count() > 1
    })
    .await;
    said(&url, "create a type=pre subject=beamline.ext.a").await;
    wait_line(&watch, |line| line.contains("extension_created")).await;
    watch.signal("INT");
    assert_eq!(watch.wait_exit(DEADLINE).await, 0);
}

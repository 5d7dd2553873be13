//! Our own link down: nobody's fault, so no circuit opens and nothing is disabled.

use std::time::Duration;

use futures_util::future::join_all;

use super::*;
use crate::harness::{Client, FaultProxy};

/// A NATS outage of `length` under calls. The extension needs a while longer than the sidecar to be
/// there again, as extensions do.
async fn survives(length: Duration) {
    let mut rig = Rig::start().await;
    add(&rig, &["a"], &[]).await;
    let daemon = ready(disabling(&rig, "pod-1")).await;
    let player = Player::start(&rig.nats.url(), "a").await;
    invoke(&rig, "pod-1", "a").await.ok();

    rig.nats.stop().await;
    drop(player);
    tokio::time::sleep(length).await;
    rig.nats.start_again().await;

    // The one of before may take seconds to be back, and the sidecar trusts its link after ten.
    let client = Client::connect(&rig.nats.url()).await;
    let subject = "beamline.registry.local.pod-1.invoke";
    let patience = Duration::from_millis(500);
    let call = async || {
        let body = json!({"id": "a", "payload": {}}).to_string();
        let reply = client.try_request(subject, body, patience).await;
        // The server's own word that the sidecar is not there yet.
        reply.filter(|reply| !reply.is_no_responders())
    };
    let mut unanswered = 0;
    eventually(
        "calls come through, and nobody takes them",
        DEADLINE,
        async || {
            let reply = call().await;
            let reason = reply.map(|reply| reply.details()["reason"].clone());
            unanswered += usize::from(reason.is_some_and(|reason| reason == "no_responders"));
            // More than enough to open a circuit, of which nobody would know otherwise.
            unanswered >= 10
        },
    )
    .await;
    let player = Player::start(&rig.nats.url(), "a").await;
    eventually("calls succeed", DEADLINE, async || {
        call()
            .await
            .is_some_and(|reply| error_code(&reply).is_none())
    })
    .await;
    assert_eq!(logged(&daemon, "circuit opened", "a"), 0);
    assert_eq!(automatic(&rig, "a").await, "");

    // And circuits are not asleep for ever.
    player.fail(500);
    eventually("a circuit opens", DEADLINE, async || {
        call().await;
        logged(&daemon, "circuit opened", "a") > 0
    })
    .await;
}

#[tokio::test]
async fn an_outage_of_nats_opens_and_disables_nothing() {
    survives(Duration::from_secs(2)).await;
}

#[tokio::test]
#[ignore = "a minute: an outage of half a minute"]
async fn an_outage_of_nats_for_30_seconds_opens_and_disables_nothing() {
    survives(Duration::from_secs(30)).await;
}

#[tokio::test]
async fn calls_that_a_dead_network_swallows_open_and_disable_nothing() {
    let rig = Rig::start().await;
    add(&rig, &["a"], &[]).await;
    run(&rig.sql, "UPDATE extensions SET timeout_ms = 3000").await;
    let proxy = FaultProxy::start(&rig.nats.addr()).await;
    let builder = disabling(&rig, "pod-1").setting("NATS_URL", format!("nats://{}", proxy.addr()));
    let daemon = ready(builder).await;
    let player = Player::start(&rig.nats.url(), "a").await;
    player.fall_silent();
    // The connection stays open and says nothing for longer than the calls may take.
    let swallow = async {
        eventually("all calls are under way", DEADLINE, async || {
            player.received.lock().unwrap().len() == 10
        })
        .await;
        proxy.stall();
        tokio::time::sleep(Duration::from_secs(4)).await;
        proxy.heal().await;
    };
    let calls = join_all((0..10).map(|_| invoke(&rig, "pod-1", "a")));
    let (replies, ()) = tokio::join!(calls, swallow);
    for reply in replies {
        assert_eq!(reply.error(), (503, "extension_unavailable".to_owned()));
    }
    assert_eq!(logged(&daemon, "circuit opened", "a"), 0);
    assert_eq!(automatic(&rig, "a").await, "");
    player.recover();
    invoke(&rig, "pod-1", "a").await.ok();
}

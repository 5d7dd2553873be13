//! Our own link down: nobody's fault, so no circuit opens and nothing is disabled.

use std::time::Duration;

use super::*;

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

    let subject = "beamline.registry.local.pod-1.invoke";
    let patience = Duration::from_millis(500);
    let call = async || {
        let body = json!({"id": "a", "payload": {}}).to_string();
        rig.client.try_request(subject, body, patience).await
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

use std::time::Duration;

use serde_json::json;

use super::record;
use crate::harness::{Answer, Behaviour, DEADLINE, FaultProxy, eventually};
use crate::site::{Site, subject};

/// The daemon's own link breaks, not the extension's: whoever waits gets one answer or none, nobody
/// is blamed, and afterwards all is as before.
#[tokio::test]
async fn a_lost_link_is_nobodys_fault_and_leaves_nothing_behind() {
    let fields = json!({"metadata": {"max_in_flight": 8}});
    let site = Site::with(&json!([record("x", fields)])).await;
    let proxy = FaultProxy::start(&site.nats.addr()).await;
    let daemon = site.daemon().nats(&format!("nats://{}", proxy.addr()));
    let _daemon = site.start(daemon).await;
    let extension = site.play("x", Behaviour::silent()).await;
    for round in 1..=2 {
        let before = extension.count();
        extension.behave(Behaviour::Held(Answer::new("{}")));
        let (invoke, body) = (subject("invoke"), r#"{"id":"x","payload":1}"#);
        let patience = Duration::from_millis(500);
        let waiting = (0..8).map(|_| site.client.try_request(&invoke, body, patience));
        let waiting = futures_util::future::join_all(waiting);
        let cut = async {
            extension.wait_count(before + 8).await;
            proxy.cut().await;
            extension.behave(Behaviour::Echo);
        };
        let (replies, ()) = tokio::join!(waiting, cut);
        assert!(
            replies.iter().all(Option::is_none),
            "no link, no answer: {replies:?}"
        );
        proxy.heal().await;
        eventually("it answers again", DEADLINE, async || {
            let reply = site.client.try_request(&invoke, body, patience).await;
            reply.is_some_and(|reply| reply.header("Beamline-Extension-Id").is_some())
        })
        .await;
        assert_eq!(site.circuit("x").await, "closed", "round {round}");
        // All places are free.
        for _ in 0..8 {
            site.call("x", json!({})).await.ok();
        }
    }
    site.client.assert_one_reply_each().await;
}

#[tokio::test]
async fn a_server_that_restarts_is_waited_for() {
    let mut site = Site::with(&json!([record("x", json!({}))])).await;
    let _daemon = site.start(site.daemon()).await;
    let extension = site.play("x", Behaviour::Echo).await;
    site.call("x", json!({})).await.ok();
    site.nats.kill().await;
    site.nats.start_again().await;
    let (invoke, body) = (
        subject("invoke"),
        r#"{"id":"x","payload":1,"timeout_ms":1000}"#,
    );
    let patience = Duration::from_millis(500);
    eventually("it answers again", DEADLINE, async || {
        let reply = site.client.try_request(&invoke, body, patience).await;
        reply.is_some_and(|reply| reply.header("Beamline-Extension-Id").is_some())
    })
    .await;
    assert!(extension.count() >= 2);
}

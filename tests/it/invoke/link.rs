use std::time::Duration;

use serde_json::json;

use super::record;
use crate::harness::{Answer, Behaviour, DEADLINE, FaultProxy, Reply, eventually};
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
        // The other connections come back in their own time.
        for verb in ["lookup", "explain"] {
            eventually(verb, DEADLINE, async || {
                let reply = site.client.try_request(&subject(verb), "x", patience).await;
                reply.is_some_and(|reply| !reply.is_no_responders())
            })
            .await;
        }
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
    // The extension may be back later than the sidecar, and nobody there counts.
    let fields = json!({"circuit_breaker": {"enabled": false}});
    let mut site = Site::with(&json!([record("x", fields)])).await;
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
        let answered = |reply: &Reply| reply.header("Beamline-Extension-Id").is_some();
        match reply {
            Some(reply) if answered(&reply) => Ok(()),
            other => Err((other, extension.count())),
        }
    })
    .await;
}

/// What the server denies to this sidecar, it denies to the sidecar, not to the extension.
#[tokio::test]
async fn a_subject_denied_to_us_is_nobodys_fault() {
    let denied = r#"publish: { deny: ["*.ext.x.>"] }"#;
    let fixtures = json!([record("x", json!({"retry": 3})), record("y", json!({}))]);
    let (site, _daemon) = Site::restricted(denied, &fixtures).await;
    let x = site.play("x", Behaviour::Echo).await;
    let y = site.play("y", Behaviour::Held(Answer::new("{}"))).await;
    let (held, ()) = tokio::join!(site.call("y", json!({})), async {
        y.wait_count(1).await;
        for _ in 0..3 {
            let denied = site.call("x", json!({})).await;
            assert_eq!(denied.error(), (403, "forbidden".to_owned()));
        }
        y.behave(Behaviour::Echo);
    });
    held.ok();
    assert_eq!((x.count(), site.circuit("x").await.as_str()), (0, "closed"));
}

/// Nor is it an extension's fault that its answers are denied to this sidecar.
#[tokio::test]
async fn answers_denied_to_us_are_nobodys_fault() {
    let denied = r#"subscribe: { deny: ["_INBOX.*.>"] }"#;
    let fixtures = json!([record("x", json!({"retry": 3}))]);
    let (site, _daemon) = Site::restricted(denied, &fixtures).await;
    let x = site.play("x", Behaviour::Echo).await;
    let denied = site.call("x", json!({})).await;
    assert_eq!(denied.error(), (403, "forbidden".to_owned()));
    let message = denied.json()["error"]["message"].to_string();
    assert!(message.contains("or hear its answer"), "{message}");
    assert_eq!((x.count(), site.circuit("x").await.as_str()), (0, "closed"));
}

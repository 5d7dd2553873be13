//! NATS leaves and returns: readiness stays, the metrics tell, and nothing is answered twice.

use std::time::Duration;

use crate::harness::{Client, DEADLINE, Daemon, FaultProxy, eventually};
use crate::site::{Site, extensions, subject};

const PATIENCE: Duration = Duration::from_millis(500);

#[tokio::test]
async fn a_restarted_nats_server_is_served_again() {
    let (mut site, daemon) = Site::served().await;
    for round in 0..3 {
        if round % 2 == 0 {
            site.nats.kill().await;
        } else {
            site.nats.stop().await;
        }
        wait_links(&daemon, 0.0).await;
        assert_eq!(
            daemon.get("/readyz").await.status,
            200,
            "readiness is a latch"
        );
        assert_eq!(daemon.get("/livez").await.status, 200);
        site.nats.start_again().await;
        wait_links(&daemon, 1.0).await;
        let client = Client::connect(&site.nats.url()).await;
        for verb in ["lookup", "get"] {
            eventually("an answer after the restart", DEADLINE, async || {
                let reply = client.try_request(&subject(verb), "plain", PATIENCE).await;
                reply.filter(|reply| !reply.is_no_responders())
            })
            .await
            .ok();
        }
        eventually("discovery is back", DEADLINE, async || {
            let reply = client
                .try_request("$SRV.PING.beamline-registry", "", PATIENCE)
                .await;
            reply.filter(|reply| !reply.is_no_responders())
        })
        .await
        .ok();
        for _ in 0..50 {
            client.request(&subject("lookup"), "plain").await.ok();
        }
        client.assert_one_reply_each().await;
    }
    let log = daemon.log().join("\n");
    assert!(
        log.contains("nats disconnected") && log.contains("nats connected"),
        "{log}"
    );
}

#[tokio::test]
async fn requests_of_before_a_cut_are_not_answered_twice() {
    let site = Site::with(&extensions()).await;
    let proxy = FaultProxy::start(&site.nats.addr()).await;
    let through = format!("nats://{}", proxy.addr());
    let daemon = site.start(site.daemon().nats(&through)).await;
    for _ in 0..3 {
        // Sent into the void: the server has them, the daemon may or may not.
        proxy.stall();
        for n in 0..20 {
            let verb = subject(if n % 2 == 0 { "lookup" } else { "get" });
            site.client
                .try_request(&verb, "plain", Duration::from_millis(1))
                .await;
        }
        proxy.cut().await;
        wait_links(&daemon, 0.0).await;
        proxy.heal().await;
        wait_links(&daemon, 1.0).await;
        eventually("an answer after the cut", DEADLINE, async || {
            let reply = site
                .client
                .try_request(&subject("lookup"), "plain", PATIENCE)
                .await;
            reply.filter(|reply| !reply.is_no_responders())
        })
        .await
        .ok();
    }
    site.client.assert_one_reply_each().await;
    assert_eq!(daemon.get("/readyz").await.status, 200);
}

async fn wait_links(daemon: &Daemon, wanted: f64) {
    eventually("the metrics tell of the links", DEADLINE, async || {
        super::metric(daemon, "extension_registry_nats_up").await == Some(wanted)
    })
    .await;
}

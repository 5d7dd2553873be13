//! A signal ends the daemon in good order, whatever it is doing.

use serde_json::json;

use crate::harness::daemon::message;
use crate::harness::{
    Behaviour, DEADLINE, Daemon, Extension, FaultProxy, NatsServer, Reply, TestDatabase, eventually,
};
use crate::site::{Site, extensions};

#[tokio::test]
async fn an_idle_daemon_leaves_at_once() {
    for signal in ["TERM", "INT"] {
        let site = Site::with(&extensions()).await;
        let grace = site.daemon().setting("SHUTDOWN_GRACE_SECONDS", 60);
        let daemon = site.start(grace).await;
        daemon.signal(signal);
        // No grace is waited out.
        assert_eq!(daemon.wait_exit(DEADLINE).await, 0, "{signal}");
        assert!(site.send("lookup", "plain").await.is_no_responders());
        assert!(logged(&daemon, "draining") && logged(&daemon, "stopped"));
    }
}

#[tokio::test]
async fn a_daemon_that_is_not_ready_yet_leaves_too() {
    let mut site = Site::with(&extensions()).await;
    site.nats.stop().await;
    let waiting_for_nats = site.daemon().spawn().await;
    let database = TestDatabase::create().await;
    let proxy = FaultProxy::start(database.addr()).await;
    proxy.cut().await;
    let nats = NatsServer::start().await;
    let builder = Daemon::builder()
        .nats(&nats.url())
        .setting("SOURCE", "database");
    let waiting_for_data = builder
        .database(&database.url_at(proxy.addr()))
        .spawn()
        .await;
    for daemon in [waiting_for_nats, waiting_for_data] {
        assert_eq!(daemon.get("/readyz").await.status, 503);
        daemon.sigterm();
        assert_eq!(daemon.wait_exit(DEADLINE).await, 0);
    }
}

#[tokio::test]
async fn a_daemon_that_has_lost_nats_leaves_too() {
    let (mut site, daemon) = Site::served().await;
    site.nats.stop().await;
    daemon.sigterm();
    assert_eq!(daemon.wait_exit(DEADLINE).await, 0);
}

#[tokio::test]
async fn what_waits_at_the_end_of_the_grace_is_told() {
    let site = Site::with(&extensions()).await;
    let daemon = site
        .start(site.daemon().setting("SHUTDOWN_GRACE_SECONDS", "300ms"))
        .await;
    let (lookup, get) = wait_through_a_stop(&site, &daemon, 10_000).await;
    for reply in [lookup, get] {
        assert_eq!(
            reply.error(),
            (503, "shutting_down".to_owned()),
            "{reply:?}"
        );
    }
    assert_eq!(daemon.wait_exit(DEADLINE).await, 0);
    assert!(logged(
        &daemon,
        "answered shutting_down at the end of the grace period"
    ));
    site.client.assert_one_reply_each().await;
}

/// The server has no room for one of the three connections: the start is never over.
#[tokio::test]
async fn what_was_taken_during_the_start_is_answered() {
    let nats = NatsServer::builder().config("max_connections: 3");
    let site = Site::on(nats.start().await, &extensions()).await;
    let daemon = site.daemon().setting("SHUTDOWN_GRACE_SECONDS", "300ms");
    let daemon = daemon.spawn().await;
    let served = eventually("requests are taken", DEADLINE, async || {
        for verb in ["lookup", "get"] {
            if !site.send(verb, "plain").await.is_no_responders() {
                return Some(verb);
            }
        }
        None
    })
    .await;
    assert_eq!(daemon.get("/readyz").await.status, 503);
    let request = waiting(10_000);
    let signal = async {
        site.send(served, "plain").await.ok();
        daemon.sigterm();
    };
    let (reply, ()) = tokio::join!(site.ask(served, &request), signal);
    assert_eq!(reply.error(), (503, "shutting_down".to_owned()));
    assert_eq!(daemon.wait_exit(DEADLINE).await, 0);
    site.client.assert_one_reply_each().await;
}

#[tokio::test]
async fn what_ends_within_the_grace_gets_its_own_answer() {
    let site = Site::with(&extensions()).await;
    let daemon = site
        .start(site.daemon().setting("SHUTDOWN_GRACE_SECONDS", 15))
        .await;
    let (lookup, get) = wait_through_a_stop(&site, &daemon, 1000).await;
    for reply in [lookup, get] {
        assert_eq!(
            reply.error(),
            (412, "revision_timeout".to_owned()),
            "{reply:?}"
        );
    }
    assert_eq!(daemon.wait_exit(DEADLINE).await, 0);
    site.client.assert_one_reply_each().await;
}

#[tokio::test]
async fn the_probe_says_draining_and_a_second_signal_ends_it_at_once() {
    let mut fixtures = extensions();
    fixtures[0]["timeout_ms"] = json!(60_000);
    let site = Site::with(&fixtures).await;
    let daemon = site
        .start(site.daemon().setting("SHUTDOWN_GRACE_SECONDS", 60))
        .await;
    let (url, silent) = (site.nats.url(), Behaviour::silent());
    let plain = Extension::at(&url, "beamline.ext.plain.v1", silent).await;
    let ends = async {
        plain.wait_count(1).await;
        daemon.sigterm();
        daemon
            .wait_log("the drain", |entry| {
                (message(entry)? == "draining").then_some(())
            })
            .await;
        let page = daemon.get("/readyz").await;
        assert_eq!(
            (page.status, &page.json()["status"]),
            (503, &json!("draining"))
        );
        assert_eq!(daemon.get("/livez").await.status, 200, "alive to the end");
        daemon.sigterm();
        // Long before the call or the grace is over.
        daemon.wait_exit(DEADLINE).await
    };
    let call = json!({"id": "plain", "payload": {}}).to_string();
    let subject = crate::site::subject("invoke");
    let call = site.client.try_request(&subject, call, 3 * DEADLINE);
    let code = tokio::select! {
        code = ends => code,
        // Nobody answers it any more.
        _ = async { call.await; std::future::pending::<()>().await } => unreachable!(),
    };
    assert_eq!(code, 1, "not in good order");
}

/// The replies to a lookup and a get that were waiting when the signal came.
async fn wait_through_a_stop(site: &Site, daemon: &Daemon, wait_ms: u64) -> (Reply, Reply) {
    let request = waiting(wait_ms);
    let signal = async {
        accepted(site).await;
        daemon.sigterm();
    };
    let (lookup, get) = (site.ask("lookup", &request), site.ask("get", &request));
    let (lookup, get, ()) = tokio::join!(lookup, get, signal);
    (lookup, get)
}

/// A request that waits, as revisions of fixtures never come.
fn waiting(wait_ms: u64) -> serde_json::Value {
    json!({"id": "plain", "min_revision": 1, "wait_ms": wait_ms})
}

/// Returns when whatever this client sent before has been received: a subscription keeps order.
async fn accepted(site: &Site) {
    for verb in ["lookup", "get"] {
        site.send(verb, "plain").await.ok();
    }
}

fn logged(daemon: &Daemon, text: &str) -> bool {
    let log = daemon.log();
    let mut entries = log
        .iter()
        .filter_map(|line| serde_json::from_str(line).ok());
    entries.any(|entry| message(&entry) == Some(text))
}

//! HTTP first, then data, then NATS: no request is taken before it can be answered rightly.

use serde_json::{Value, json};

use crate::harness::daemon::message;
use crate::harness::{Client, DEADLINE, Daemon, FaultProxy, NatsServer, eventually};
use crate::schema::migrated;
use crate::site::{Site, extensions, subject};

#[tokio::test]
async fn http_answers_before_there_is_data_and_requests_only_after() {
    let nats = NatsServer::start().await;
    let client = Client::connect(&nats.url()).await;
    let (database, sql) = migrated().await;
    sql.batch_execute(
        "INSERT INTO extensions (id, type, subject) VALUES ('a', 'pre', 'beamline.ext.a')",
    )
    .await
    .unwrap();
    let proxy = FaultProxy::start(database.addr()).await;
    proxy.cut().await;
    let builder = Daemon::builder()
        .nats(&nats.url())
        .setting("SOURCE", "database");
    let builder = builder.setting("INSTANCE_ID", "pod-1");
    let daemon = builder
        .database(&database.url_at(proxy.addr()))
        .spawn()
        .await;

    // The first attempt has failed by the time the page can say why.
    eventually("the page says what is missing", DEADLINE, async || {
        let page = daemon.get("/readyz").await;
        let body = page.json();
        let told = page.status == 503
            && body["missing"] == json!(["data", "nats"])
            && body["last_error"].is_string();
        if told { Ok(()) } else { Err(page) }
    })
    .await;
    for path in ["/livez", "/startupz", "/metrics"] {
        assert_eq!(daemon.get(path).await.status, 200, "{path}");
    }
    eventually("its links to NATS are up", DEADLINE, async || {
        super::metric(&daemon, "extension_registry_nats_up").await == Some(1.0)
    })
    .await;
    for rest in [
        "lookup",
        "local.pod-1.lookup",
        "as.x.lookup",
        "ping",
        "all.ping",
    ] {
        let reply = client.request(&subject(rest), "a").await;
        assert!(
            reply.is_no_responders(),
            "{rest} before there is data: {reply:?}"
        );
    }
    assert!(client.request("$SRV.PING", "").await.is_no_responders());

    proxy.heal().await;
    // Whoever gets through gets the right answer: never "unknown" for want of data.
    let first = eventually("the first answer", DEADLINE, async || {
        let reply = client.request(&subject("lookup"), "a").await;
        (!reply.is_no_responders()).then_some(reply)
    })
    .await;
    assert_eq!(first.ok()["id"], "a");
    daemon.wait_ready().await;
    // The load that brought the data is over a moment after its data is served.
    let ready = json!({"status": "ready", "missing": [], "database": "up", "last_error": null});
    eventually("nothing is wrong any more", DEADLINE, async || {
        let page = daemon.get("/readyz").await.json();
        if page == ready { Ok(()) } else { Err(page) }
    })
    .await;
}

#[tokio::test]
async fn nats_may_come_later_than_the_daemon() {
    let mut site = Site::with(&extensions()).await;
    site.nats.stop().await;
    let daemon = site.daemon().spawn().await;
    eventually("only NATS is missing", DEADLINE, async || {
        let page = daemon.get("/readyz").await;
        let told = page.status == 503 && page.json()["missing"] == json!(["nats"]);
        if told { Ok(()) } else { Err(page) }
    })
    .await;
    assert_eq!(daemon.get("/startupz").await.status, 200);
    assert_eq!(
        super::metric(&daemon, "extension_registry_nats_up").await,
        Some(0.0)
    );
    assert_eq!(daemon.exit_code(), None);

    site.nats.start_again().await;
    daemon.wait_ready().await;
    let client = Client::connect(&site.nats.url()).await;
    assert_eq!(
        client.request(&subject("lookup"), "plain").await.ok()["id"],
        "plain"
    );
    assert_eq!(
        super::metric(&daemon, "extension_registry_nats_up").await,
        Some(1.0)
    );
}

#[tokio::test]
async fn ready_means_that_requests_are_answered() {
    for _ in 0..5 {
        let (site, daemon) = Site::served().await;
        for rest in ["lookup", "get", "explain"] {
            assert_eq!(site.send(rest, "plain").await.ok()["id"], "plain");
        }
        site.client.request("$SRV.PING", "").await.ok();
        // A thread of its own writes the log.
        let ready = |entry: &Value| (message(entry)? == "ready").then_some(());
        daemon.wait_log("that it is ready", ready).await;
        let order: Vec<String> = daemon
            .log()
            .iter()
            .filter_map(|line| message(&serde_json::from_str(line).ok()?).map(str::to_owned))
            .filter(|text| ["http listening", "data loaded", "ready"].contains(&text.as_str()))
            .collect();
        assert_eq!(order, ["http listening", "data loaded", "ready"]);
    }
}

#[tokio::test]
async fn an_address_that_is_taken_ends_the_start() {
    let (site, first) = Site::served().await;
    let second = site
        .daemon()
        .setting("HTTP_ADDR", first.http_addr().await)
        .spawn()
        .await;
    assert_eq!(second.wait_exit(DEADLINE).await, 1);
    let log = second.log().join("\n");
    assert!(log.contains("cannot listen on"), "{log}");
}

/// Some requests would reach nobody, and the server does not say which.
#[tokio::test]
async fn a_server_that_takes_too_few_subscriptions_is_named_and_counts_as_unreachable() {
    let nats = NatsServer::builder().config("max_subscriptions: 20");
    let site = Site::on(nats.start().await, &extensions()).await;
    let daemon = site.daemon().spawn().await;
    daemon
        .wait_line("the limit", |line| {
            line.contains("raise `max_subscriptions`").then_some(())
        })
        .await;
    let page = daemon.get("/readyz").await;
    assert_eq!(
        (page.status, &page.json()["missing"]),
        (503, &json!(["nats"]))
    );
}

/// Routers would get "no responders" from a sidecar that reports to be ready.
#[tokio::test]
async fn a_sidecar_that_may_not_hear_lookups_is_not_ready() {
    let builder = |denied: &str| {
        NatsServer::builder().config(&format!(
            r#"no_auth_user: anyone
            authorization {{ users: [
                {{ user: anyone, password: secret }}
                {{ user: sidecar, password: secret,
                   permissions: {{ subscribe: {{ deny: ["{denied}", "$SRV.PING"] }} }} }}
            ] }}"#
        ))
    };
    let nats = builder("beamline.registry.lookup").start().await;
    let mut site = Site::on(nats, &extensions()).await;
    let daemon = site.daemon().setting("NATS_USER", "sidecar");
    let daemon = daemon.setting("NATS_PASSWORD", "secret").spawn().await;
    daemon
        .wait_line("the refusal", |line| {
            let refused = "not permitted to subscribe to beamline.registry.lookup";
            line.contains(refused).then_some(())
        })
        .await;
    eventually("only NATS is missing", DEADLINE, async || {
        let page = daemon.get("/readyz").await;
        let told = page.status == 503 && page.json()["missing"] == json!(["nats"]);
        if told { Ok(()) } else { Err(page) }
    })
    .await;
    site.nats.configure(builder("nothing"));
    site.nats.reload();
    daemon.wait_ready().await;
    assert_eq!(site.send("lookup", "plain").await.ok()["id"], "plain");
}

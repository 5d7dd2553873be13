//! The registry with the least rights, on NATS and in Postgres at once: it does everything it can
//! do, and neither server refuses it anything; what it must not do, NATS refuses.

use async_nats::HeaderMap;
use futures_util::StreamExt;
use serde_json::{Value, json};

use super::guarded::{self, User};
use super::ruled::Ruled;
use crate::harness::{
    Answer, Behaviour, Client, DEADLINE, Daemon, Extension, NatsServer, Reply, eventually,
};
use crate::schema::{run, value};

const EXTENSION: &str = "normalize_text";
const PROVIDER: &str = "mock_provider";

/// Everything switched on, and quick.
async fn start(nats: &NatsServer, ruled: &Ruled) -> Daemon {
    let daemon = guarded::daemon(nats)
        .database(&ruled.url("beamline_registry"))
        .setting("SOURCE", "database")
        .setting("INSTANCE_ID", "one")
        .setting("REQUIRE_ACTOR_SUBJECT", true)
        .setting("SYNC_INTERVAL_SECONDS", 1)
        .setting("HEALTH_FLUSH_INTERVAL_SECONDS", 1)
        .setting("HEALTH_SUMMARY_INTERVAL_SECONDS", 1)
        .setting("CIRCUIT_BREAKER_FAILURE_THRESHOLD", 3)
        .setting("CIRCUIT_BREAKER_TIMEOUT_SECONDS", "300ms")
        .setting("CIRCUIT_BREAKER_MAX_TIMEOUT_SECONDS", "300ms")
        .setting("AUTO_DISABLE_ON_CIRCUIT_OPEN", true)
        .setting("AUTO_ENABLE_ON_CIRCUIT_CLOSE", true)
        .setting("AUTO_DISABLE_MAX_PERCENT", 100)
        .spawn()
        .await;
    daemon.wait_ready().await;
    daemon
}

async fn extension(nats: &NatsServer, user: &str, subject: &str, play: Behaviour) -> Extension {
    let client = User::login(nats, user).await.nats;
    let requests = client.queue_subscribe(subject.to_owned(), user.to_owned());
    let requests = requests.await.unwrap();
    Extension::over(client, requests, play)
}

async fn ask(client: &Client, verb: &str, body: &Value) -> Reply {
    let subject = format!("beamline.registry.{verb}");
    client.request_json(&subject, body).await
}

/// The kinds of events heard so far, which `expected` will be among.
async fn wait_events(events: &mut async_nats::Subscriber, expected: &[&str]) {
    let mut missing: Vec<&str> = expected.to_vec();
    let hearing = async {
        while !missing.is_empty() {
            let event = events.next().await.unwrap();
            let kind = event.subject.split('.').nth(3).unwrap();
            missing.retain(|name| *name != kind);
        }
    };
    let heard = tokio::time::timeout(DEADLINE, hearing).await;
    assert!(heard.is_ok(), "no event of the kinds {missing:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_does_its_whole_job_and_is_refused_nothing() {
    let (nats, ruled) = tokio::join!(guarded::server(), Ruled::start());
    let daemon = start(&nats, &ruled).await;
    let admin = User::login(&nats, "alice").await;
    let mut events = admin
        .nats
        .subscribe("beamline.registry.events.>")
        .await
        .unwrap();
    let (admin, sql) = (admin.client().await, ruled.database.connect().await);

    administer(&admin).await;
    let changes = [
        "extension_created",
        "extension_updated",
        "extension_deleted",
    ];
    wait_events(&mut events, &changes).await;
    follow_plain_sql(&ruled, &admin).await;

    let text = "beamline.ext.pre.normalize_text.v1";
    let played = extension(&nats, EXTENSION, text, Behaviour::Echo).await;
    wait_invocable(&admin).await;
    stream(&nats).await;
    disable_and_enable_itself(&admin, &played).await;
    let kinds = [
        "circuit_opened",
        "auto_disabled",
        "auto_enabled",
        "health_summary",
    ];
    wait_events(&mut events, &kinds).await;
    eventually("health is flushed", DEADLINE, async || {
        let counts = "SELECT success_count > 0 AND failure_count > 0 FROM extension_health
                      WHERE extension_id = 'normalize_text'";
        value(&sql, counts).await == "true"
    })
    .await;

    let found = admin.request("$SRV.INFO.beamline-registry.one", "").await;
    assert_eq!(found.ok()["id"], "one");
    let everyone = admin.request("beamline.registry.all.ping", "").await;
    assert_eq!(everyone.ok()["instance_id"], "one");

    daemon.sigterm();
    assert_eq!(daemon.wait_exit(DEADLINE).await, 0);
    let postgres = ruled.server.process().map(|process| process.log());
    for line in daemon.log().iter().chain(&postgres.unwrap_or_default()) {
        let refused = line.to_lowercase();
        assert!(!refused.contains("permission"), "{line}");
    }
}

/// Every verb that writes, as one person.
async fn administer(client: &Client) {
    let new = json!({"id": "new", "type": "pre", "subject": "beamline.ext.new"});
    let v2 = json!({"id": "new", "version": "v2", "subject": "beamline.ext.new.v2"});
    let instance = json!({"id": "new", "instance_id": "a", "subject": "beamline.ext.new.a"});
    for (verb, body) in [
        ("create", new),
        (
            "update",
            json!({"id": "new", "retry": 2, "config": {"a": 1}}),
        ),
        ("put_version", v2),
        (
            "update_version",
            json!({"id": "new", "version": "v2", "retry": 2}),
        ),
        (
            "rollout",
            json!({"id": "new", "version": "v2", "percent": 10}),
        ),
        ("promote", json!({"id": "new", "version": "v2"})),
        ("delete_version", json!({"id": "new", "version": "v1"})),
        ("put_instance", instance),
        ("delete_instance", json!({"id": "new", "instance_id": "a"})),
        ("disable", json!({"id": "new"})),
        ("enable", json!({"id": "new"})),
        (
            "circuit",
            json!({"id": "new", "action": "open", "ttl_seconds": 60}),
        ),
        ("circuit", json!({"id": "new", "action": "reset"})),
        ("reload", json!({})),
        ("delete", json!({"id": "new"})),
    ] {
        ask(client, &format!("as.alice.{verb}"), &body).await.ok();
    }
    // The override is written behind its reply.
    eventually("two overrides in the audit", DEADLINE, async || {
        let audit = ask(client, "audit", &json!({"id": "new"})).await.ok();
        let entries = audit["entries"].as_array().unwrap().clone();
        let by_alice = entries.iter().all(|entry| entry["changed_by"] == "alice");
        let overrides = entries
            .iter()
            .filter(|it| it["action"] == "circuit_override");
        if by_alice && overrides.count() == 2 {
            Ok(())
        } else {
            Err(audit)
        }
    })
    .await;
}

/// A change by an operator in psql is heard, served, and audited under the database's user, whoever
/// he says he is.
async fn follow_plain_sql(ruled: &Ruled, admin: &Client) {
    let operator = ruled.login("beamline_operator").await;
    run(
        &operator,
        "SET beamline.actor = 'alice'; SET beamline.actor_source = 'subject';
         UPDATE extensions SET timeout_ms = 1234 WHERE id = 'normalize_text'",
    )
    .await;
    eventually("the change is served", DEADLINE, async || {
        let found = ask(admin, "lookup", &json!({ "id": EXTENSION })).await;
        found.ok()["timeout_ms"] == 1234
    })
    .await;
    let audit = ask(admin, "audit", &json!({"id": EXTENSION, "limit": 1})).await;
    let entry = audit.ok()["entries"][0].clone();
    assert_eq!(entry["changed_by"], "beamline_operator");
    assert_eq!(entry["actor_source"], "database");
}

async fn wait_invocable(client: &Client) {
    eventually("a call succeeds", DEADLINE, async || {
        let call = json!({"id": EXTENSION, "payload": {}});
        let reply = ask(client, "invoke", &call).await;
        match reply.header("Nats-Service-Error-Code") {
            None => Ok(()),
            Some(_) => Err(reply),
        }
    })
    .await;
}

/// A router receives a stream of a provider whose user may answer without a limit.
async fn stream(nats: &NatsServer) {
    let chunks = 20;
    let play = Behaviour::stream(chunks, Answer::end());
    let _provider = extension(nats, PROVIDER, "beamline.provider.mock.v1", play).await;
    let router = User::login(nats, "router").await.nats;
    let body = json!({"id": PROVIDER, "payload": {}}).to_string();
    let first = eventually("a stream begins", DEADLINE, async || {
        let inbox = router.new_inbox();
        let mut replies = router.subscribe(inbox.clone()).await.unwrap();
        let mut headers = HeaderMap::new();
        headers.insert("Beamline-Accept", "stream");
        let sent = router.publish_with_reply_and_headers(
            "beamline.registry.invoke",
            inbox,
            headers,
            body.clone().into(),
        );
        sent.await.unwrap();
        let first = Reply::from(replies.next().await.unwrap());
        match first.header("Beamline-Stream") {
            Some("chunk") => Ok(replies),
            _ => Err(first),
        }
    });
    let mut replies = first.await;
    for number in 1..=chunks {
        let next = tokio::time::timeout(DEADLINE, replies.next()).await;
        let reply = Reply::from(next.expect("a piece").unwrap());
        let kind = if number == chunks { "end" } else { "chunk" };
        assert_eq!(reply.header("Beamline-Stream"), Some(kind), "{reply:?}");
    }
}

/// The circuit opens, the extension goes out of service, is probed, and comes back.
async fn disable_and_enable_itself(client: &Client, played: &Extension) {
    played.behave(Behaviour::error(500));
    eventually("it is disabled", DEADLINE, async || {
        let call = json!({"id": EXTENSION, "payload": {}});
        let reply = ask(client, "invoke", &call).await;
        reply.json()["error"]["details"]["reason"] == "auto_disabled"
    })
    .await;
    played.behave(Behaviour::Echo);
    wait_invocable(client).await;
}

#[tokio::test]
async fn it_may_publish_and_hear_nothing_else() {
    let nats = guarded::server().await;
    let registry = User::login(&nats, "registry").await;
    for subject in [
        "$JS.API.STREAM.DELETE.x",
        "$JS.ACK.x",
        "$SYS.REQ.SERVER.PING",
        "$SRV.PING",
        "beamline.registry.lookup",
        "beamline.registry.as.alice.delete",
        "beamline.registry.event",
        "beamline.extra",
        "orders.new",
        "_INBOX_alice.x",
    ] {
        registry.nats.publish(subject, "".into()).await.unwrap();
        let what = format!("may not send {subject}");
        eventually(&what, DEADLINE, async || registry.may_not_publish(subject)).await;
    }
    for subject in [
        ">",
        "beamline.registry.>",
        "beamline.registry.lookup",
        "beamline.registry.events.>",
        "beamline.ext.>",
        "_INBOX.>",
        "_INBOX.router.>",
        "$JS.>",
        "$SYS.>",
    ] {
        let _kept = registry.nats.subscribe(subject).await.unwrap();
        let what = format!("may not hear {subject}");
        eventually(&what, DEADLINE, async || {
            registry.may_not_subscribe(subject)
        })
        .await;
    }
    let other_group = "another".to_owned();
    let lookup = "beamline.registry.lookup";
    let before = registry.refusals().len();
    let _kept = registry.nats.queue_subscribe(lookup, other_group).await;
    eventually("may not join another group", DEADLINE, async || {
        registry.refusals().len() > before
    })
    .await;
}

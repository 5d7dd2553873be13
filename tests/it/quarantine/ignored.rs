//! A row that names the current version and differs from the extension. CASES.md D13.

use serde_json::{Value, json};

use crate::harness::daemon::{field, message};
use crate::harness::{Client, DEADLINE, Daemon, NatsServer, eventually};
use crate::rig::Rig;
use crate::schema::{revision, run};

const WARNING: &str = "version row v2 differs from the extension in subject, timeout_ms: it names the \
    current version, so only its rules, rollout and enabled count";

/// How often the log has told of it.
fn told(daemon: &Daemon) -> usize {
    let lines = daemon.log();
    let entries = lines
        .iter()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    entries
        .filter(|entry| message(entry) == Some("part of the record is ignored"))
        .count()
}

/// `get` and `explain` of `x`: the warnings of both.
async fn warnings(client: &Client) -> Vec<Value> {
    let mut both = Vec::new();
    for verb in ["get", "explain"] {
        let subject = format!("beamline.registry.{verb}");
        let document = client
            .request_json(&subject, &json!({"id": "x"}))
            .await
            .ok();
        both.push(document["warnings"].clone());
    }
    both
}

#[tokio::test]
async fn rows_of_the_current_version_that_differ_are_told_of_in_get_explain_and_once_in_the_log() {
    let rig = Rig::start().await;
    let daemon = rig.daemon().spawn().await;
    daemon.wait_ready().await;
    run(
        &rig.sql,
        "INSERT INTO extensions (id, type, subject, version) VALUES ('x', 'pre', 'beamline.ext.x', 'v2');
         INSERT INTO extension_versions (id, version, subject, timeout_ms, retry)
             VALUES ('x', 'v2', 'beamline.ext.other', 7, 1)",
    )
    .await;
    let served = rig.lookup_at("x", revision(&rig.sql).await).await.ok();
    assert_eq!(served["subject"], "beamline.ext.x");
    assert_eq!(
        warnings(&rig.client).await,
        [json!([WARNING]), json!([WARNING])]
    );
    run(
        &rig.sql,
        "UPDATE extensions SET retry = retry, config = '{\"a\": 1}'",
    )
    .await;
    rig.lookup_at("x", revision(&rig.sql).await).await.ok();

    run(
        &rig.sql,
        "UPDATE extension_versions SET subject = 'beamline.ext.x', timeout_ms = NULL",
    )
    .await;
    rig.lookup_at("x", revision(&rig.sql).await).await.ok();
    assert_eq!(warnings(&rig.client).await, [Value::Null, Value::Null]);
    run(&rig.sql, "UPDATE extension_versions SET config = '{}'").await;
    rig.lookup_at("x", revision(&rig.sql).await).await.ok();
    let other = WARNING.replace("subject, timeout_ms", "config");
    assert_eq!(
        warnings(&rig.client).await,
        [json!([other]), json!([other])]
    );
    // Served first, logged then, one after the other.
    daemon
        .wait_log("it is told", |entry| {
            let what = field(entry, "what")?.as_str()?;
            what.contains(" in config:").then_some(())
        })
        .await;
    assert_eq!(told(&daemon), 2, "each once");
}

/// Not only rows of versions have such parts: the line must not lead an operator there.
#[tokio::test]
async fn a_setting_of_calls_that_cannot_be_read_is_told_in_the_same_line() {
    let folder = tempfile::tempdir().unwrap();
    let x = json!({"id": "x", "type": "pre", "subject": "beamline.ext.x",
        "metadata": {"balance": "random"}});
    std::fs::write(folder.path().join("x.json"), x.to_string()).unwrap();
    let nats = NatsServer::start().await;
    let daemon = Daemon::builder().nats(&nats.url()).fixtures(folder.path());
    let daemon = daemon.spawn().await;
    daemon.wait_ready().await;
    eventually("it is told", DEADLINE, async || told(&daemon) == 1).await;
}

#[tokio::test]
async fn files_with_such_a_version_are_told_of_too() {
    let folder = tempfile::tempdir().unwrap();
    let x = json!({"id": "x", "type": "pre", "subject": "beamline.ext.x", "version": "v2",
        "versions": [{"version": "v2", "subject": "beamline.ext.other", "timeout_ms": 7}]});
    std::fs::write(folder.path().join("x.json"), x.to_string()).unwrap();
    let nats = NatsServer::start().await;
    let daemon = Daemon::builder().nats(&nats.url()).fixtures(folder.path());
    let daemon = daemon.spawn().await;
    daemon.wait_ready().await;
    let client = Client::connect(&nats.url()).await;
    assert_eq!(
        warnings(&client).await,
        [json!([WARNING]), json!([WARNING])]
    );
    eventually("it is told", DEADLINE, async || told(&daemon) == 1).await;
}

/// A hundred of one load are named, as of faults.
#[tokio::test]
async fn of_many_at_once_a_hundred_are_named_and_the_others_counted() {
    let folder = tempfile::tempdir().unwrap();
    let many = (0..150).map(|n| {
        let (id, subject) = (format!("x{n}"), format!("beamline.ext.x{n}"));
        json!({"id": id, "type": "pre", "subject": subject, "metadata": {"balance": "random"}})
    });
    let many: Vec<_> = many.collect();
    std::fs::write(folder.path().join("x.json"), json!(many).to_string()).unwrap();
    let nats = NatsServer::start().await;
    let daemon = Daemon::builder().nats(&nats.url()).fixtures(folder.path());
    let daemon = daemon.spawn().await;
    daemon.wait_ready().await;
    let counted = || {
        let lines = daemon.log();
        let entries = lines.iter().map(|line| serde_json::from_str::<Value>(line));
        let mut counts = entries.flatten().filter_map(|entry| {
            let more = message(&entry)?.starts_with("more values were reduced or are ignored");
            more.then(|| field(&entry, "count")?.as_u64()).flatten()
        });
        counts.next()
    };
    eventually("the rest", DEADLINE, async || counted() == Some(50)).await;
    assert_eq!(told(&daemon), 100);
}

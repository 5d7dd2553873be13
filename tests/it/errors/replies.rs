//! Where replies go, and who hears that nobody is there.

use async_nats::ConnectOptions;
use futures_util::StreamExt;
use serde_json::Value;

use crate::harness::daemon::{field, message};
use crate::harness::{DEADLINE, eventually};
use crate::rig::metric;
use crate::site::{Site, extensions, subject};

#[tokio::test]
async fn replies_go_only_where_replies_may_go() {
    let (site, daemon) = Site::served().await;
    let options = ConnectOptions::new().skip_subject_validation(true);
    let sender = options.connect(site.nats.url()).await.unwrap();
    let refused = [
        "$JS.API.STREAM.DELETE.orders",
        "beamline.registry.lookup",
        "beamline.ext.plain.v1",
        "_INBOX.*",
        "_INBOX.a.>",
        "_INBOXES.a",
        "INBOX.a",
    ];
    let mut spy = sender.subscribe(">").await.unwrap();
    for verb in ["lookup", "get", "ping"] {
        for reply in refused {
            for _ in 0..2 {
                sender
                    .publish_with_reply(subject(verb), reply, "plain".into())
                    .await
                    .unwrap();
            }
        }
        sender.publish(subject(verb), "plain".into()).await.unwrap();
    }
    sender.flush().await.unwrap();
    let sent = 3 * (refused.len() * 2) as u64;
    let metric = "extension_registry_dropped_requests_total";
    eventually("all are counted", DEADLINE, async || {
        let page = daemon.get("/metrics").await.body;
        let value = |reason: &str| {
            let name = format!("{metric}{{reason=\"{reason}\"}} ");
            page.lines()
                .find_map(|line| line.strip_prefix(&name)?.parse::<u64>().ok())
        };
        let counted = (value("reply_not_allowed"), value("no_reply"));
        if counted == (Some(sent), Some(3)) {
            Ok(())
        } else {
            Err(counted)
        }
    })
    .await;

    // A good request's reply follows whatever a bad one would have caused.
    for verb in ["lookup", "get"] {
        site.send(verb, "plain").await.ok();
    }
    site.client.assert_one_reply_each().await;
    sender.publish("end", "".into()).await.unwrap();
    let mut echoes = 0;
    while let Some(seen) = spy.next().await {
        let named = seen.subject.as_str();
        if named == "end" {
            break;
        }
        if named == subject("lookup") {
            echoes += 1;
        }
        let answered = refused.contains(&named) && named != subject("lookup");
        assert!(!answered, "a reply to {named}");
    }
    assert_eq!(
        echoes,
        refused.len() * 2 + 2,
        "the requests themselves, and no reply among them"
    );

    // The log is written by a thread of its own.
    let prefixes = ["$JS", "beamline", "_INBOX", "_INBOXES", "INBOX"];
    for prefix in prefixes.map(Some).into_iter().chain([None]) {
        let told = |entry: &Value| is_told(entry, prefix).then_some(());
        daemon.wait_log("what cannot be answered", told).await;
    }
    let log = daemon.log();
    let said = |prefix: Option<&str>| {
        let entries = log
            .iter()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        entries.filter(|entry| is_told(entry, prefix)).count()
    };
    for prefix in prefixes {
        assert_eq!(said(Some(prefix)), 1, "{prefix} is logged once: {log:#?}");
    }
    assert_eq!(said(None), 1, "and so is a request without a reply subject");
}

/// Whether a log entry reports requests whose replies would go to `prefix`, or nowhere.
fn is_told(entry: &Value, prefix: Option<&str>) -> bool {
    message(entry).is_some_and(|text| text.contains("cannot be answered"))
        && field(entry, "reply_prefix").and_then(Value::as_str) == prefix
}

/// Its callers wait in vain: somebody else has to see it.
#[tokio::test]
async fn an_answer_that_the_server_does_not_permit_is_counted() {
    let denied = r#"publish: { deny: ["_INBOX.denied.>"] }"#;
    let (site, daemon) = Site::restricted(denied, &extensions()).await;
    let nats = site.client.nats();
    for verb in ["lookup", "get", "invoke"] {
        nats.publish_with_reply(subject(verb), "_INBOX.denied.1", "plain".into())
            .await
            .unwrap();
    }
    let name = "extension_registry_dropped_requests_total{reason=\"publish_failed\"}";
    eventually("each is counted", DEADLINE, async || {
        let counted = metric(&daemon, name).await;
        if counted == Some(3.0) {
            Ok(())
        } else {
            Err(counted)
        }
    })
    .await;
}

#[tokio::test]
async fn other_reply_prefixes_can_be_allowed() {
    let site = Site::with(&extensions()).await;
    let _daemon = site
        .start(site.daemon().setting("REPLY_PREFIXES", "answers."))
        .await;
    let nats = site.client.nats();
    let mut answers = nats.subscribe("answers.>").await.unwrap();
    let mut inbox = nats.subscribe("_INBOX.own").await.unwrap();
    for reply in ["_INBOX.own", "answers.1"] {
        nats.publish_with_reply(subject("lookup"), reply, "plain".into())
            .await
            .unwrap();
    }
    let answer = tokio::time::timeout(DEADLINE, answers.next()).await;
    assert_eq!(answer.unwrap().unwrap().subject.as_str(), "answers.1");
    nats.publish("_INBOX.own", "marker".into()).await.unwrap();
    let first = tokio::time::timeout(DEADLINE, inbox.next()).await;
    assert_eq!(
        first.unwrap().unwrap().payload,
        "marker",
        "no longer a place for replies"
    );
}

#[tokio::test]
async fn an_unknown_verb_has_no_responders() {
    let (site, _daemon) = Site::served().await;
    for verb in [
        "nothing",
        "list.plain",
        "ping.plain",
        "lookup.a.b",
        "all.lookup",
        "local.x.ping",
    ] {
        assert!(site.send(verb, "").await.is_no_responders(), "{verb}");
    }
}

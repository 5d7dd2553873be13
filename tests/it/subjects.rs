//! Which sidecar answers at which subject:
//!
//! - in the queue group each request is answered by one sidecar, and all take part,
//! - `local.<instance>` is answered by that sidecar, `all.<verb>` by every one,
//! - `as.<actor>` is shared like the plain form,
//! - prefix, queue group and instance id are the operator's choice.

use std::collections::BTreeMap;
use std::time::Duration;

use async_nats::HeaderMap;
use serde_json::{Value, json};

use crate::harness::{DEADLINE, Daemon, Reply, eventually};
use crate::site::{Site, extensions, subject};

/// After a reply, this long for another one.
const QUIET: Duration = Duration::from_millis(300);

#[tokio::test]
async fn a_request_in_the_group_is_answered_by_one_sidecar() {
    let (site, daemons) = pair().await;
    for form in ["ping", "as.alice.ping"] {
        let mut answered = BTreeMap::<String, usize>::new();
        for _ in 0..200 {
            *answered.entry(who(&site.send(form, "").await)).or_default() += 1;
        }
        assert_eq!(answered.len(), 2, "{form}: {answered:?}");
        assert!(
            answered.values().all(|n| *n > 20),
            "{form}: both get a share: {answered:?}"
        );
    }
    // Lookups say nothing about who answers; the sidecars' own figures do.
    for n in 0..200 {
        let form = if n % 2 == 0 {
            "lookup.plain"
        } else {
            "as.alice.lookup.plain"
        };
        site.send(form, "").await.ok();
    }
    let mut hits = Vec::new();
    for name in ["one", "two"] {
        let stats = site.send(&format!("local.{name}.stats"), "").await.ok();
        hits.push(stats["lookups"]["hits"].as_u64().unwrap());
    }
    assert_eq!(hits.iter().sum::<u64>(), 200, "each lookup once: {hits:?}");
    assert!(hits.iter().all(|n| *n > 20), "both get a share: {hits:?}");
    site.client.assert_one_reply_each().await;
    drop(daemons);
}

#[tokio::test]
async fn local_subjects_reach_one_sidecar_and_no_other() {
    let (site, daemons) = pair().await;
    for name in ["one", "two"] {
        for _ in 0..20 {
            assert_eq!(
                who(&site.send(&format!("local.{name}.ping"), "").await),
                name
            );
        }
        for verb in ["lookup", "get", "explain"] {
            let by_payload = site.send(&format!("local.{name}.{verb}"), "plain").await;
            let by_subject = site.send(&format!("local.{name}.{verb}.plain"), "").await;
            assert_eq!(by_payload.ok(), by_subject.ok());
        }
        for verb in ["list", "stats", "reload"] {
            site.send(&format!("local.{name}.{verb}"), "").await.ok();
        }
        site.send(&format!("local.{name}.lookup_by_type"), "pre")
            .await
            .ok();
    }
    let [one, two] = daemons;
    one.sigterm();
    assert_eq!(one.wait_exit(DEADLINE).await, 0);
    let reply = site.send("local.one.lookup.plain", "").await;
    assert!(
        reply.is_no_responders(),
        "a router falls back to the group: {reply:?}"
    );
    site.send("lookup.plain", "").await.ok();
    site.client.assert_one_reply_each().await;
    drop(two);
}

#[tokio::test]
async fn all_sidecars_answer_where_all_are_asked() {
    let (site, _daemons) = pair().await;
    for verb in ["ping", "stats", "reload"] {
        let all = subject(&format!("all.{verb}"));
        let asked = site.client.request_several(&all, HeaderMap::new(), "", 2);
        let replies = asked.await;
        assert_eq!(replies.len(), 2, "{verb}");
        if verb != "reload" {
            let mut names: Vec<String> = replies.iter().map(who).collect();
            names.sort_unstable();
            assert_eq!(names, ["one", "two"], "{verb}");
        }
        replies.iter().for_each(|reply| drop(reply.ok()));
    }
    for verb in ["lookup", "list", "get"] {
        let reply = site.send(&format!("all.{verb}"), "plain").await;
        assert!(reply.is_no_responders(), "{verb} is not for all");
    }
}

#[tokio::test]
async fn prefix_group_and_instance_are_the_operators_choice() {
    let site = Site::with(&extensions()).await;
    let settings = |name: &str, prefix: &str, group: &str| {
        let builder = site.named(name).setting("SUBJECT_PREFIX", prefix);
        builder.setting("QUEUE_GROUP", group)
    };
    let _a = site.start(settings("a", "acme.registry.v2", "g1")).await;
    let _b = site.start(settings("b", "acme.registry.v2", "g2")).await;
    assert!(
        site.send("ping", "").await.is_no_responders(),
        "not at the default prefix"
    );
    let replies = site
        .client
        .request_several("acme.registry.v2.ping", HeaderMap::new(), "", 2)
        .await;
    let mut names: Vec<String> = replies.iter().map(who).collect();
    names.sort_unstable();
    assert_eq!(names, ["a", "b"], "each group answers for itself");

    let at = |rest: &str| format!("acme.registry.v2.{rest}");
    assert_eq!(
        who(&site.client.request(&at("local.a.ping"), "").await),
        "a"
    );
    let one = site.client.request(&at("local.b.as.x.ping"), "").await;
    assert!(one.is_no_responders(), "forms do not nest");
    let acting = site
        .client
        .request_several(&at("as.m\u{fc}ller.reload"), HeaderMap::new(), "", 2)
        .await;
    for reply in &acting {
        assert_eq!(
            reply.details(),
            json!({"field": "actor"}),
            "found behind any prefix"
        );
    }
    assert_eq!(acting.len(), 2);
}

#[tokio::test]
async fn without_a_name_of_its_own_a_sidecar_makes_one() {
    let site = Site::with(&extensions()).await;
    let _daemons = [
        site.start(site.daemon()).await,
        site.start(site.daemon()).await,
    ];
    let replies = eventually("both answer", DEADLINE, async || {
        let replies = site
            .client
            .request_all(&subject("all.ping"), "", QUIET)
            .await;
        (replies.len() == 2).then_some(replies)
    })
    .await;
    let names: Vec<String> = replies.iter().map(who).collect();
    assert_ne!(names[0], names[1], "two on one host are told apart");
    for name in names {
        assert_eq!(
            who(&site.send(&format!("local.{name}.ping"), "").await),
            name
        );
    }
}

async fn pair() -> (Site, [Daemon; 2]) {
    let site = Site::with(&extensions()).await;
    let daemons = [
        site.start(site.named("one")).await,
        site.start(site.named("two")).await,
    ];
    (site, daemons)
}

/// The sidecar that answered `ping` or `stats`.
fn who(reply: &Reply) -> String {
    let body: Value = reply.ok();
    body["instance_id"].as_str().unwrap().to_owned()
}

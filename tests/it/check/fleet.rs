//! The sidecars that run, held against each other.

use std::time::Duration;

use futures_util::StreamExt;
use serde_json::Value;

use super::{Found, sound};
use crate::harness::{DEADLINE, eventually, settled};
use crate::site::Site;

/// What is found of `count` sidecars: one whose answer is half a second late is left out.
async fn found(site: &Site, count: usize) -> Found {
    let whole = format!("{count} sidecars answer");
    eventually(&whole, DEADLINE, async || {
        let found = Found::with(site.named("asker"), &["--fleet"]).await;
        let named = |line: &&Value| line.to_string().contains(&whole);
        let is_whole = found.marked("good").iter().any(named);
        match is_whole {
            true => Ok(found),
            false => Err(found.document),
        }
    })
    .await
}

#[tokio::test]
async fn who_differs_is_named() {
    let site = Site::with(&sound()).await;
    let alone = Found::with(site.daemon(), &["--fleet"]).await;
    alone.names("fleet", "a sidecar answers");

    let _one = site.start(site.named("one")).await;
    let _two = site.start(site.named("two")).await;
    found(&site, 2).await.is_sound();

    let odd = site.named("odd").setting("SYNC_INTERVAL_SECONDS", 7);
    let odd = site.start(odd).await;
    let differs = found(&site, 3).await;
    differs.names("fleet", "have the same settings");
    let line = differs.marked("bad")[0]["problem"].as_str().unwrap();
    assert!(
        line.contains(": odd") && line.contains(": one, two"),
        "{line}"
    );

    // The same at a glance.
    let stats = site.daemon().arg("stats").arg("--all");
    let out = eventually("a row for each of three", DEADLINE, async || {
        let (code, out, _) = stats.clone().run().await;
        assert_eq!(code, 0, "{out}");
        match out.lines().count() {
            4 => Ok(out),
            _ => Err(out),
        }
    })
    .await;
    let differs: Vec<_> = out
        .lines()
        .filter(|line| line.contains("differs"))
        .collect();
    assert!(
        differs.len() == 1 && differs[0].starts_with("odd "),
        "{out}"
    );

    drop(odd);
    let _again = site.start(site.named("one")).await;
    found(&site, 3).await.names("fleet", "one: 2 times");
}

#[tokio::test]
async fn whoever_answers_for_ever_is_not_heard_for_ever() {
    let site = Site::with(&sound()).await;
    let client = site.client.nats().clone();
    let asked = client.subscribe("beamline.registry.all.stats").await;
    let mut asked = asked.unwrap();
    settled(&client).await;
    let mut beat = tokio::time::interval(Duration::from_millis(20));
    let chatter = async {
        let reply = asked.next().await.unwrap().reply.unwrap();
        loop {
            beat.tick().await;
            let answer = "no JSON".into();
            client.publish(reply.clone(), answer).await.unwrap();
        }
    };
    let checked = Found::with(site.named("asker"), &["--fleet"]);
    let found = tokio::select! {
        found = tokio::time::timeout(DEADLINE, checked) => found.expect("an end"),
        () = chatter => unreachable!(),
    };
    found.names("fleet", "a sidecar answers");
}

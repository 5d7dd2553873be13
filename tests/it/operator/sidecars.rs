use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use serde_json::{Value, json};

use super::{row, run, said};
use crate::harness::{DEADLINE, eventually};
use crate::site::{Site, extensions};

/// What a command prints, once that is `whole`: a sidecar whose answer is half a second late is left
/// out.
async fn said_by_all(url: &str, line: &str, whole: impl Fn(&str) -> bool) -> String {
    eventually(line, DEADLINE, async || {
        let told = said(url, line).await;
        if whole(&told) { Ok(told) } else { Err(told) }
    })
    .await
}

#[tokio::test]
async fn one_is_asked_by_name_and_all_have_a_row_each() {
    let site = Site::with(&extensions()).await;
    let _east = site.start(site.named("east")).await;
    let _west = site.start(site.named("west")).await;
    let url = site.nats.url();
    for name in ["east", "west"] {
        let pong = said(&url, &format!("ping --local {name}")).await;
        assert!(pong.starts_with(&format!("{name} answers in ")), "{pong}");
    }
    said(&url, "circuit plain open --local west").await;
    let has_west = |told: &str| told.contains("west");
    let circuits = said_by_all(&url, "circuits --all", has_west).await;
    assert_eq!(row(&circuits, "west")[1..4], ["plain", "v1", "open"]);
    assert!(!circuits.contains("east"), "its own circuit: {circuits}");
    for (line, cells) in [
        ("ping", 2),
        ("stats", 11),
        ("health", 6),
        ("health plain", 7),
        ("reload", 8),
    ] {
        let has_both = |told: &str| told.lines().count() == 3;
        let table = said_by_all(&url, &format!("{line} --all"), has_both).await;
        for name in ["east", "west"] {
            assert!(row(&table, name).len() >= cells, "{line}: {table}");
        }
    }
    let both = |told: &str| told == "east\nwest\n";
    said_by_all(&url, "ping --all -o name", both).await;
    let has_both = |told: &str| told.lines().count() == 2;
    let lines = said_by_all(&url, "ping --all --json", has_both).await;
    let lines: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let names: Vec<&str> = lines
        .iter()
        .map(|line| line["instance_id"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["east", "west"]);
    assert!(
        lines.iter().all(|line| line["answer"]["ok"] == true),
        "{lines:?}"
    );

    eventually("each told why", DEADLINE, async || {
        let ran = run(&url, "health nobody --all").await;
        assert_eq!((ran.code, ran.out.as_str()), (1, ""), "no document");
        let told = ran.err.matches("[extension_not_found").count();
        if told == 2 { Ok(()) } else { Err(ran) }
    })
    .await;
}

#[tokio::test]
async fn whoever_answers_for_ever_is_not_heard_for_ever() {
    let site = Site::with(&extensions()).await;
    let _east = site.start(site.named("east")).await;
    let url = site.nats.url();
    let client = site.client.nats().clone();
    let mut pings = client
        .subscribe("beamline.registry.all.ping")
        .await
        .unwrap();
    crate::harness::settled(&client).await;
    let answers = AtomicU32::new(0);
    let mut beat = tokio::time::interval(Duration::from_millis(20));
    let chatter = async {
        let ping = pings.next().await.unwrap();
        let reply = ping.reply.unwrap();
        loop {
            beat.tick().await;
            answers.fetch_add(1, Ordering::Relaxed);
            for name in ["\u{1b}[2J", "a.b", "*", ""] {
                let pong = json!({"instance_id": name}).to_string();
                client.publish(reply.clone(), pong.into()).await.unwrap();
            }
            client.flush().await.unwrap();
        }
    };
    let table = tokio::select! {
        table = said(&url, "ping --all --wait 3s") => table,
        () = chatter => unreachable!(),
    };
    assert_eq!(table.lines().count(), 2, "{table}");
    assert!(row(&table, "east").len() >= 2, "{table}");
    assert!(answers.into_inner() > 1, "it went on");
}

//! A revision with more than a hundred changes is told of as a whole.

use serde_json::Value;

use crate::events_seen::EventsSeen;
use crate::harness::{DEADLINE, eventually};
use crate::rig::{Rig, insert};
use crate::schema::run;

/// The loads of the sidecar that found a revision, as many as there must be at least: they are told of
/// beside the changes, one sooner than another.
pub(crate) async fn reloads(events: &EventsSeen, count: usize) -> Vec<Value> {
    eventually("loads are told of", DEADLINE, async || {
        let mut told = events.of_kind("registry_reloaded");
        told.retain(|it| it["data"].get("ids").is_none() && it["data"]["revision"] != 0);
        if told.len() >= count {
            Ok(told)
        } else {
            Err(told)
        }
    })
    .await
}

fn many(count: usize) -> String {
    format!(
        "INSERT INTO extensions (id, type, subject)
         SELECT 'e' || n, 'pre', 'beamline.ext.e' || n FROM generate_series(1, {count}) n"
    )
}

#[tokio::test]
async fn a_bulk_change_is_one_event_of_the_fleet_with_counts_ids_and_who_and_a_reload_of_each() {
    let rig = Rig::start().await;
    let daemon = rig.daemon().setting("INSTANCE_ID", "pod-1").spawn().await;
    daemon.wait_ready().await;
    let events = EventsSeen::start(&rig.nats).await;
    run(&rig.sql, &many(150)).await;
    // By then the change before it has been told, or never will be.
    rig.lookup_at("e1", 1).await.ok();
    run(&rig.sql, &insert("fence")).await;
    events.wait("fence", &["extension_created"], 1).await;

    assert_eq!(
        events.of_kind("extension_created").len(),
        1,
        "the fence alone"
    );
    let mut fleet = events.of_kind("registry_reloaded");
    fleet.retain(|it| it["data"].get("ids").is_some());
    let [fleet] = &fleet[..] else {
        panic!("{fleet:?}")
    };
    let data = &fleet["data"];
    let counts = ["revision", "total", "added", "updated", "removed"].map(|name| &data[name]);
    assert_eq!(counts, [1, 150, 150, 0, 0]);
    assert_eq!(data["ids"].as_array().unwrap().len(), 100);
    assert!(data["changed_by"].is_string(), "{data}");
    let reloads = reloads(&events, 2).await;
    let added: Vec<_> = reloads
        .iter()
        .map(|event| &event["data"]["added"])
        .collect();
    assert_eq!(added, [150, 1]);
    assert_eq!(reloads[0]["data"]["revision"], 1);
}

#[tokio::test]
async fn a_hundred_changes_are_told_one_by_one_though_more_wait_than_there_is_room_for() {
    let rig = Rig::start().await;
    let events = EventsSeen::start(&rig.nats).await;
    run(&rig.sql, &many(100)).await;
    for retry in 2..=6 {
        run(&rig.sql, &format!("UPDATE extensions SET retry = {retry}")).await;
    }
    let daemon = rig.daemon().setting("INSTANCE_ID", "pod-1").spawn().await;
    daemon.wait_ready().await;
    // The last of each revision.
    events.wait("e99", &["extension_updated"], 5).await;
    let counts = ["extension_created", "extension_updated"].map(|kind| events.of_kind(kind).len());
    assert_eq!(counts, [100, 500]);
}

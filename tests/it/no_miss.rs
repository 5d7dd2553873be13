//! What a router may rely on while the data changes under it: an id that always exists is always
//! found, a record is never a mixture of two states, and a lookup of many is of one revision.

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::harness::Client;
use crate::rig::{Rig, insert};
use crate::schema::run;

const EXTENSIONS: i64 = 50;
const RELOADS: i64 = 200;

/// One transaction that writes `generation` into two columns of every row and into a version, so
/// that a torn record shows, and lets another row come and go.
fn stamp(generation: i64) -> String {
    let guest = if generation % 2 == 0 {
        insert("guest")
    } else {
        "DELETE FROM extensions WHERE id = 'guest'".to_owned()
    };
    format!(
        r#"BEGIN;
        UPDATE extensions SET config = '{{"generation": {generation}}}',
            metadata = '{{"generation": {generation}}}' WHERE id <> 'guest';
        UPDATE extension_versions SET config = '{{"generation": {generation}}}',
            metadata = '{{"generation": {generation}}}';
        {guest}; COMMIT"#
    )
}

fn generation(record: &Value) -> i64 {
    let (config, metadata) = (
        &record["config"]["generation"],
        &record["metadata"]["generation"],
    );
    assert_eq!(config, metadata, "torn: {record}");
    // The set-up took revision 1, and each generation one more.
    assert_eq!(
        record["revision"],
        config.as_i64().unwrap() + 1,
        "torn: {record}"
    );
    config.as_i64().unwrap()
}

/// Looks ids up until `done`, and returns how many lookups that were.
async fn look_up(client: &Client, seed: i64, done: &AtomicBool) -> usize {
    let (mut lookups, mut newest) = (0, 0);
    for turn in seed.. {
        if done.load(Ordering::Relaxed) {
            break;
        }
        let id = format!("e{}", turn % EXTENSIONS);
        let mut body = json!({ "id": id });
        if turn % 5 == 0 {
            body["version"] = json!("v2");
        }
        if turn % 7 != 0 {
            let record = client
                .request_json("beamline.registry.lookup", &body)
                .await
                .ok();
            assert_eq!(record["id"], id);
            generation(&record);
        } else {
            let ids: Vec<_> = (0..8)
                .map(|i| format!("e{}", (turn + i * 5) % EXTENSIONS))
                .collect();
            let reply = client
                .request_json("beamline.registry.lookup", &json!({ "ids": ids }))
                .await;
            let many = reply.ok();
            assert_eq!(many["errors"], json!([]), "a miss: {many}");
            let records = many["extensions"].as_array().unwrap();
            assert_eq!(records.len(), ids.len(), "a miss: {many}");
            let generations: Vec<_> = records.iter().map(generation).collect();
            let all = generations[0];
            assert!(
                generations.iter().all(|one| *one == all),
                "of several revisions: {many}"
            );
            assert_eq!(
                many["revision"],
                all + 1,
                "another revision than its records: {many}"
            );
            assert_eq!(
                reply.header("Beamline-Revision"),
                Some((all + 1).to_string().as_str())
            );
            assert!(all >= newest, "went back from {newest} to {all}");
            newest = all;
        }
        lookups += 1;
    }
    lookups
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_reloads_with_changes_cost_no_lookup() {
    let rig = Rig::start().await;
    let rows: Vec<_> = (0..EXTENSIONS)
        .map(|i| {
            format!(
                "{}; INSERT INTO extension_versions (id, version, subject, enabled)
                     VALUES ('e{i}', 'v2', 'beamline.ext.e{i}.v2', true)",
                insert(&format!("e{i}"))
            )
        })
        .collect();
    run(&rig.sql, &rows.join(";")).await;
    run(&rig.sql, &stamp(1)).await;
    let daemon = rig.daemon().spawn().await;
    daemon.wait_ready().await;

    let done = AtomicBool::new(false);
    let mut routers = Vec::new();
    for _ in 0..4 {
        routers.push(Client::connect(&rig.nats.url()).await);
    }
    let reloading = async {
        for generation in 2..=RELOADS + 1 {
            run(&rig.sql, &stamp(generation)).await;
            let report = rig.ask("reload", &json!({})).await.ok();
            assert_eq!(report["revision"], generation + 1);
        }
        done.store(true, Ordering::Relaxed);
    };
    let looking = routers.iter().enumerate().map(|(seed, router)| {
        let seed = i64::try_from(seed).unwrap() * 13;
        look_up(router, seed, &done)
    });
    let ((), lookups) = tokio::join!(reloading, futures_util::future::join_all(looking));
    let lookups: usize = lookups.iter().sum();
    assert!(
        lookups > 1000,
        "only {lookups} lookups: no test of anything"
    );

    let stats = rig.stats().await;
    assert_eq!(stats.pointer("/lookups/misses"), Some(&json!(0)), "{stats}");
    assert_eq!(
        stats.pointer("/lookups/hit_rate"),
        Some(&json!(1.0)),
        "{stats}"
    );
    for router in &routers {
        router.assert_one_reply_each().await;
    }
}

//! The largest message that the server takes.

use serde_json::{Value, json};

use super::{is_unique, list, many, padded, page_through, records, text};
use crate::harness::{NatsServer, Reply};
use crate::rig::{Rig, insert};
use crate::site::{Site, extension};

#[tokio::test]
async fn a_page_is_shortened_to_fit_a_message() {
    const MAX_PAYLOAD: usize = 4096;
    let nats = NatsServer::builder().max_payload(MAX_PAYLOAD).start().await;
    let site = Site::on(nats, &many(60, 300)).await;
    let _daemon = site.start(site.daemon()).await;
    let (found, pages) = page_through(&site, &json!({"limit": 1000}), MAX_PAYLOAD).await;
    assert_eq!(found.len(), 60);
    assert!(is_unique(&found) && found.is_sorted());
    assert!(
        (9..=12).contains(&pages),
        "{pages} pages, each about as long as it can be"
    );
    site.client.assert_one_reply_each().await;
}

/// Around the limit every byte counts, headers included: one reply, whichever it is.
#[tokio::test]
async fn a_record_larger_than_a_message_is_told() {
    const MAX_PAYLOAD: usize = 4096;
    let nats = NatsServer::builder().max_payload(MAX_PAYLOAD).start().await;
    let sizes: Vec<usize> = (3000..=5000).step_by(40).chain(3300..3900).collect();
    let records: Vec<Value> = sizes
        .iter()
        .map(|size| padded(extension("pre", &format!("x{size}")), *size))
        .collect();
    let site = Site::on(nats, &json!(records)).await;
    let _daemon = site.start(site.daemon()).await;
    let (mut answered, mut refused) = (0, 0);
    for size in &sizes {
        for verb in ["lookup", "get", "explain"] {
            let reply = site.send(&format!("{verb}.x{size}"), "").await;
            count(&reply, &mut answered, &mut refused, MAX_PAYLOAD);
        }
        let many = site
            .ask("lookup", &json!({"ids": [format!("x{size}")]}))
            .await;
        assert!(many.payload.len() <= MAX_PAYLOAD);
        let many = many.ok();
        let (found, missed) = (list(&many, "extensions").len(), list(&many, "errors").len());
        assert_eq!(found + missed, 1, "{size}");
        let before = format!("pre:x{}", size - 1);
        let page = json!({"limit": 1, "cursor": before});
        let page = site.ask("list", &page).await;
        assert!(page.payload.len() <= MAX_PAYLOAD);
        let page = page.ok();
        let omitted = page["omitted"].as_array().map_or(0, Vec::len);
        assert_eq!(list(&page, "extensions").len() + omitted, 1, "{size}");
    }
    assert!(
        answered > 0 && refused > 0,
        "{answered} answered, {refused} refused"
    );
    site.client.assert_one_reply_each().await;
}

fn count(reply: &Reply, answered: &mut usize, refused: &mut usize, limit: usize) {
    assert!(reply.payload.len() <= limit);
    match reply.header("Nats-Service-Error-Code") {
        None => *answered += 1,
        Some(_) => {
            assert_eq!(reply.error(), (413, "payload_too_large".to_owned()));
            assert_eq!(reply.details(), json!({"limit_bytes": limit}));
            *refused += 1;
        }
    }
}

/// CASES.md D12.
#[tokio::test]
async fn what_no_page_can_hold_is_named_and_the_page_goes_on() {
    let rig = Rig::start().await;
    for id in ["a", "b", "c"] {
        rig.sql.batch_execute(&insert(id)).await.unwrap();
    }
    let large = "UPDATE extensions SET config = \
        jsonb_build_object('padding', repeat('x', 1200000)) WHERE id = 'b'";
    rig.sql.batch_execute(large).await.unwrap();
    let daemon = rig.daemon().spawn().await;
    daemon.wait_ready().await;
    let over_http = daemon.get("/admin/extensions").await.json();
    let mut pages = vec![over_http];
    for (verb, request) in [
        ("list", json!({})),
        ("lookup_by_type", json!({"type": "pre"})),
    ] {
        pages.push(rig.ask(verb, &request).await.ok());
    }
    for page in &pages {
        let ids: Vec<_> = records(page).iter().map(|it| text(it, "id")).collect();
        assert_eq!(ids, ["a", "c"]);
        let rest = json!([page["omitted"], page["total"], page["next"]]);
        assert_eq!(rest, json!([["b"], 3, null]));
    }
    let one = rig
        .ask("list", &json!({"limit": 1, "cursor": "pre:a"}))
        .await
        .ok();
    let rest = json!([one["extensions"], one["omitted"], one["next"]]);
    assert_eq!(rest, json!([[], ["b"], "pre:b"]));

    let many = rig
        .ask("lookup", &json!({"ids": ["a", "b", "c"]}))
        .await
        .ok();
    let ids: Vec<_> = records(&many).iter().map(|it| text(it, "id")).collect();
    assert_eq!(ids, ["a", "c"]);
    let errors = list(&many, "errors");
    assert_eq!(errors.len(), 1);
    let error = json!([errors[0]["id"], errors[0]["code"]]);
    assert_eq!(error, json!(["b", "payload_too_large"]));

    // The change that made it so large is in the audit, without what changed.
    let audit = rig.ask("audit", &json!({"limit": 2})).await.ok();
    let entries = list(&audit, "entries");
    let first = json!([entries[0]["extension_id"], entries[0]["changes"]]);
    assert_eq!(first, json!(["b", null]));
    assert_eq!(entries.len(), 2);
    for verb in ["health", "circuits"] {
        let page = rig.ask(verb, &json!({})).await.ok();
        assert!(page["omitted"].is_null(), "{verb}");
    }
    rig.client.assert_one_reply_each().await;
}

/// CASES.md E5.
#[tokio::test]
async fn stats_fits_and_says_how_many_faults_it_left_out() {
    for max_payload in [2048, 16_384, 1_048_576] {
        let nats = NatsServer::builder().max_payload(max_payload).start().await;
        let mut faulty = extension("pre", "faulty");
        for field in 0..24 {
            faulty[format!("unknown{field:0200}")] = json!(1);
        }
        let mut entries = vec![faulty; 3000];
        entries.push(extension("pre", "sound"));
        let site = Site::on(nats, &json!(entries)).await;
        let long = format!(r#"{{"id":"long","{}":1}}"#, "n".repeat(2_000_000));
        std::fs::write(site.fixtures().join("long.json"), long).unwrap();
        let daemon = site.start(site.daemon()).await;
        let reply = site.send("stats", "").await;
        assert!(reply.payload.len() <= max_payload);
        let stats = reply.ok();
        assert_eq!(stats["quarantined_total"], 3001);
        let shown = list(&stats, "quarantined").len();
        assert_eq!(stats["quarantined_omitted"], 3001 - shown);
        assert!(shown > 0 || max_payload < 4096, "{shown} at {max_payload}");
        let over_http = daemon.get("/admin/stats").await;
        assert!(over_http.body.len() <= 1_048_576);
        site.send("lookup", "sound").await.ok();
        let log = daemon.log();
        let longest = log.iter().map(String::len).max();
        assert!(longest < Some(8192), "{longest:?}");
        let named = log.iter().filter(|line| line.contains("all.json#"));
        assert!(named.count() <= 100);
    }
}

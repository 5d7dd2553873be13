//! The largest message that the server takes.

use serde_json::{Value, json};

use super::{is_unique, many, padded, page_through};
use crate::harness::{NatsServer, Reply};
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
        let before = format!("pre:x{}", size - 1);
        for request in [
            json!({"ids": [format!("x{size}")]}),
            json!({"limit": 1, "cursor": before}),
        ] {
            let verb = if request["ids"].is_null() {
                "list"
            } else {
                "lookup"
            };
            let reply = site.ask(verb, &request).await;
            count(&reply, &mut answered, &mut refused, MAX_PAYLOAD);
        }
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

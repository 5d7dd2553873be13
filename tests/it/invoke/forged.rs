//! CASES.md B6: nobody can have the registry answer its own calls.

use std::collections::HashSet;

use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::record;
use crate::harness::{DEADLINE, eventually, settled};
use crate::site::{Site, subject};

const DROPPED: &str = "extension_registry_dropped_requests_total{reason=\"reply_not_allowed\"} 1";

#[tokio::test]
async fn an_inbox_of_our_own_is_never_answered_and_no_call_is_named_like_the_next() {
    let (site, daemon) = Site::serving(&json!([record("x", json!({}))])).await;
    let extension = async_nats::connect(site.nats.url()).await.unwrap();
    let mut requests = extension.subscribe("beamline.ext.x.v1").await.unwrap();
    settled(&extension).await;
    let call = json!({"id": "x", "payload": {}});
    let mut names = HashSet::new();
    for turn in 0..3 {
        let playing = async {
            let request = timeout(DEADLINE, requests.next()).await.expect("a request");
            let inbox = request.unwrap().reply.unwrap();
            if turn == 0 {
                // Whoever is called knows the inbox, and asks for an answer that lands there.
                let (lookup, forged) = (subject("lookup"), inbox.clone());
                let asked = extension.publish_with_reply(lookup, forged, "x".into());
                asked.await.unwrap();
                eventually("it is dropped", DEADLINE, async || {
                    daemon.get("/metrics").await.body.contains(DROPPED)
                })
                .await;
            }
            extension
                .publish(inbox.clone(), r#"{"right":true}"#.into())
                .await
                .unwrap();
            inbox
        };
        let (answer, inbox) = tokio::join!(site.ask("invoke", &call), playing);
        assert_eq!(answer.ok(), json!({"right": true}));
        let secret = inbox.rsplit(['.', '-']).next().unwrap();
        names.insert(u64::from_str_radix(secret, 16).unwrap());
    }
    // 64 random bits: three in a row are neither alike nor small.
    assert_eq!(names.len(), 3);
    assert!(names.iter().all(|name| *name > 1 << 20), "{names:?}");
    let _: Value = site.send("ping", "").await.ok();
}

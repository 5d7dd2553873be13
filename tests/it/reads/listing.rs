//! `list` and `lookup_by_type`.

use serde_json::{Value, json};

use super::{is_unique, keys, many, page_through, records, text};
use crate::site::Site;

#[tokio::test]
async fn a_listing_filters_counts_and_is_in_order() {
    let (site, _daemon) = Site::served().await;
    // By type in the order of a message's way, then by id.
    for (request, expected) in [
        (json!({}), vec!["plain", "routed", "acme_only"]),
        (
            json!({"enabled": true}),
            vec!["plain", "routed", "acme_only"],
        ),
        (json!({"enabled": false}), vec!["off"]),
        (
            json!({"enabled": "all"}),
            vec!["plain", "routed", "acme_only", "off"],
        ),
        (json!({"type": "validator"}), vec!["routed"]),
        (json!({"type": "provider"}), vec![]),
        (json!({"type": "provider", "enabled": "all"}), vec!["off"]),
        (
            json!({"limit": 1000, "unknown": {}}),
            vec!["plain", "routed", "acme_only"],
        ),
    ] {
        let page = site.ask("list", &request).await.ok();
        assert_eq!(keys(&page), ["extensions", "next", "total"]);
        let mut found = ids(&page);
        found.sort_unstable();
        let mut wanted = expected.clone();
        wanted.sort_unstable();
        assert_eq!(found, wanted, "{request}");
        assert_eq!(page["total"], expected.len(), "{request}");
        assert_eq!(page["next"], Value::Null, "{request}");
    }
    let all = site.send("list", r#"{"enabled":"all"}"#).await.ok();
    let places: Vec<(&str, &str)> = records(&all)
        .iter()
        .map(|record| (text(record, "type"), text(record, "id")))
        .collect();
    assert!(places.is_sorted(), "ordered by type, then id: {places:?}");
    let plain = records(&all).iter().find(|record| record["id"] == "plain");
    let mut plain = plain.unwrap().clone();
    assert_eq!(plain["state"], "no_data");
    plain.as_object_mut().unwrap().remove("state");
    let looked_up = site.send("lookup", "plain").await.ok();
    assert_eq!(plain, looked_up, "beside its state, the record of a lookup");
}

#[tokio::test]
async fn a_listing_by_type_takes_the_type_bare_or_in_an_object() {
    let (site, _daemon) = Site::served().await;
    let listed = site.send("list", r#"{"type":"pre"}"#).await.payload;
    for payload in [
        "pre",
        " pre\n",
        r#"{"type":"pre"}"#,
        r#"{"type":"pre","limit":5}"#,
    ] {
        let reply = site.send("lookup_by_type", payload).await;
        assert_eq!(reply.payload, listed, "{payload}");
    }
    let disabled = site.send("lookup_by_type", "provider").await.ok();
    assert_eq!(
        disabled,
        json!({"extensions": [], "total": 0, "next": null})
    );
    for enabled in ["false", r#""all""#] {
        let payload = format!(r#"{{"type":"provider","enabled":{enabled}}}"#);
        let listed = site.send("list", payload.clone()).await;
        let reply = site.send("lookup_by_type", payload).await;
        assert_eq!(reply.payload, listed.payload, "{enabled}");
        assert_eq!(reply.ok()["total"], 1, "{enabled}");
    }
    for (verb, payload, field) in [
        ("lookup_by_type", "", "type"),
        ("lookup_by_type", "{}", "type"),
        ("lookup_by_type", "no type", "type"),
        ("list", r#"{"type":"no type"}"#, "type"),
        ("list", r#"{"enabled":"some"}"#, "enabled"),
        ("list", r#"{"limit":0}"#, "limit"),
        ("list", r#"{"limit":1001}"#, "limit"),
        ("list", r#"{"limit":-1}"#, "limit"),
        ("list", r#"{"cursor":"anything"}"#, "cursor"),
        ("list", r#"{"cursor":"pre:no id"}"#, "cursor"),
    ] {
        let reply = site.send(verb, payload).await;
        assert_eq!(
            reply.error(),
            (400, "invalid_request".to_owned()),
            "{verb} {payload}"
        );
        assert_eq!(reply.details()["field"], field, "{verb} {payload}");
    }
}

#[tokio::test]
async fn paging_meets_every_extension_once() {
    let (site, _daemon) = Site::serving(&many(250, 0)).await;
    for (limit, pages_expected) in [(1000, 1), (250, 1), (249, 2), (100, 3), (7, 36)] {
        let (found, pages) = page_through(&site, &json!({"limit": limit}), usize::MAX).await;
        assert_eq!((found.len(), pages), (250, pages_expected), "limit {limit}");
        assert!(found.is_sorted() && is_unique(&found), "limit {limit}");
    }
    let (found, pages) = page_through(&site, &json!({}), usize::MAX).await;
    assert_eq!((found.len(), pages), (250, 3), "100 unless told otherwise");
    let (validators, _) =
        page_through(&site, &json!({"type": "post", "limit": 9}), usize::MAX).await;
    assert_eq!(validators.len(), 83);
}

fn ids(page: &Value) -> Vec<&str> {
    records(page)
        .iter()
        .map(|record| text(record, "id"))
        .collect()
}

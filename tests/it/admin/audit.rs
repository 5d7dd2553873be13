//! Who changed what, page by page.

use async_nats::HeaderMap;
use serde_json::{Value, json};

use super::{plain, started};

#[tokio::test]
async fn the_audit_says_who_and_how_that_is_known_and_is_paged() {
    let (rig, _daemon) = started().await;
    let mut with_actor = plain("field");
    with_actor["actor"] = json!("carol");
    rig.ask("create", &plain("nobody")).await.ok();
    rig.ask("create", &with_actor).await.ok();
    let mut headers = HeaderMap::new();
    headers.insert("Beamline-Actor", "bob");
    let subject = "beamline.registry.create";
    let body = plain("header").to_string();
    let client = &rig.client;
    client
        .request_with_headers(subject, headers.clone(), body)
        .await
        .ok();
    let subject = "beamline.registry.as.alice.create";
    let body = plain("subject").to_string();
    client
        .request_with_headers(subject, headers, body)
        .await
        .ok();
    rig.sql
        .batch_execute(&crate::rig::insert("sql"))
        .await
        .unwrap();

    let mut seen = Vec::new();
    let mut before = Value::Null;
    loop {
        let page = json!({"limit": 2, "before": before});
        let page = rig.ask("audit", &page).await.ok();
        for entry in page["entries"].as_array().unwrap() {
            seen.push((
                entry["extension_id"].as_str().unwrap().to_owned(),
                entry["changed_by"].as_str().unwrap().to_owned(),
                entry["actor_source"].as_str().unwrap().to_owned(),
            ));
        }
        before = page["next"].clone();
        if before.is_null() {
            break;
        }
    }
    let session_user = rig.sql.query_one("SELECT session_user::text", &[]).await;
    let session_user: String = session_user.unwrap().get(0);
    let expected = [
        ("sql", session_user.as_str(), "database"),
        ("subject", "alice", "subject"),
        ("header", "bob", "header"),
        ("field", "carol", "field"),
        ("nobody", "anonymous", "none"),
    ];
    assert_eq!(
        seen,
        expected.map(|(id, who, how)| (id.to_owned(), who.to_owned(), how.to_owned()))
    );
    for bad in [
        json!({"limit": 0}),
        json!({"limit": 1001}),
        json!({"id": "no id"}),
    ] {
        assert_eq!(rig.ask("audit", &bad).await.error().0, 400, "{bad}");
    }
}

/// Six entries of 800 kB each are more than one page reads, and one is all that a message holds.
#[tokio::test]
async fn large_entries_come_page_by_page_and_whole() {
    let (rig, _daemon) = started().await;
    rig.ask("create", &plain("x")).await.ok();
    let text = "x".repeat(400_000);
    for n in 0..6 {
        let body = json!({"id": "x", "config": {"n": n, "text": text}});
        rig.ask("update", &body).await.ok();
    }
    let mut seen = Vec::new();
    let mut before = Value::Null;
    loop {
        let page = rig.ask("audit", &json!({"before": before})).await.ok();
        for entry in page["entries"].as_array().unwrap() {
            seen.push(entry["changes"]["new"]["config"]["n"].clone());
        }
        before = page["next"].clone();
        if before.is_null() {
            break;
        }
    }
    let expected = [5, 4, 3, 2, 1, 0].map(|n| json!(n));
    assert_eq!(seen[..6], expected);
    assert_eq!(seen.len(), 7, "and the creation");
}

/// Another tool's way to keep entries of what is gone, before the upgrade or after it.
#[tokio::test]
async fn an_entry_without_an_extension_costs_no_page() {
    let (rig, _daemon) = started().await;
    rig.ask("create", &plain("a")).await.ok();
    rig.sql
        .batch_execute(
            "ALTER TABLE extension_audit_log ALTER COLUMN extension_id DROP NOT NULL;
             INSERT INTO extension_audit_log (extension_id, action) VALUES (NULL, 'deleted')",
        )
        .await
        .unwrap();
    let page = rig.ask("audit", &json!({})).await.ok();
    assert_eq!(page["entries"][0]["extension_id"], "");
    assert_eq!(page["entries"][1]["extension_id"], "a");
}

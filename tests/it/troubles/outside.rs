//! Where the database is, and who logs in there, is in the log alone.

use serde_json::json;

use crate::harness::{DEADLINE, eventually};
use crate::site::{Site, extensions};

#[tokio::test]
async fn nobody_outside_is_told_where_the_database_is() {
    let site = Site::with(&extensions()).await;
    let daemon = site.daemon().setting("SOURCE", "auto");
    let daemon = daemon.database("postgres://zoe-user:sesame@127.0.0.1:1/zoe-base");
    let daemon = site.start(daemon).await;
    eventually("the database is known to be away", DEADLINE, async || {
        let ready = daemon.get("/readyz").await.json();
        ready["last_error"].is_string() && ready["database"] == "away"
    })
    .await;
    let mut told = vec![
        daemon.get("/readyz").await.body,
        daemon.get("/admin/stats").await.body,
        daemon.get("/admin/audit").await.body,
        daemon.get("/metrics").await.body,
    ];
    let circuit = json!({"id": "normalize_text", "action": "force_open"});
    for (verb, body) in [
        ("stats", json!({})),
        ("reload", json!({})),
        ("audit", json!({})),
        ("disable.normalize_text", json!({})),
        ("circuit", circuit),
    ] {
        told.push(format!("{:?}", site.ask(verb, &body).await));
    }
    for told in told {
        for place in ["127.0.0.1:1/", "zoe-", "sesame"] {
            assert!(!told.contains(place), "{place}: {told}");
        }
    }
    daemon
        .wait_line("where it is", |line| {
            line.contains("127.0.0.1:1/zoe-base").then_some(())
        })
        .await;
    assert!(!daemon.log().concat().contains("sesame"));
}

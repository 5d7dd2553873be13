//! Each mode with a source that answers.

use serde_json::{Value, json};

use super::{SOURCE, STALE_MS, one_file, one_row, sources};
use crate::harness::{Client, Daemon, NatsServer};
use crate::rig::{reason, shipped_fixtures};

#[tokio::test]
async fn fixtures_mode_serves_files_and_leaves_a_database_alone() {
    let rig = one_row().await;
    let daemon = rig.daemon().setting("SOURCE", "fixtures");
    let daemon = daemon.fixtures(&shipped_fixtures()).spawn().await;
    daemon.wait_ready().await;

    let reply = rig.lookup("normalize_text").await;
    assert_eq!(reply.ok()["subject"], "beamline.ext.pre.normalize_text.v1");
    assert_eq!((reply.header(SOURCE), reply.header(STALE_MS)), (None, None));
    assert_eq!(reason(&rig.lookup("in_row").await), "unknown");
    let stats = rig.stats().await;
    assert_eq!(sources(&stats), ("fixtures", "fixtures"));
    assert_eq!(
        (&stats["revision"], &stats["epoch"]),
        (&json!(0), &Value::Null)
    );
    assert_eq!(stats["total_extensions"], 6);
    assert_eq!(stats.pointer("/database/state"), Some(&json!("off")));
    assert_eq!(stats.pointer("/listener/state"), Some(&json!("off")));
}

#[tokio::test]
async fn database_mode_serves_rows_and_leaves_files_alone() {
    let (rig, folder) = (one_row().await, one_file());
    let daemon = rig.daemon().fixtures(folder.path()).spawn().await;
    daemon.wait_ready().await;

    let reply = rig.lookup("in_row").await;
    assert_eq!(reply.ok()["revision"], 1);
    assert_eq!((reply.header(SOURCE), reply.header(STALE_MS)), (None, None));
    assert_eq!(reason(&rig.lookup("in_file").await), "unknown");
    rig.wait_stats("/listener/state", json!("listening")).await;
    // The data is served a moment before the load that brought it is over.
    let stats = rig.wait_stats("/database/state", json!("up")).await;
    assert_eq!(sources(&stats), ("database", "database"));
    assert_eq!(stats["revision"], 1);
}

#[tokio::test]
async fn auto_takes_the_database_when_it_answers() {
    let (rig, folder) = (one_row().await, one_file());
    let daemon = rig.daemon().setting("SOURCE", "auto");
    let daemon = daemon.fixtures(folder.path()).spawn().await;
    daemon.wait_ready().await;

    let reply = rig.lookup("in_row").await;
    reply.ok();
    assert_eq!(reply.header(SOURCE), None);
    assert_eq!(reason(&rig.lookup("in_file").await), "unknown");
    assert_eq!(sources(&rig.stats().await), ("auto", "database"));
}

#[tokio::test]
async fn auto_without_a_database_configured_means_fixtures() {
    let (nats, folder) = (NatsServer::start().await, one_file());
    for database in [None, Some("postgres://127.0.0.1:1/nobody")] {
        let mut daemon = Daemon::builder().nats(&nats.url()).fixtures(folder.path());
        if let Some(url) = database {
            daemon = daemon.database(url).setting("DB_ENABLED", false);
        }
        let daemon = daemon.spawn().await;
        daemon.wait_ready().await;
        let client = Client::connect(&nats.url()).await;
        client
            .request("beamline.registry.lookup", "in_file")
            .await
            .ok();
        let stats = client.request("beamline.registry.stats", "").await.ok();
        assert_eq!(stats["active_source"], "fixtures");
        assert_eq!(stats.pointer("/database/state"), Some(&json!("off")));
    }
}

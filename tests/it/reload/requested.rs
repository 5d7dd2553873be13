//! `reload`, asked for.

use serde_json::json;

use super::{three_rows, wait_listening};
use crate::harness::{Client, Daemon, FaultProxy, NatsServer};
use crate::rig::{insert, reason, set_timeout_ms, silently};
use crate::schema::run;

#[tokio::test]
async fn reload_reads_everything_or_one_id_whatever_the_revision_says() {
    for mode in ["database", "auto"] {
        let rig = three_rows().await;
        // A new connection has the digests compared, which finds everything: here there is one, and
        // it is compared already.
        let daemon = rig.daemon().setting("SOURCE", mode);
        let daemon = daemon.setting("DB_POOL_SIZE", 1).spawn().await;
        wait_listening(&rig, &daemon).await;
        // Requests come before hints: the second one comes after what the first one overtook.
        for _ in 0..2 {
            rig.ask("reload", &json!({})).await.ok();
        }
        let change = format!(
            "{}; {}; DELETE FROM extensions WHERE id = 'c'; {}",
            set_timeout_ms("a", 11),
            set_timeout_ms("b", 22),
            insert("d")
        );
        run(&rig.sql, &silently(&change)).await;
        assert_eq!(
            rig.lookup("a").await.ok()["timeout_ms"],
            5000,
            "nobody was told"
        );

        let one = rig.ask("reload", &json!({"id": "a"})).await.ok();
        assert_eq!(
            (&one["added"], &one["updated"], &one["removed"]),
            (&json!(0), &json!(1), &json!(0))
        );
        assert_eq!(rig.lookup("a").await.ok()["timeout_ms"], 11);
        assert_eq!(
            rig.lookup("b").await.ok()["timeout_ms"],
            5000,
            "only one was asked for"
        );
        let gone = rig.ask("reload", &json!({"id": "c"})).await.ok();
        assert_eq!(gone["removed"], 1);
        let gone = rig.ask("reload", &json!({"id": "c"})).await;
        assert_eq!(reason(&gone), "unknown");
        assert_eq!(reason(&rig.lookup("c").await), "unknown");

        let all = rig.ask("reload", &json!({})).await.ok();
        assert_eq!(
            (&all["added"], &all["updated"], &all["removed"]),
            (&json!(1), &json!(1), &json!(0))
        );
        assert_eq!((&all["total"], &all["revision"]), (&json!(3), &json!(1)));
        assert_eq!(all["active_source"], "database");
        assert_eq!(rig.lookup("b").await.ok()["timeout_ms"], 22);
        rig.lookup("d").await.ok();
        let again = rig.ask("reload", &json!({})).await.ok();
        assert_eq!(
            (&again["added"], &again["updated"], &again["removed"]),
            (&json!(0), &json!(0), &json!(0))
        );
    }
}

#[tokio::test]
async fn a_reload_that_fails_says_so_and_keeps_the_data() {
    let rig = three_rows().await;
    let proxy = FaultProxy::start(rig.database.addr()).await;
    let daemon = rig
        .daemon_at(&rig.database.url_at(proxy.addr()))
        .spawn()
        .await;
    daemon.wait_ready().await;
    proxy.cut().await;
    for body in [json!({}), json!({"id": "a"})] {
        let reply = rig.ask("reload", &body).await;
        assert_eq!(reply.error(), (503, "database_unavailable".to_owned()));
        let message = reply.json()["error"]["message"].to_string();
        assert!(
            message.contains("kept") && !message.contains("postgres:"),
            "{message}"
        );
    }
    let stats = rig.stats().await;
    assert!(stats["error_count"].as_u64().unwrap() >= 2, "{stats}");
    assert!(
        stats["last_error"]
            .as_str()
            .unwrap()
            .contains("unreachable"),
        "{stats}"
    );
    assert_eq!(stats["total_extensions"], 3);
    rig.lookup("a").await.ok();

    proxy.heal().await;
    rig.ask("reload", &json!({})).await.ok();
    assert_eq!(rig.stats().await["last_error"], json!(null));
}

#[tokio::test]
async fn reload_of_files_answers_and_fails_likewise() {
    let (nats, folder) = (NatsServer::start().await, tempfile::tempdir().unwrap());
    let (fixtures, aside) = (folder.path().join("fixtures"), folder.path().join("aside"));
    std::fs::create_dir(&fixtures).unwrap();
    let file = json!({"id": "a", "type": "pre", "subject": "beamline.ext.a"});
    std::fs::write(fixtures.join("a.json"), file.to_string()).unwrap();
    let daemon = Daemon::builder()
        .nats(&nats.url())
        .fixtures(&fixtures)
        .spawn()
        .await;
    daemon.wait_ready().await;
    let client = Client::connect(&nats.url()).await;
    let reload = async |body| client.request_json("beamline.registry.reload", &body).await;

    for body in [json!({}), json!({"id": "a"})] {
        let report = reload(body).await.ok();
        assert_eq!(
            (&report["total"], &report["revision"]),
            (&json!(1), &json!(0))
        );
        assert_eq!(report["active_source"], "fixtures");
    }
    assert_eq!(reason(&reload(json!({"id": "b"})).await), "unknown");

    std::fs::rename(&fixtures, &aside).unwrap();
    let refused = reload(json!({})).await;
    assert_eq!(refused.error().0, 500);
    let message = refused.json()["error"]["message"].to_string();
    assert!(
        message.contains("fixtures") && message.contains("kept"),
        "{message}"
    );
    client.request("beamline.registry.lookup", "a").await.ok();
    std::fs::rename(&aside, &fixtures).unwrap();
    reload(json!({})).await.ok();
}

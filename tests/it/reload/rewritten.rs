//! A database whose past is another one than the catalog knows.

use serde_json::json;

use super::{three_rows, wait_listening};
use crate::harness::daemon::message;
use crate::harness::{DEADLINE, Daemon, Postgres, eventually};
use crate::rig::{Rig, insert, reason, set_timeout_ms, silently};
use crate::schema::run;

#[tokio::test]
async fn a_new_epoch_means_reading_everything() {
    let rig = three_rows().await;
    let daemon = rig.daemon().spawn().await;
    wait_listening(&rig, &daemon).await;
    // After the load with which listening begins: that compares digests, and might find the change.
    // Requests come before hints: the second one comes after what the first one overtook.
    for _ in 0..2 {
        rig.ask("reload", &json!({})).await.ok();
    }
    let epoch = rig.stats().await["epoch"].clone();
    let change = format!(
        "{}; DELETE FROM extensions WHERE id = 'c'",
        set_timeout_ms("a", 11)
    );
    run(&rig.sql, &silently(&change)).await;

    let migrate = Daemon::builder()
        .database(&rig.database.url())
        .arg("migrate");
    let (code, output, errors) = migrate.arg("--new-epoch").run().await;
    assert_eq!(code, 0, "{errors}");
    rig.wait_timeout_ms("a", 11).await;
    assert_eq!(reason(&rig.lookup("c").await), "unknown");
    // Records are visible before the epoch that they belong to.
    eventually("the new epoch", DEADLINE, async || {
        let stats = rig.stats().await;
        stats["epoch"] != epoch && output.contains(stats["epoch"].as_str().unwrap())
    })
    .await;
}

#[tokio::test]
async fn a_restored_database_with_a_lower_revision_is_read_as_it_is() {
    let Rig {
        client,
        sql,
        database,
        nats,
    } = three_rows().await;
    let (name, backup) = (
        database.name().to_owned(),
        format!("{}_backup", database.name()),
    );
    // A database can be copied only while nobody is connected to it.
    drop(sql);
    let admin = Postgres::shared().await.connect("postgres").await.unwrap();
    let copy = format!("CREATE DATABASE {backup} TEMPLATE {name}");
    eventually("the backup is made", DEADLINE, async || {
        admin.batch_execute(&copy).await
    })
    .await;
    let sql = database.connect().await;
    let rig = Rig {
        client,
        sql,
        database,
        nats,
    };
    let daemon = rig.daemon().spawn().await;
    wait_listening(&rig, &daemon).await;
    for change in [
        set_timeout_ms("a", 11),
        insert("d"),
        "DELETE FROM extensions WHERE id = 'c'".into(),
    ] {
        run(&rig.sql, &change).await;
    }
    assert_eq!(rig.lookup_at("a", 4).await.ok()["timeout_ms"], 11);

    // The copy takes the name. Nobody may connect meanwhile.
    run(
        &admin,
        &format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false"),
    )
    .await;
    let terminate = format!(
        "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = '{name}'"
    );
    run(&admin, &terminate).await;
    run(
        &admin,
        &format!("ALTER DATABASE {name} RENAME TO {name}_lost"),
    )
    .await;
    run(&admin, &format!("ALTER DATABASE {backup} RENAME TO {name}")).await;

    let stats = rig.wait_stats("/revision", json!(1)).await;
    assert_eq!(stats["total_extensions"], 3);
    assert_eq!(rig.lookup("a").await.ok()["timeout_ms"], 5000);
    rig.lookup("c").await.ok();
    assert_eq!(reason(&rig.lookup("d").await), "unknown");
    let again = rig.database.connect().await;
    run(&again, &set_timeout_ms("b", 22)).await;
    assert_eq!(
        rig.lookup_at("b", 2).await.ok()["timeout_ms"],
        22,
        "the new history is followed"
    );
    run(&admin, &format!("DROP DATABASE {name}_lost")).await;
}

/// Nobody was disconnected: the tables were made anew in place, as `pg_restore --clean` does.
#[tokio::test]
async fn a_notified_revision_that_is_lower_means_reading_everything() {
    let rig = three_rows().await;
    let daemon = rig.daemon().spawn().await;
    wait_listening(&rig, &daemon).await;
    for timeout_ms in 1..=9 {
        run(&rig.sql, &set_timeout_ms("a", timeout_ms)).await;
    }
    rig.lookup_at("a", 10).await.ok();
    let again = "DELETE FROM registry_revision; INSERT INTO registry_revision DEFAULT VALUES";
    run(&rig.sql, again).await;
    run(&rig.sql, &set_timeout_ms("a", 77)).await;
    rig.wait_timeout_ms("a", 77).await;
}

#[tokio::test]
async fn rows_changed_without_a_revision_are_found_at_the_tenth_sync() {
    for busy in [false, true] {
        let rig = three_rows().await;
        let daemon = rig
            .daemon()
            .setting("SYNC_INTERVAL_SECONDS", 0.1)
            .spawn()
            .await;
        wait_listening(&rig, &daemon).await;
        let change = format!(
            "{}; DELETE FROM extensions WHERE id = 'c'; {}",
            set_timeout_ms("a", 11),
            insert("d")
        );
        run(&rig.sql, &silently(&change)).await;
        let mut turn = 0;
        eventually("the silent changes show", DEADLINE, async || {
            if busy {
                // More often than the sync interval: notified changes must not put the sync off.
                turn += 1;
                run(&rig.sql, &set_timeout_ms("b", turn)).await;
            }
            rig.lookup("a").await.ok()["timeout_ms"] == 11
        })
        .await;
        // One extension after the other is applied.
        eventually("all of them", DEADLINE, async || {
            let code = "Nats-Service-Error-Code";
            let gone = rig.lookup("c").await.header(code) == Some("404");
            gone && rig.lookup("d").await.header(code).is_none()
        })
        .await;
        daemon
            .wait_log("what was found", |entry| {
                message(entry)?
                    .contains("changed without a revision")
                    .then_some(())
            })
            .await;
    }
}

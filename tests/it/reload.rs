//! How changes of a source reach lookups:
//!
//! - a notified change is visible at once; without LISTEN the timer finds it, and `stats` and a
//!   metric say that nobody listens,
//! - a change that is committed and notified while a load runs is not lost,
//! - a listener that is killed again and again costs no change,
//! - `reload` reads everything, or one id, in every mode; an error says so and keeps the data,
//! - another epoch or a lower revision is another history: everything is read,
//! - rows changed without a revision are found by the digest at the tenth sync, in quiet times and
//!   in busy ones.

use std::time::Duration;

use serde_json::json;

use crate::harness::daemon::message;
use crate::harness::{DEADLINE, Daemon, FaultProxy, NatsServer, eventually};
use crate::rig::{Rig, insert, metric, reason, set_timeout_ms, silently};
use crate::schema::{revision, run, value};

const LISTENER_UP: &str = "extension_registry_listener_up";

/// A database with the extensions `a`, `b` and `c`, of one revision.
async fn three_rows() -> Rig {
    let rig = Rig::start().await;
    run(&rig.sql, &["a", "b", "c"].map(insert).join(";")).await;
    rig
}

/// Waits until changes are notified.
async fn wait_listening(rig: &Rig, daemon: &Daemon) {
    daemon.wait_ready().await;
    rig.wait_stats("/listener/state", json!("listening")).await;
}

#[tokio::test]
async fn a_change_is_notified() {
    let rig = three_rows().await;
    let daemon = rig.daemon().spawn().await;
    wait_listening(&rig, &daemon).await;
    for timeout_ms in 1..=20 {
        run(&rig.sql, &set_timeout_ms("a", timeout_ms)).await;
        let reply = rig.lookup_at("a", 1 + timeout_ms).await;
        assert_eq!(reply.ok()["timeout_ms"], timeout_ms);
    }
}

#[tokio::test]
async fn without_listen_the_timer_finds_changes() {
    let rig = three_rows().await;
    let proxy = FaultProxy::start(rig.database.addr()).await;
    proxy.cut().await;
    let daemon = rig
        .daemon()
        .setting("DB_LISTEN_URL", rig.database.url_at(proxy.addr()));
    let daemon = daemon.setting("SYNC_INTERVAL_SECONDS", 0.2).spawn().await;
    daemon.wait_ready().await;
    rig.wait_stats("/listener/state", json!("polling")).await;
    assert_eq!(metric(&daemon, LISTENER_UP).await, Some(0.0));
    assert_eq!(
        metric(&daemon, "extension_registry_database_up").await,
        Some(1.0)
    );
    for timeout_ms in 1..=3 {
        run(&rig.sql, &set_timeout_ms("a", timeout_ms)).await;
        rig.wait_timeout_ms("a", timeout_ms).await;
    }
    run(&rig.sql, "DELETE FROM extensions WHERE id = 'b'").await;
    eventually("the deletion shows", DEADLINE, async || {
        rig.lookup("b").await.header("Nats-Service-Error-Code") == Some("404")
    })
    .await;

    proxy.heal().await;
    rig.wait_stats("/listener/state", json!("listening")).await;
    assert_eq!(metric(&daemon, LISTENER_UP).await, Some(1.0));
}

/// Statements that the pool's connections have sent so far are told apart by their start.
const POOL_QUERY: &str = "SELECT max(query_start) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name LIKE 'beamline-registry/%/pool'";

#[tokio::test]
async fn a_change_that_is_notified_during_a_load_is_not_lost() {
    let rig = three_rows().await;
    let proxy = FaultProxy::start(rig.database.addr()).await;
    let daemon = rig.daemon_at(&rig.database.url_at(proxy.addr()));
    let daemon = daemon
        .setting("DB_LISTEN_URL", rig.database.url())
        .spawn()
        .await;
    wait_listening(&rig, &daemon).await;
    proxy.delay(Duration::from_millis(60));
    // A load is a few round trips: a check of the connection, the head, the rows. The second change
    // comes after each of them in turn, while its answer is still on the way.
    for steps in 0..=3 {
        let loads = async || value(&rig.sql, POOL_QUERY).await;
        let mut last = loads().await;
        run(&rig.sql, &set_timeout_ms("a", 10 + steps)).await;
        for _ in 0..steps {
            last = eventually("the load's next statement", DEADLINE, async || {
                let now = loads().await;
                (now != last).then_some(now)
            })
            .await;
        }
        run(&rig.sql, &set_timeout_ms("b", 20 + steps)).await;
        let second = revision(&rig.sql).await;
        assert_eq!(
            rig.lookup_at("b", second).await.ok()["timeout_ms"],
            20 + steps
        );
        assert_eq!(rig.lookup("a").await.ok()["timeout_ms"], 10 + steps);
    }
}

/// Ends the listener's session, once it has proven that it hears. A session killed before that
/// would only lengthen the pause until the next one.
const KILL_LISTENER: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name LIKE 'beamline-registry/%/listen'
      AND state = 'idle' AND query LIKE 'NOTIFY%'";

#[tokio::test]
async fn a_listener_killed_a_hundred_times_costs_no_change() {
    let rig = three_rows().await;
    let daemon = rig.daemon().spawn().await;
    wait_listening(&rig, &daemon).await;
    for turn in 1..=100 {
        let change = set_timeout_ms("a", turn);
        // Before the kill; after it, while nobody listens; and so soon after it that the new
        // connection may be between its LISTEN and its load.
        if turn % 3 == 0 {
            run(&rig.sql, &change).await;
        }
        eventually("there is a listener to kill", DEADLINE, async || {
            !rig.sql.query(KILL_LISTENER, &[]).await.unwrap().is_empty()
        })
        .await;
        if turn % 3 == 1 {
            run(&rig.sql, &change).await;
        }
        if turn % 3 == 2 {
            let connected = "SELECT count(*) FROM pg_stat_activity
                WHERE datname = current_database()
                  AND application_name LIKE 'beamline-registry/%/listen'";
            eventually("there is another listener", DEADLINE, async || {
                value(&rig.sql, connected).await == "1"
            })
            .await;
            run(&rig.sql, &change).await;
        }
        assert_eq!(rig.lookup_at("a", 1 + turn).await.ok()["timeout_ms"], turn);
    }
    wait_listening(&rig, &daemon).await;
}

#[tokio::test]
async fn reload_reads_everything_or_one_id_whatever_the_revision_says() {
    for mode in ["database", "auto"] {
        let rig = three_rows().await;
        let daemon = rig.daemon().setting("SOURCE", mode).spawn().await;
        wait_listening(&rig, &daemon).await;
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
        stats["last_error"].as_str().unwrap().contains("away"),
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
    let client = crate::harness::Client::connect(&nats.url()).await;
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

#[tokio::test]
async fn a_new_epoch_means_reading_everything() {
    let rig = three_rows().await;
    let daemon = rig.daemon().spawn().await;
    wait_listening(&rig, &daemon).await;
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
    let stats = rig.stats().await;
    assert_ne!(stats["epoch"], epoch);
    assert!(
        output.contains(stats["epoch"].as_str().unwrap()),
        "{output}"
    );
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
    let admin = crate::harness::Postgres::shared()
        .await
        .connect("postgres")
        .await
        .unwrap();
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
        assert_eq!(reason(&rig.lookup("c").await), "unknown");
        rig.lookup("d").await.ok();
        daemon
            .wait_log("what was found", |entry| {
                message(entry)?
                    .contains("changed without a revision")
                    .then_some(())
            })
            .await;
    }
}

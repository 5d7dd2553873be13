//! Somebody's idle transaction is in the way of a migration: it is named, and nobody else waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use beamline_registry::adapters::postgres::migrate::{MigrateError, migrate, migrate_telling};
use serde_json::json;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use tokio_postgres::Client;

use crate::harness::{DEADLINE, TestDatabase};
use crate::rig::{Rig, insert};
use crate::schema::{migrated, run, value};

/// A migration ahead: digests to stamp, and the strongest lock there is on two tables and all views.
async fn set_back(client: &Client) {
    for table in ["extensions", "extension_versions", "extension_instances"] {
        run(
            client,
            &format!(
                "ALTER TABLE {table} DISABLE TRIGGER z_digest;
                 UPDATE {table} SET digest = digest + 1;
                 ALTER TABLE {table} ENABLE ALWAYS TRIGGER z_digest"
            ),
        )
        .await;
    }
    run(
        client,
        "UPDATE registry_functions SET sha256 = '';
         ALTER TABLE extension_versions ALTER created_by DROP DEFAULT;
         ALTER TABLE extension_instances ALTER created_by DROP DEFAULT",
    )
    .await;
}

/// An idle transaction that has read `relation`, and its name as an operator should see it.
async fn holder(database: &TestDatabase, relation: &str) -> (Client, String) {
    let holder = database.connect().await;
    run(&holder, "SET application_name = 'idle psql'").await;
    run(&holder, &format!("BEGIN; SELECT * FROM {relation}")).await;
    let pid = value(&holder, "SELECT pg_backend_pid()").await;
    (holder, format!("pid {pid}, idle psql, postgres, since 2"))
}

/// Lookups, reloads and writes, one after another, counted: each has to do what it does.
async fn load(rig: &Rig, over: &AtomicBool, rounds: &watch::Sender<u32>) {
    while !over.load(Ordering::Relaxed) {
        let round = *rounds.borrow() + 1;
        for (verb, body) in [
            ("lookup", json!({"id": "a"})),
            ("update", json!({"id": "a", "timeout_ms": 100 + round})),
            ("reload", json!({})),
            (
                "put_version",
                json!({"id": "a", "version": "v2", "subject": "beamline.ext.v2", "priority": round}),
            ),
        ] {
            let mut reply = rig.ask(verb, &body).await;
            if reply.header("Nats-Service-Error-Code") == Some("503") {
                // A try for a lock that ends late on a busy machine; no other follows at once.
                reply = rig.ask(verb, &body).await;
            }
            reply.ok();
        }
        rounds.send_replace(round);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_reader_of_each_table_in_turn_holds_up_nobody_but_the_migration() {
    let rig = Arc::new(Rig::start().await);
    run(&rig.sql, &insert("a")).await;
    let parts = "INSERT INTO extension_versions (id, version, subject) VALUES ('a', 'v0', 's');
        INSERT INTO extension_instances (extension_id, instance_id, subject) VALUES ('a', 'i', 's')";
    run(&rig.sql, parts).await;
    let daemon = rig.daemon().spawn().await;
    daemon.wait_ready().await;
    let over = Arc::new(AtomicBool::new(false));
    let rounds = Arc::new(watch::Sender::new(0));
    let loading = tokio::spawn({
        let (rig, over, rounds) = (Arc::clone(&rig), Arc::clone(&over), Arc::clone(&rounds));
        async move { load(&rig, &over, &rounds).await }
    });
    let relations = "SELECT relname::text FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v') ORDER BY relname";
    let relations = rig.sql.query(relations, &[]).await.unwrap();
    let mut waited = Vec::new();
    for relation in relations.iter().map(|row| row.get::<_, String>(0)) {
        set_back(&rig.sql).await;
        let (holder, name) = holder(&rig.database, &relation).await;
        let mut client = rig.database.connect().await;
        let (told, mut telling) = mpsc::channel(100);
        let migrating = tokio::spawn(async move {
            let tell = |holders: &[String]| told.try_send(holders.join("; ")).unwrap();
            migrate_telling(&mut client, 3 * DEADLINE, tell).await
        });
        // Ends when the reader is named, or when there was nothing to wait for. A writer in between that
        // does not come to an end in time is named too.
        let mut held = false;
        while !held && let Some(named) = telling.recv().await {
            held = named.contains(&name);
        }
        if held {
            waited.push(relation.clone());
            // The reader is still there, and the migration waits for it: the fleet goes on.
            let (now, mut ended) = (*rounds.borrow(), rounds.subscribe());
            let two_more = ended.wait_for(|count| *count >= now + 2);
            let two_more = timeout(DEADLINE, two_more).await;
            two_more.expect("the fleet waits too").unwrap();
        }
        run(&holder, "COMMIT").await;
        let migrated = migrating.await.unwrap();
        assert!(
            migrated.as_ref().is_ok_and(|it| it.functions),
            "{relation}: {migrated:?}"
        );
        assert!(!loading.is_finished(), "{relation}");
    }
    over.store(true, Ordering::Relaxed);
    loading.await.unwrap();
    for relation in [
        "extension_circuit_states",
        "extension_definitions",
        "extension_instance_definitions",
        "extension_instances",
        "extension_version_definitions",
        "extension_versions",
        "live_sidecars",
    ] {
        assert!(
            waited.iter().any(|it| it == relation),
            "{relation}: {waited:?}"
        );
    }
}

#[tokio::test]
async fn who_holds_a_table_for_too_long_is_named_and_nothing_is_changed() {
    let (database, client) = migrated().await;
    run(
        &client,
        "INSERT INTO extensions (id, type, subject) VALUES ('a', 'pre', 's')",
    )
    .await;
    set_back(&client).await;
    let stale = value(&client, "SELECT digest FROM extensions").await;
    let (holder, name) = holder(&database, "extension_versions").await;
    let mut starter = database.connect().await;
    let held = migrate(&mut starter, Duration::from_secs(3)).await;
    let Err(MigrateError::Held(names)) = &held else {
        panic!("{held:?}");
    };
    assert!(names.len() == 1 && names[0].starts_with(&name), "{names:?}");
    let words = held.unwrap_err().to_string();
    assert!(
        words.starts_with(&format!("tables of the registry are held by {name}")),
        "{words}"
    );
    assert_eq!(value(&client, "SELECT digest FROM extensions").await, stale);
    assert_eq!(
        value(&starter, "current_setting('lock_timeout')").await,
        "0"
    );
    run(&holder, "COMMIT").await;
    assert!(migrate(&mut starter, DEADLINE).await.unwrap().functions);
    assert_ne!(value(&client, "SELECT digest FROM extensions").await, stale);
}

//! What `migrate` promises on the command line:
//!
//! - it brings a database of any age up to date, once, however many run it at a time,
//! - `--check` changes nothing and tells by its exit code whether there is something to do,
//! - `--seed` adds the six seed extensions that are missing, `--new-epoch` begins another epoch,
//! - a database made by the seeds' SQL keeps every row, and the daemon serves them,
//! - one made by a version that was never released is named and left alone,
//! - whoever holds a table is named, and nobody else waits for him ([`held`]).

use serde_json::json;

use crate::harness::{DEADLINE, Daemon, TestDatabase};
use crate::rig::{Rig, reason};
use crate::schema::triggers::listen;
use crate::schema::upgrade::{FIRST, LATER, description};
use crate::schema::{revision, run, value};

mod held;
mod original;

/// Migrations in `migrations/`.
const MIGRATIONS: usize = 5;

/// What it says of `migrations/functions/`.
const FUNCTIONS: &str = "applied functions, views and triggers\n";

/// Rows as the old system had them; the audit entry and the health row have to survive as well.
const OLD_ROWS: &str = r#"
    INSERT INTO extensions (id, type, subject, timeout_ms, retry, config, metadata, created_at) VALUES
        ('normalize_text', 'pre', 'beamline.ext.pre.normalize_text.v1', 150, 3, '{"ours": true}', NULL,
            '2025-01-27 12:00'),
        ('mask', 'post', 'beamline.ext.post.mask.v1', 100, 0, NULL, '{"k": [1]}', NULL),
        ('odd', 'post', 'not.allowed.here', 100, 0, '{}', '{}', NULL);
    UPDATE extensions SET enabled = false WHERE id = 'mask';
    INSERT INTO extension_audit_log (extension_id, action, changed_by) VALUES ('mask', 'disabled', 'kim');
    INSERT INTO extension_health (extension_id, failure_count, success_count) VALUES ('mask', 3, 4);"#;

/// `migrate` with these arguments: exit code and standard output.
async fn migrate(database: &TestDatabase, arguments: &[&str]) -> (i32, String) {
    let start = Daemon::builder().database(&database.url()).arg("migrate");
    let command = arguments
        .iter()
        .fold(start, |command, argument| command.arg(argument));
    let (code, output, errors) = command.run().await;
    assert_eq!(errors, "", "{arguments:?}: {output}");
    (code, output)
}

#[tokio::test]
async fn check_tells_by_its_exit_code_and_changes_nothing() {
    let database = TestDatabase::create().await;
    let client = database.connect().await;
    let tables = "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'";
    let (code, output) = migrate(&database, &["--check"]).await;
    let missing = format!("no schema yet, version {MIGRATIONS} is needed\n");
    assert_eq!((code, output), (1, missing));
    assert_eq!(value(&client, tables).await, "0");

    let mut heard = listen(&database).await;
    let (code, output) = migrate(&database, &[]).await;
    let lines = MIGRATIONS + 1;
    assert_eq!((code, output.lines().count()), (0, lines), "{output}");
    assert!(output.starts_with("applied V1 definitions\n"), "{output}");
    assert!(output.ends_with(FUNCTIONS), "{output}");
    // Whoever waits for the schema is told.
    let told = tokio::time::timeout(DEADLINE, heard.recv()).await;
    assert_eq!(told.expect("a notification"), Some(String::new()));
    for arguments in [&["--check"][..], &[]] {
        let (code, output) = migrate(&database, arguments).await;
        assert_eq!((code, output.as_str()), (0, "schema is up to date\n"));
    }

    run(
        &client,
        "UPDATE registry_functions SET sha256 = 'of another binary'",
    )
    .await;
    let (code, output) = migrate(&database, &["--check"]).await;
    let differ = "functions, views or triggers are not up to date\n";
    assert_eq!((code, output.as_str()), (1, differ));
    let (code, output) = migrate(&database, &[]).await;
    assert_eq!((code, output.as_str()), (0, FUNCTIONS));
    assert_eq!(migrate(&database, &["--check"]).await.0, 0);

    let forget = format!("DELETE FROM refinery_schema_history WHERE version = {MIGRATIONS}");
    run(&client, &forget).await;
    let (code, output) = migrate(&database, &["--check"]).await;
    let (before, after) = (MIGRATIONS - 1, MIGRATIONS + 1);
    let behind = format!("schema is at version {before}, version {MIGRATIONS} is needed\n");
    assert_eq!((code, output), (1, behind));
    let ahead = format!(
        "INSERT INTO refinery_schema_history
             SELECT v, 'x', max(applied_on), '0'
             FROM refinery_schema_history, generate_series({MIGRATIONS}, {after}) v
             GROUP BY v"
    );
    run(&client, &ahead).await;
    let ahead = format!("schema is at version {after}, ahead of this binary's {MIGRATIONS}\n");
    for arguments in [&["--check"][..], &[]] {
        let (code, output) = migrate(&database, arguments).await;
        assert_eq!((code, output.as_str()), (0, ahead.as_str()));
    }
}

#[tokio::test]
async fn a_database_of_an_unreleased_version_is_named_and_left_alone() {
    let database = TestDatabase::create().await;
    let client = database.connect().await;
    migrate(&database, &[]).await;
    run(
        &client,
        "UPDATE refinery_schema_history SET name = 'seed_tables' WHERE version = 1;
         INSERT INTO refinery_schema_history
             SELECT v, 'x', 'then', '0' FROM generate_series(6, 12) v;
         UPDATE registry_functions SET sha256 = 'of then'",
    )
    .await;
    let before = description(&client).await;
    let words = "the database schema (version 12) was made by a version that was never released";
    for arguments in [&["--check"][..], &[], &["--seed"]] {
        let command = Daemon::builder().database(&database.url()).arg("migrate");
        let command = arguments
            .iter()
            .fold(command, |command, argument| command.arg(argument));
        let (code, output, errors) = command.run().await;
        assert_eq!(code, 1, "{output}{errors}");
        assert!(
            format!("{output}{errors}").contains(words),
            "{output}{errors}"
        );
    }
    let found = Daemon::builder().database(&database.url()).arg("check");
    let (code, found, _) = found.run().await;
    assert_eq!(code, 1, "{found}");
    let advice = ": export with that version, and import into a new database with this one";
    assert!(found.contains(&format!("{words}{advice}")), "{found}");
    assert_eq!(description(&client).await, before);
    let hash = value(&client, "SELECT sha256 FROM registry_functions").await;
    assert_eq!(hash, "of then");
}

#[tokio::test]
async fn usage_and_reachability_have_their_exit_codes() {
    let database = TestDatabase::create().await;
    let command = |url: &str| Daemon::builder().database(url).arg("migrate");
    let (code, _, errors) = Daemon::builder().arg("migrate").run().await;
    assert_eq!(code, 64);
    assert!(errors.contains("EXTENSION_REGISTRY_DB_URL"), "{errors}");
    for arguments in [["--check", "--seed"], ["--check", "--new-epoch"]] {
        let (code, _, errors) = command(&database.url())
            .arg(arguments[0])
            .arg(arguments[1])
            .run()
            .await;
        assert_eq!(code, 64, "{errors}");
    }
    let away = "postgres://somebody:hunter2@127.0.0.1:1/nowhere";
    for check in [false, true] {
        let away = if check {
            command(away).arg("--check")
        } else {
            command(away)
        };
        let (code, _, errors) = away.run().await;
        assert_eq!(code, 1, "{errors}");
        assert!(
            errors.contains("127.0.0.1:1") && !errors.contains("hunter2"),
            "{errors}"
        );
    }
}

#[tokio::test]
async fn seeds_are_added_where_they_are_missing_and_epochs_begun() {
    let database = TestDatabase::create().await;
    let client = database.connect().await;
    let (_, output) = migrate(&database, &["--seed"]).await;
    assert!(output.ends_with("added 6 seed extensions\n"), "{output}");
    run(
        &client,
        "DELETE FROM extensions WHERE id = 'pii_guard';
         UPDATE extensions SET timeout_ms = 1 WHERE id = 'normalize_text'",
    )
    .await;
    let (_, output) = migrate(&database, &["--seed"]).await;
    assert_eq!(output, "schema is up to date\nadded 1 seed extensions\n");
    let kept = "SELECT timeout_ms FROM extensions WHERE id = 'normalize_text'";
    assert_eq!(value(&client, kept).await, "1");

    let epoch = "SELECT epoch FROM registry_revision";
    let before = value(&client, epoch).await;
    let (code, output) = migrate(&database, &["--new-epoch"]).await;
    let after = value(&client, epoch).await;
    assert_ne!(before, after);
    assert_eq!(
        (code, output),
        (0, format!("schema is up to date\nnew epoch {after}\n"))
    );

    // As after a restore of the definitions alone.
    let last = value(&client, "SELECT max(revision) FROM extensions").await;
    run(&client, "DELETE FROM registry_revision").await;
    let (code, output) = migrate(&database, &["--new-epoch"]).await;
    assert_eq!(code, 0, "{output}");
    assert_eq!(revision(&client).await.to_string(), last);
}

#[tokio::test]
async fn five_at_once_apply_each_migration_once() {
    let database = TestDatabase::create().await;
    let all = (0..5).map(|_| migrate(&database, &["--seed"]));
    let outcomes = futures_util::future::join_all(all).await;
    let count = |text: &str| -> usize {
        outcomes
            .iter()
            .map(|(_, output)| output.matches(text).count())
            .sum()
    };
    assert!(outcomes.iter().all(|(code, _)| *code == 0), "{outcomes:?}");
    assert_eq!(count("applied V"), MIGRATIONS, "{outcomes:?}");
    assert_eq!(count("schema is up to date"), 4, "{outcomes:?}");
    assert_eq!(count("added 6 seed extensions"), 1, "{outcomes:?}");
    let client = database.connect().await;
    assert_eq!(value(&client, "SELECT count(*) FROM extensions").await, "6");
}

/// Upgrades an old database by the command while a daemon waits for it.
async fn served(shape: &str, more_rows: &str) -> (Rig, Daemon) {
    let database = TestDatabase::create().await;
    let client = database.connect().await;
    run(&client, &[shape, OLD_ROWS, more_rows].join(";")).await;
    let rig = Rig::with(database, client).await;
    let daemon = rig.daemon().spawn().await;
    assert_eq!(migrate(&rig.database, &["--check"]).await.0, 1);
    let (code, output) = migrate(&rig.database, &["--seed"]).await;
    assert_eq!(code, 0);
    assert!(
        output.ends_with("added 5 seed extensions\n"),
        "its own normalize_text stays: {output}"
    );
    daemon.wait_ready().await;
    // The seeds are a transaction of their own, after the schema.
    let now = revision(&rig.sql).await;
    rig.lookup_at("pii_guard", now).await.ok();

    let record = rig.lookup("normalize_text").await.ok();
    assert_eq!(
        (&record["timeout_ms"], &record["retry"]),
        (&json!(150), &json!(3))
    );
    assert_eq!(
        (&record["config"], &record["metadata"]),
        (&json!({"ours": true}), &json!({}))
    );
    let stored = rig.ask("get", &json!({"id": "mask"})).await.ok();
    assert_eq!(
        (&stored["enabled"], &stored["metadata"]),
        (&json!(false), &json!({"k": [1]}))
    );
    assert_eq!(reason(&rig.lookup("mask").await), "disabled");
    assert_eq!(reason(&rig.lookup("odd").await), "quarantined");
    let kept = "SELECT (SELECT count(*) FROM extension_audit_log WHERE changed_by = 'kim') || ' '
        || (SELECT success_count FROM extension_health WHERE extension_id = 'mask')";
    assert_eq!(value(&rig.sql, kept).await, "1 4");

    run(
        &rig.sql,
        "UPDATE extensions SET enabled = true WHERE id = 'mask'",
    )
    .await;
    let now = revision(&rig.sql).await;
    assert_eq!(rig.lookup_at("mask", now).await.ok()["revision"], now);
    (rig, daemon)
}

#[tokio::test]
async fn a_database_of_the_first_shape_is_upgraded_and_served() {
    served(FIRST, "").await;
}

#[tokio::test]
async fn a_database_of_the_later_shape_is_upgraded_and_served_with_its_versions() {
    let (rig, _daemon) = served(
        LATER,
        "UPDATE extensions SET version = 'v2' WHERE id = 'normalize_text';
         INSERT INTO extension_versions (id, version, subject, timeout_ms) VALUES
             ('normalize_text', 'v1', 'beamline.ext.pre.normalize_text.v0', 50),
             ('normalize_text', 'v2', 'beamline.ext.pre.normalize_text.v1', 60)",
    )
    .await;
    let record = rig.lookup("normalize_text").await.ok();
    assert_eq!(
        record["version"], "v2",
        "what the old system kept takes no traffic: {record}"
    );
    let old = rig
        .ask("lookup", &json!({"id": "normalize_text", "version": "v1"}))
        .await;
    assert_eq!(old.error(), (404, "version_not_found".to_owned()));
    run(
        &rig.sql,
        "UPDATE extension_versions SET enabled = true WHERE version = 'v1'",
    )
    .await;
    let now = revision(&rig.sql).await;
    let old =
        json!({"id": "normalize_text", "version": "v1", "min_revision": now, "wait_ms": 10_000});
    assert_eq!(rig.ask("lookup", &old).await.ok()["timeout_ms"], 50);
}

//! Databases made by the old system's SQL, in both shapes it went through.

use beamline_registry::adapters::postgres::migrate::migrate;
use tokio_postgres::Client;

use super::{migrated, revision, run, value};
use crate::harness::{DEADLINE, TestDatabase};

/// The SQL of the seeds' first phase, without its own seed rows.
pub(crate) const FIRST: &str = include_str!("upgrade/first.sql");
/// As its later documents describe it: versions, actors, circuits.
pub(crate) const LATER: &str = include_str!("upgrade/later.sql");

const ROWS: &str = "
    INSERT INTO extensions (id, type, subject, config, metadata, created_at) VALUES
        ('a', 'pre', 's.a', NULL, NULL, '2025-01-27 12:00'), ('b', 'post', 's.b', '{\"k\": 1}', '{}', NULL),
        ('not an id!', 'pre', 'a subject > with everything *', '[]', '{}', '2025-01-27 12:00');
    INSERT INTO extension_audit_log (extension_id, action, changed_by, changes, timestamp)
        VALUES ('a', 'created', 'system', '{\"k\": 1}', '2025-01-27 12:00');
    INSERT INTO extension_health (extension_id, last_success, failure_count, success_count)
        VALUES ('a', '2025-01-27 12:00', 3, 2000000000);";

/// Columns, constraints, indexes and triggers, whatever their order.
pub(crate) async fn description(client: &Client) -> Vec<String> {
    let rows = client
        .query(
            "SELECT format('%s.%s %s null=%s default=%s generated=%s', table_name, column_name,
                    data_type, is_nullable, column_default, generation_expression)
             FROM information_schema.columns WHERE table_schema = 'public'
             UNION ALL
             SELECT format('%s: %s', conrelid::regclass, pg_get_constraintdef(oid))
             FROM pg_constraint WHERE connamespace = 'public'::regnamespace
             UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'
             UNION ALL SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
             ORDER BY 1",
            &[],
        )
        .await
        .unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

/// Upgrades a database of this shape with rows in it, and compares it with a new one.
async fn upgraded(shape: &str, more_rows: &str) -> (TestDatabase, Client) {
    let (_new, new) = migrated().await;
    let database = TestDatabase::create().await;
    let mut client = database.connect().await;
    // Where now() wrote local time, the upgrade has to read local time.
    run(
        &client,
        &format!(
            "ALTER DATABASE {} SET timezone = 'Asia/Tokyo'",
            database.name()
        ),
    )
    .await;
    client = database.connect().await;
    run(&client, shape).await;
    run(&client, ROWS).await;
    run(&client, more_rows).await;
    migrate(&mut client, DEADLINE).await.unwrap();

    assert_same(&description(&client).await, &description(&new).await);
    let rows = "SELECT (SELECT count(*) FROM extensions) || ' '
        || (SELECT count(*) FROM extension_audit_log) || ' '
        || (SELECT count(*) FROM extension_health)";
    assert_eq!(value(&client, rows).await, "3 1 1", "rows kept");
    for (column, text) in [
        ("config", ""),
        ("version", "v1"),
        ("enabled", "true"),
        ("auto_disabled", "false"),
        ("revision", "0"),
        ("created_at AT TIME ZONE 'UTC'", "2025-01-27 03:00:00"),
    ] {
        let sql = format!("SELECT {column} FROM extensions WHERE id = 'a'");
        assert_eq!(value(&client, &sql).await, text, "{column}");
    }
    let entry = "SELECT concat_ws(' ', action, changed_by, changes, actor_source, revision,
        timestamp AT TIME ZONE 'UTC') FROM extension_audit_log";
    let kept = r#"created system {"k": 1} database 2025-01-27 03:00:00"#;
    assert_eq!(value(&client, entry).await, kept);
    run(
        &client,
        "UPDATE extension_health SET success_count = success_count * 1000",
    )
    .await;
    (database, client)
}

/// Line by line, so that a failure names the difference only.
pub(super) fn assert_same(have: &[String], want: &[String]) {
    let missing: Vec<_> = want.iter().filter(|line| !have.contains(line)).collect();
    let surplus: Vec<_> = have.iter().filter(|line| !want.contains(line)).collect();
    assert!(
        missing.is_empty() && surplus.is_empty(),
        "missing {missing:#?} surplus {surplus:#?}"
    );
}

#[tokio::test]
async fn the_first_shape() {
    let (_database, client) = upgraded(FIRST, "").await;
    // An odd row is in nobody's way: it can be repaired and deleted.
    run(
        &client,
        "UPDATE extensions SET enabled = false WHERE id = 'not an id!'",
    )
    .await;
    run(&client, "DELETE FROM extensions").await;
    assert_eq!(revision(&client).await, 2);
    let entries = "SELECT count(*) FROM extension_audit_log WHERE extension_id = 'a'";
    assert_eq!(
        value(&client, entries).await,
        "2",
        "the log survives the extension"
    );
}

#[tokio::test]
async fn the_later_shape() {
    let (_database, client) = upgraded(
        LATER,
        "UPDATE extensions SET version = 'v2' WHERE id = 'b';
         INSERT INTO extension_versions (id, version, subject, timeout_ms) VALUES
             ('b', 'v1', 's.b.v1', 50), ('b', 'v2', 's.b', 60);",
    )
    .await;
    let versions = "SELECT string_agg(concat_ws(' ', version, timeout_ms, enabled), ', '
        ORDER BY version) FROM extension_versions";
    assert_eq!(value(&client, versions).await, "v1 50 f, v2 60 t");
}

/// The column's sequence may be another one, none, or behind.
#[tokio::test]
async fn entries_are_numbered_whatever_has_numbered_them() {
    for odd in [
        "",
        "ALTER SEQUENCE extension_audit_log_id_seq RENAME TO numbers",
        "ALTER SEQUENCE extension_audit_log_id_seq OWNED BY NONE",
        "ALTER TABLE extension_audit_log ALTER COLUMN id DROP DEFAULT;
         DROP SEQUENCE extension_audit_log_id_seq",
    ] {
        let database = TestDatabase::create().await;
        let mut client = database.connect().await;
        run(&client, &format!("{LATER}; {odd}")).await;
        run(
            &client,
            "INSERT INTO extensions (id, type, subject) VALUES ('a', 'pre', 's.a');
             INSERT INTO extension_audit_log (id, extension_id, action) VALUES (41, 'a', 'created')",
        )
        .await;
        migrate(&mut client, DEADLINE).await.unwrap();
        run(&client, "UPDATE extensions SET retry = 4").await;
        let newest = "SELECT max(id) FROM extension_audit_log";
        assert_eq!(value(&client, newest).await, "42", "{odd}");
    }
}

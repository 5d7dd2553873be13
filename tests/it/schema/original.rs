//! Databases that the original's deployed SQL made: every row and every field goes over, and what
//! cannot is listed, all of it, with nothing changed. CASES.md D1.

use std::fmt::Write as _;
use std::time::Duration;

use beamline_registry::adapters::postgres::migrate::{MigrateError, migrate};
use tokio_postgres::Client;

use super::upgrade::{LATER, assert_same, description};
use super::{NO_WAIT, migrated, run, value};
use crate::harness::{DEADLINE, Postgres, TestDatabase};

/// Tables, keys, checks and indexes.
pub(crate) const ORIGINAL: &str = include_str!("upgrade/original.sql");
/// A few rows.
pub(crate) const ROWS: &str = include_str!("upgrade/original_rows.sql");
const MANY: &str = include_str!("upgrade/original_many.sql");

const TABLES: [&str; 5] = [
    "extensions",
    "extension_versions",
    "extension_instances",
    "extension_health",
    "extension_audit_log",
];

/// Rows that say otherwise than what was before, by table: null times of definitions are filled in,
/// and what a version row must not do any more is kept in `original`.
const DIFFERENT: [(&str, &str); 5] = [
    (
        "extensions",
        "SELECT count(*) FROM before.extensions b FULL JOIN extensions n USING (id)
         WHERE (b.type, b.subject, b.timeout_ms, b.retry, b.enabled, b.version, b.config::text,
                b.metadata::text, b.created_by, b.updated_by,
                coalesce(b.created_at, b.updated_at, n.created_at),
                coalesce(b.updated_at, b.created_at, n.updated_at))
             IS DISTINCT FROM (n.type, n.subject, n.timeout_ms, n.retry, n.enabled, n.version,
                n.config::text, n.metadata::text, n.created_by, n.updated_by, n.created_at,
                n.updated_at)
            OR n.auto_disabled OR n.revision <> 0",
    ),
    (
        "extension_versions",
        "SELECT count(*) FROM before.extension_versions b
         FULL JOIN extension_versions n USING (id, version) LEFT JOIN extensions e USING (id)
         WHERE (b.subject, b.timeout_ms, b.retry, b.config::text, b.metadata::text, b.created_by,
                coalesce(b.created_at, n.created_at), b.enabled,
                coalesce(b.routing_rules::text, 'null'))
             IS DISTINCT FROM (n.subject, n.timeout_ms, n.retry, n.config::text, n.metadata::text,
                n.created_by, n.created_at, coalesce((n.original -> 'enabled')::boolean, n.enabled),
                coalesce(n.original -> 'routing_rules', n.routing_rules, 'null')::text)
            OR n.enabled IS DISTINCT FROM CASE WHEN n.version = e.version THEN true
                ELSE b.enabled AND coalesce(b.routing_rules, '{}') NOT IN ('{}', 'null') END
            OR n.version = e.version AND NOT b.enabled AND n.routing_rules IS NOT NULL",
    ),
    (
        "extension_instances",
        "SELECT count(*) FROM before.extension_instances b
         FULL JOIN extension_instances n USING (extension_id, instance_id)
         LEFT JOIN extensions e ON e.id = extension_id
         WHERE (b.subject, coalesce(b.weight, 100), b.enabled,
                coalesce(b.health_status, 'unknown'), b.last_health_check,
                coalesce(b.created_at, b.updated_at, n.created_at), b.updated_at, e.version)
             IS DISTINCT FROM (n.subject, n.weight, n.enabled, n.health_status,
                n.last_health_check, n.created_at, n.updated_at, n.version)",
    ),
    (
        "extension_health",
        "SELECT count(*) FROM before.extension_health b
         FULL JOIN extension_health n USING (extension_id)
         WHERE to_jsonb(b) - ARRAY['half_open_requests_count', 'avg_latency_ms']
             IS DISTINCT FROM to_jsonb(n) - ARRAY['half_open_request_count', 'avg_latency_ms',
                'auto_disabled', 'latency_count', 'latency_total_us']
            OR b.half_open_requests_count IS DISTINCT FROM n.half_open_request_count
            OR b.avg_latency_ms IS DISTINCT FROM n.avg_latency_ms::numeric(10, 2)
            OR n.latency_count > 0 AND round(b.avg_latency_ms, 2)
                IS DISTINCT FROM round(n.latency_total_us::numeric / n.latency_count / 1000, 2)",
    ),
    (
        "extension_audit_log",
        "SELECT count(*) FROM before.extension_audit_log b
         FULL JOIN extension_audit_log n ON n.original_id = b.id
         WHERE (b.extension_id, b.changed_by, coalesce(b.changed_at, '-infinity'),
                coalesce(b.old_values, 'null'), coalesce(b.new_values, 'null'),
                CASE b.action WHEN 'create' THEN 'created' WHEN 'update' THEN 'updated'
                    WHEN 'delete' THEN 'deleted' WHEN 'enable' THEN 'enabled'
                    WHEN 'disable' THEN 'disabled' END)
             IS DISTINCT FROM (n.extension_id, n.changed_by, n.timestamp, n.changes -> 'old',
                n.changes -> 'new', n.action)
            OR n.id IS NULL OR n.actor_source <> 'database' OR n.revision IS NOT NULL",
    ),
];

/// A database of the original with these rows.
pub(crate) async fn made(rows: &str) -> (TestDatabase, Client) {
    let database = TestDatabase::create().await;
    let client = database.connect().await;
    run(&client, &format!("{ORIGINAL}; {rows}")).await;
    (database, client)
}

/// `original_many.sql`.
pub(crate) fn many(extensions: u32, entries: u32) -> String {
    MANY.replace("$extensions", &extensions.to_string())
        .replace("$entries", &entries.to_string())
}

/// Keeps the tables as they are in a schema beside them.
pub(crate) async fn keep(client: &Client) {
    let mut sql = "CREATE SCHEMA before;".to_owned();
    for table in TABLES {
        write!(sql, "CREATE TABLE before.{table} AS TABLE {table};").unwrap();
    }
    run(client, &sql).await;
}

/// Nothing is lost, added or changed since [`keep`].
pub(crate) async fn assert_kept(client: &Client) {
    for table in TABLES {
        let counts = format!(
            "SELECT (SELECT count(*) FROM {table}) - (SELECT count(*) FROM before.{table})"
        );
        assert_eq!(value(client, &counts).await, "0", "rows of {table}");
    }
    for (table, different) in DIFFERENT {
        assert_eq!(value(client, different).await, "0", "{table} differs");
    }
    let order = "SELECT count(*) FROM (SELECT timestamp < lag(timestamp) OVER (ORDER BY id) AS back
        FROM extension_audit_log) AS entries WHERE back";
    assert_eq!(value(client, order).await, "0", "entries out of order");
}

/// Everything that stands in the way, or a panic.
async fn obstacles(client: &mut Client) -> Vec<String> {
    match migrate(client, DEADLINE).await {
        Err(MigrateError::Obstacles(lines)) => lines,
        other => panic!("{other:?}"),
    }
}

/// The whole schema and all rows, as text.
async fn dump(client: &Client) -> Vec<String> {
    let mut all = description(client).await;
    for table in TABLES {
        let rows = format!("SELECT t::text FROM {table} t ORDER BY 1");
        let rows = client.query(&rows, &[]).await.unwrap();
        all.extend(rows.iter().map(|row| row.get::<_, String>(0)));
    }
    all
}

#[tokio::test]
async fn every_field_of_every_row_goes_over() {
    for rows in [ROWS.to_owned(), many(300, 1500)] {
        let (_database, mut client) = made(&rows).await;
        keep(&client).await;
        migrate(&mut client, DEADLINE).await.unwrap();
        assert_kept(&client).await;
        let again = migrate(&mut client, DEADLINE).await.unwrap();
        assert!(again.old.is_none() && again.applied.is_empty(), "{again:?}");
        assert_kept(&client).await;
        // The numbers go on after the old ones.
        run(
            &client,
            "UPDATE extensions SET retry = retry + 1 WHERE id = (SELECT min(id) FROM extensions)",
        )
        .await;
        let newest = "SELECT revision FROM extension_audit_log ORDER BY id DESC LIMIT 1";
        assert_eq!(value(&client, newest).await, "1");
    }
}

/// Columns, indexes and checks of the original that ours lack stay; nothing of ours is missing.
#[tokio::test]
async fn the_schema_is_ours_with_what_the_original_had_besides() {
    let (_new, new) = migrated().await;
    let (_database, mut client) = made(ROWS).await;
    migrate(&mut client, DEADLINE).await.unwrap();
    let (have, want) = (description(&client).await, description(&new).await);
    assert_same(
        &want
            .iter()
            .filter(|line| have.contains(line))
            .cloned()
            .collect::<Vec<_>>(),
        &want,
    );
    let surplus: Vec<_> = have.iter().filter(|line| !want.contains(line)).collect();
    for line in &surplus {
        let kept = [
            "original",
            "latency",
            "updated_at",
            "window",
            "threshold",
            "check",
            "CHECK",
        ];
        let index = line.starts_with("CREATE INDEX idx_extension");
        assert!(
            index || kept.iter().any(|word| line.contains(word)),
            "{line}"
        );
    }
}

#[tokio::test]
async fn an_operators_own_check_of_the_audit_stays() {
    let (_database, mut client) = made(ROWS).await;
    let check = "ALTER TABLE extension_audit_log
        ADD CONSTRAINT of_an_operator CHECK (length(changed_by) < 200)";
    run(&client, check).await;
    migrate(&mut client, DEADLINE).await.unwrap();
    let kept = "SELECT count(*) FROM pg_constraint WHERE conname = 'of_an_operator'";
    assert_eq!(value(&client, kept).await, "1");
    run(&client, "UPDATE extensions SET enabled = NOT enabled").await;
}

/// CASES.md D1: all of it at once, and nothing changed.
#[tokio::test]
async fn what_cannot_be_carried_is_listed_at_once_and_nothing_is_changed() {
    let (_database, mut client) = made(ROWS).await;
    run(
        &client,
        "INSERT INTO extensions (id, type, subject) VALUES
             ('twin', 'post', 'beamline.ext.post.mask_pii.v1'), ('a', 'pre', 's'), ('b', 'pre', 's');
         ALTER TABLE extension_versions DROP CONSTRAINT extension_versions_id_fkey;
         ALTER TABLE extension_health DROP CONSTRAINT extension_health_extension_id_fkey;
         ALTER TABLE extension_audit_log DROP CONSTRAINT extension_audit_log_action_check;
         INSERT INTO extension_versions (id, version, subject, timeout_ms, retry)
             VALUES ('ghost', 'v1', 's', 1, 1);
         INSERT INTO extension_health (extension_id) VALUES ('ghost');
         INSERT INTO extension_audit_log (extension_id, action) VALUES ('a', 'renamed');
         ALTER TABLE extension_instances ALTER COLUMN subject TYPE text;
         UPDATE extension_instances SET subject = repeat('s', 513) WHERE instance_id = 'a';
         ALTER TABLE extensions ALTER COLUMN id TYPE text;
         INSERT INTO extensions (id, type, subject) VALUES (repeat('long_', 60), 'pre', 'long');
         CREATE VIEW current AS SELECT id, version FROM extensions;
         CREATE VIEW changes AS SELECT new_values FROM extension_audit_log;
         CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             INSERT INTO extension_audit_log (extension_id, action, new_values)
                 VALUES (NEW.id, 'update', to_jsonb(NEW)); RETURN NEW; END $$;
         CREATE TRIGGER noting AFTER UPDATE ON extensions FOR EACH ROW EXECUTE FUNCTION note();",
    )
    .await;
    let before = dump(&client).await;
    let found = obstacles(&mut client).await;
    assert_eq!(dump(&client).await, before);
    for words in [
        "beamline.ext.post.mask_pii.v1 is shared by mask_pii, twin",
        "subject s is shared by a, b",
        "extension_versions has rows of extensions that do not exist: ghost/v1",
        "extension_health has rows of extensions that do not exist: ghost",
        "the action renamed",
        "extension_instances.subject has more than 512 characters in mask_pii/a: shorten it",
        "extensions.id has more than 255 characters in long_long",
        "extensions.version changes its type or is dropped, and this depends on it: rule _RETURN on view current",
        "extension_audit_log.new_values",
        "trigger noting on extensions calls note",
    ] {
        let times = found.iter().filter(|line| line.contains(words)).count();
        assert_eq!(times, 1, "{words}: {found:#?}");
    }
    assert_eq!(found.len(), 10, "{found:#?}");

    // Once an operator has seen to them, it goes through.
    run(
        &client,
        "DROP VIEW current; DROP VIEW changes; DROP TRIGGER noting ON extensions;
         UPDATE extensions SET subject = 'beamline.ext.' || id WHERE id IN ('twin', 'a');
         DELETE FROM extension_versions WHERE id = 'ghost';
         DELETE FROM extension_health WHERE extension_id = 'ghost';
         UPDATE extension_instances SET subject = 'beamline.ext.a' WHERE instance_id = 'a';
         DELETE FROM extensions WHERE id LIKE 'long%';
         UPDATE extension_audit_log SET action = 'update' WHERE action = 'renamed';",
    )
    .await;
    keep(&client).await;
    migrate(&mut client, DEADLINE).await.unwrap();
    assert_kept(&client).await;
}

/// Rules that were taken out by hand, and what came in then.
#[tokio::test]
async fn nulls_missing_columns_and_the_largest_numbers_go_over() {
    let (_database, mut client) = made(ROWS).await;
    run(
        &client,
        "ALTER TABLE extensions ALTER COLUMN version DROP NOT NULL;
         UPDATE extensions SET version = NULL WHERE id = 'mask_pii';
         ALTER TABLE extensions ADD COLUMN auto_disabled boolean;
         ALTER TABLE extension_versions DROP COLUMN routing_rules, ADD COLUMN priority integer;
         INSERT INTO extension_versions (id, version, subject, timeout_ms, retry)
             VALUES ('mask_pii', 'v1', 'beamline.ext.mask', 1, 1);
         UPDATE extension_health SET success_count = 9223372036854775807, failure_count = 2,
             avg_latency_ms = 99999999.99 WHERE extension_id = 'normalize_text'",
    )
    .await;
    migrate(&mut client, DEADLINE).await.unwrap();
    let version = "SELECT concat_ws(' ', e.version, e.auto_disabled, v.enabled, v.priority)
        FROM extensions e JOIN extension_versions v USING (id) WHERE id = 'mask_pii'";
    assert_eq!(value(&client, version).await, "v1 f t 0");
    let counts = "SELECT concat_ws(' ', success_count, failure_count, latency_count)
        FROM extension_health WHERE extension_id = 'normalize_text'";
    assert_eq!(value(&client, counts).await, "9223372036854775807 2 0");
}

/// `CREATE INDEX CONCURRENTLY` leaves one behind where it fails.
#[tokio::test]
async fn an_index_that_could_not_be_built_keeps_no_subject_unique() {
    let (_database, mut client) = made(ROWS).await;
    let twin = "INSERT INTO extensions (id, type, subject)
        SELECT 'twin', type, subject FROM extensions WHERE id = 'mask_pii'";
    run(&client, twin).await;
    // By the name that the rule has elsewhere.
    let build = "CREATE UNIQUE INDEX CONCURRENTLY extensions_subject_key ON extensions (subject)";
    client.batch_execute(build).await.unwrap_err();
    run(&client, "DELETE FROM extensions WHERE id = 'twin'").await;
    migrate(&mut client, DEADLINE).await.unwrap();
    client.batch_execute(twin).await.unwrap_err();
}

/// Views on what keeps its type, and triggers and rules of other tools, live on; a trigger that stamps
/// times stamps nothing during the upgrade, a rule by which entries are only added keeps none from being
/// carried over, and both are as they were afterwards.
#[tokio::test]
async fn views_and_triggers_of_others_live_on() {
    let (_database, mut client) = made(&many(20, 50)).await;
    run(
        &client,
        "CREATE VIEW serving AS SELECT id, subject FROM extensions WHERE enabled;
         CREATE VIEW log AS SELECT id, action FROM extension_audit_log;
         CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             NEW.updated_at := '2001-01-01'; RETURN NEW; END $$;
         CREATE TRIGGER stamp BEFORE UPDATE ON extensions
             FOR EACH ROW EXECUTE FUNCTION stamp();
         CREATE TRIGGER stamp BEFORE UPDATE ON extension_health
             FOR EACH ROW EXECUTE FUNCTION stamp();
         CREATE TRIGGER off BEFORE UPDATE ON extension_instances
             FOR EACH ROW EXECUTE FUNCTION stamp();
         ALTER TABLE extension_instances DISABLE TRIGGER off;
         ALTER TABLE extension_health ENABLE ALWAYS TRIGGER stamp;
         CREATE RULE only_added AS ON UPDATE TO extension_audit_log DO INSTEAD NOTHING;
         CREATE RULE off AS ON DELETE TO extension_audit_log DO INSTEAD NOTHING;
         ALTER TABLE extension_audit_log DISABLE RULE off;",
    )
    .await;
    keep(&client).await;
    migrate(&mut client, DEADLINE).await.unwrap();
    assert_kept(&client).await;
    let enabled = "SELECT string_agg(tgenabled::text, '' ORDER BY tgrelid::regclass::text)
        FROM pg_trigger WHERE tgname IN ('stamp', 'off')";
    assert_eq!(value(&client, enabled).await, "ADO");
    let rules = "SELECT string_agg(ev_enabled::text, '' ORDER BY rulename)
        FROM pg_rewrite WHERE rulename IN ('only_added', 'off')";
    assert_eq!(value(&client, rules).await, "DO");
    let seen = "SELECT (SELECT count(*) FROM serving) > 0 AND (SELECT count(*) FROM log) = 50";
    assert_eq!(value(&client, seen).await, "true");
}

/// Between the step and the migrations, as after `kill -9`, and after any of them.
#[tokio::test]
async fn an_upgrade_that_ended_in_the_middle_goes_on() {
    let (_database, mut client) = made(&many(20, 50)).await;
    keep(&client).await;
    // V1 cannot be applied: its index is there already.
    let blocker = "CREATE INDEX idx_extensions_revision ON extension_health (updated_at)";
    run(&client, blocker).await;
    let failed = migrate(&mut client, DEADLINE).await;
    assert!(
        matches!(failed, Err(MigrateError::Migration(_))),
        "{failed:?}"
    );
    run(&client, "DROP INDEX idx_extensions_revision").await;
    let migrated = migrate(&mut client, DEADLINE).await.unwrap();
    assert!(migrated.old.is_none(), "{migrated:?}");
    assert_kept(&client).await;
}

/// A reader that comes after the step holds up V3; what came before that is told with the rest.
#[tokio::test]
async fn what_was_applied_before_a_wait_is_told_too() {
    let (database, mut client) = made(ROWS).await;
    let blocker = "CREATE INDEX idx_extensions_revision ON extension_health (updated_at)";
    run(&client, blocker).await;
    migrate(&mut client, DEADLINE).await.unwrap_err();
    run(&client, "DROP INDEX idx_extensions_revision").await;
    let holder = database.connect().await;
    run(&holder, "BEGIN; SELECT count(*) FROM extension_audit_log").await;
    let release = async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        run(&holder, "COMMIT").await;
    };
    let (migrated, ()) = tokio::join!(migrate(&mut client, DEADLINE), release);
    let applied = migrated.unwrap().applied;
    assert_eq!(applied[0].0, 1, "{applied:?}");
}

/// The tables are a role's own, as where the original logged in by one; a superuser migrates them,
/// or a member of that role.
#[tokio::test]
async fn whoever_has_the_rights_of_the_owner_upgrades_it() {
    let server = Postgres::private().await;
    let superuser = server.connect("postgres").await.unwrap();
    run(
        &superuser,
        "CREATE ROLE beamline; CREATE ROLE mate IN ROLE beamline",
    )
    .await;
    for migrator in ["postgres", "mate"] {
        let database = TestDatabase::create_on(&server).await;
        let client = database.connect().await;
        let old = format!("SET ROLE beamline; {ORIGINAL}; {ROWS}; RESET ROLE");
        run(&client, "GRANT CREATE ON SCHEMA public TO beamline").await;
        run(&client, &old).await;
        keep(&client).await;
        let mut theirs = database.connect().await;
        let login = format!("SET SESSION AUTHORIZATION {migrator}");
        run(&theirs, &login).await;
        migrate(&mut theirs, DEADLINE).await.unwrap();
        assert_kept(&client).await;
        run(&theirs, "UPDATE extensions SET retry = retry + 1").await;
        let newest = "SELECT max(id) FROM extension_audit_log";
        assert_eq!(value(&client, newest).await, "7", "4 and 3: {migrator}");
    }
}

/// As after a restore into a new database: the tables are the account's, and the schema is not.
#[tokio::test]
async fn who_may_not_make_tables_beside_them_is_told_before_anything_is_changed() {
    let server = Postgres::private().await;
    let superuser = server.connect("postgres").await.unwrap();
    run(&superuser, "CREATE ROLE beamline").await;
    let database = TestDatabase::create_on(&server).await;
    let client = database.connect().await;
    run(&client, "GRANT CREATE ON SCHEMA public TO beamline").await;
    run(&client, &format!("SET ROLE beamline; {LATER}; RESET ROLE")).await;
    run(
        &client,
        "REVOKE CREATE ON SCHEMA public FROM beamline, PUBLIC",
    )
    .await;
    let mut theirs = database.connect().await;
    run(&theirs, "SET SESSION AUTHORIZATION beamline").await;
    let before = description(&client).await;
    assert_eq!(
        obstacles(&mut theirs).await,
        ["beamline may create nothing in schema public: GRANT CREATE ON SCHEMA to that role"]
    );
    assert_eq!(description(&client).await, before);
    run(&client, "GRANT CREATE ON SCHEMA public TO beamline").await;
    migrate(&mut theirs, DEADLINE).await.unwrap();
}

/// What is computed of a time without a zone is the same in every session; with one it is not, and
/// Postgres says so without a name.
#[tokio::test]
async fn indexes_that_reckon_with_a_time_are_listed() {
    let database = TestDatabase::create().await;
    let mut client = database.connect().await;
    run(
        &client,
        &format!(
            "{LATER};
             CREATE INDEX by_day ON extension_audit_log (date_trunc('day', \"timestamp\"));
             CREATE INDEX lately ON extensions (id) WHERE updated_at > '2025-01-01';
             CREATE INDEX failed ON extension_health (last_success) WHERE last_failure IS NOT NULL;
             CREATE INDEX seldom ON extensions (created_at, lower(version)) WHERE enabled"
        ),
    )
    .await;
    let found = obstacles(&mut client).await;
    assert_eq!(found.len(), 2, "{found:#?}");
    for (column, index) in [
        ("extension_audit_log.timestamp changes", ": index by_day:"),
        ("extensions.updated_at changes", ": index lately:"),
    ] {
        let named = found
            .iter()
            .any(|line| line.starts_with(column) && line.contains(index));
        assert!(named, "{column}: {found:#?}");
    }
    run(&client, "DROP INDEX by_day, lately").await;
    migrate(&mut client, DEADLINE).await.unwrap();
    let stay = "SELECT count(*) FROM pg_class WHERE relname IN ('failed', 'seldom')";
    assert_eq!(value(&client, stay).await, "2");
}

/// Rows of a published table can be updated only while it has a key, by which they are known.
#[tokio::test]
async fn published_tables_are_upgraded_and_stay_published() {
    let by_index = "ALTER TABLE extension_audit_log
        REPLICA IDENTITY USING INDEX extension_audit_log_pkey";
    for identity in ["", by_index] {
        let (_database, mut client) = made(&many(20, 50)).await;
        keep(&client).await;
        run(&client, "CREATE PUBLICATION everything FOR ALL TABLES").await;
        run(&client, identity).await;
        migrate(&mut client, DEADLINE).await.unwrap();
        assert_kept(&client).await;
        run(&client, "UPDATE extension_audit_log SET changed_by = 'kim'").await;
        let published = "SELECT count(*) FROM pg_publication_tables
            WHERE schemaname = 'public' AND tablename = 'extension_audit_log'";
        assert_eq!(value(&client, published).await, "1");
    }
}

#[tokio::test]
async fn several_starters_upgrade_it_once() {
    let (database, client) = made(&many(100, 500)).await;
    keep(&client).await;
    let starters = (0..5).map(|_| async {
        let mut client = database.connect().await;
        migrate(&mut client, DEADLINE).await.unwrap()
    });
    let all = futures_util::future::join_all(starters).await;
    assert_eq!(all.iter().filter(|it| it.old.is_some()).count(), 1);
    assert_kept(&client).await;
}

/// Neither the original's nor the seeds', or partly ours.
#[tokio::test]
async fn a_mixed_database_is_refused_with_words() {
    for (shape, odd, words) in [
        (
            ORIGINAL,
            "ALTER TABLE extension_audit_log ADD COLUMN changes jsonb",
            "extension_audit_log is neither the original's",
        ),
        (
            ORIGINAL,
            "ALTER TABLE extension_audit_log DROP COLUMN new_values",
            "extension_audit_log is neither the original's",
        ),
        (
            LATER,
            "ALTER TABLE extension_audit_log RENAME changes TO new_values",
            "extension_audit_log is neither the original's",
        ),
        (
            ORIGINAL,
            "CREATE TABLE registry_revision (revision bigint)",
            "there is registry_revision, but no migration on record",
        ),
        (
            LATER,
            "ALTER TABLE extensions ADD COLUMN digest bigint",
            "extensions has a column digest",
        ),
        (
            ORIGINAL,
            "ALTER TABLE extension_health ADD COLUMN half_open_request_count integer",
            "extension_health has both",
        ),
        (
            ORIGINAL,
            "ALTER TABLE extension_versions DROP CONSTRAINT extension_versions_pkey",
            "extension_versions has no primary key (id, version)",
        ),
        (
            ORIGINAL,
            "ALTER TABLE extensions DROP COLUMN timeout_ms",
            "extensions has no timeout_ms",
        ),
        // What another tool has kept in columns that are named as ours, or in types of its own.
        (
            ORIGINAL,
            "ALTER TABLE extensions ADD COLUMN owner integer",
            "extensions.owner is integer, not character varying or text: change its type, or rename it",
        ),
        (
            ORIGINAL,
            "ALTER TABLE extensions ADD COLUMN revision bigint",
            "extensions has a column revision",
        ),
        (
            ORIGINAL,
            "ALTER TABLE extensions ADD COLUMN promoted boolean",
            "extensions has a column promoted",
        ),
        (
            ORIGINAL,
            "ALTER TABLE extension_versions ADD COLUMN original text",
            "extension_versions has a column original,",
        ),
        (
            ORIGINAL,
            "ALTER TABLE extension_audit_log ADD COLUMN original_id text",
            "extension_audit_log has a column original_id,",
        ),
        (
            ORIGINAL,
            "ALTER TABLE extension_versions ALTER COLUMN retry TYPE smallint",
            "extension_versions.retry is smallint, not integer",
        ),
        (
            LATER,
            "ALTER TABLE extension_audit_log ALTER COLUMN changes TYPE json USING changes::json",
            "extension_audit_log.changes is json, not jsonb",
        ),
        // Its rows would have no triggers of ours.
        (
            ORIGINAL,
            "CREATE TABLE extensions_of_others () INHERITS (extensions)",
            "extensions is not an ordinary table",
        ),
        (
            "",
            "CREATE TABLE extension_health (extension_id text)",
            "there is no table extensions",
        ),
        (
            "",
            "CREATE VIEW extensions AS SELECT 'a' AS id",
            "extensions is not an ordinary table",
        ),
    ] {
        let database = TestDatabase::create().await;
        let mut client = database.connect().await;
        run(&client, &format!("{shape}; {odd}")).await;
        let before = description(&client).await;
        let found = obstacles(&mut client).await;
        assert!(
            found.iter().any(|line| line.contains(words)),
            "{odd}: {found:#?}"
        );
        assert_eq!(description(&client).await, before, "{odd}");
    }
}

/// A schema whose name needs quotes, as `$user` does for a role with capitals.
#[tokio::test]
async fn it_may_be_in_a_schema_with_capitals() {
    let database = TestDatabase::create().await;
    let mut client = database.connect().await;
    let here = "CREATE SCHEMA \"App\"; SET search_path = \"App\"";
    run(&client, here).await;
    run(&client, &format!("{ORIGINAL}; {}", many(20, 50))).await;
    keep(&client).await;
    let holder = database.connect().await;
    let hold = "BEGIN; SELECT count(*) FROM \"App\".extension_health";
    run(&holder, hold).await;
    match migrate(&mut client, NO_WAIT).await {
        Err(MigrateError::Held(names)) => assert!(!names.is_empty(), "the holder has a name"),
        other => panic!("{other:?}"),
    }
    run(&holder, "COMMIT").await;
    migrate(&mut client, DEADLINE).await.unwrap();
    assert_kept(&client).await;
}

/// Readers must not queue behind an upgrade that waits for an idle transaction.
#[tokio::test]
async fn a_table_that_is_held_is_not_waited_for_without_a_limit() {
    let (database, mut client) = made(ROWS).await;
    let holder = database.connect().await;
    run(&holder, "BEGIN; SELECT count(*) FROM extension_health").await;
    let before = description(&client).await;
    let refused = migrate(&mut client, NO_WAIT).await;
    assert!(matches!(refused, Err(MigrateError::Held(_))), "{refused:?}");
    assert_eq!(description(&client).await, before);
    run(&holder, "COMMIT").await;
    migrate(&mut client, DEADLINE).await.unwrap();
}

//! What a definition is: the views show it, digests are of it, and what changes it is told by its
//! columns, never by a digest.

use beamline_registry::adapters::postgres::migrate::migrate;
use serde_json::{Value, json};
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use super::triggers::listen;
use super::{CATALOG, actions, insert, migrated, revision, run, value};
use crate::harness::{DEADLINE, TestDatabase};

/// Two configurations of one `hashtextextended` hash, by which changes were told once: its state
/// after a block can be brought to anything by the next one.
const TWINS: [&str; 2] = [
    r#"{"padded": "aaaaaaaaaaaaMMMMMMMMMMMM"}"#,
    r#"{"padded": "hMlMSkBdrx1NTe9CiQ;ykmy/"}"#,
];

const VIEWS: [(&str, &str); 3] = [
    ("extensions", "extension_definitions"),
    ("extension_versions", "extension_version_definitions"),
    ("extension_instances", "extension_instance_definitions"),
];

/// Applies the functions as a binary does that has others, or tables that changed.
async fn migrate_again(database: &TestDatabase) {
    let mut client = database.connect().await;
    run(
        &client,
        "UPDATE registry_functions SET sha256 = 'of others'",
    )
    .await;
    let migrated = migrate(&mut client, DEADLINE).await.unwrap();
    assert!(migrated.functions && migrated.applied.is_empty());
}

#[tokio::test]
async fn two_configurations_of_one_hash_are_a_change_with_all_that_follows() {
    let (database, client) = migrated().await;
    run(&client, CATALOG).await;
    let hash = |text: &str| format!("hashtextextended('{text}'::jsonb::text, 0)");
    assert_eq!(
        value(&client, &hash(TWINS[0])).await,
        value(&client, &hash(TWINS[1])).await
    );
    let mut heard = listen(&database).await;
    let mut next = 2;
    for (table, entry) in [
        ("extensions", "a updated"),
        ("extension_versions", "a version_put"),
    ] {
        let set = |text: &str| format!("UPDATE {table} SET config = '{text}' WHERE id = 'a'");
        run(&client, &set(TWINS[0])).await;
        let digest = value(&client, "registry_digest()").await;
        run(&client, &set(TWINS[1])).await;
        assert_eq!(revision(&client).await, next + 1, "{table}");
        assert_eq!(actions(&client, next + 1).await, [entry]);
        assert_ne!(value(&client, "registry_digest()").await, digest);
        for revision in [next, next + 1] {
            assert_eq!(heard.recv().await.unwrap(), revision.to_string());
        }
        next += 2;
    }
}

/// Should two digests ever be the same, nothing is lost but a look.
#[tokio::test]
async fn a_change_is_told_also_where_the_digest_stays_the_same() {
    let (_database, client) = migrated().await;
    run(&client, CATALOG).await;
    for (table, change, entry) in [
        (
            "extensions",
            "config = '{\"k\": 1}' WHERE id = 'a'",
            "a updated",
        ),
        ("extension_versions", "priority = 7", "a version_put"),
        ("extension_instances", "weight = 7", "a instance_put"),
    ] {
        let before = revision(&client).await;
        let digests = format!("SELECT array_agg(digest ORDER BY digest) FROM {table}");
        let before_it = value(&client, &digests).await;
        run(
            &client,
            &format!(
                "ALTER TABLE {table} DISABLE TRIGGER z_digest; UPDATE {table} SET {change};
                 ALTER TABLE {table} ENABLE ALWAYS TRIGGER z_digest"
            ),
        )
        .await;
        assert_eq!(value(&client, &digests).await, before_it);
        assert_eq!(actions(&client, before + 1).await, [entry]);
    }
}

#[tokio::test]
async fn null_is_null_also_in_json_but_not_within_it() {
    let (_database, client) = migrated().await;
    run(&client, CATALOG).await;
    for (from, to, same) in [
        ("NULL", "'null'", true),
        ("'{}'", "NULL", false),
        ("'{\"a\": null}'", "'{}'", false),
        ("'[null]'", "'[]'", false),
        ("'1'", "'1.0'", false),
        ("'\"null\"'", "NULL", false),
    ] {
        let set = |json: &str| format!("UPDATE extensions SET fallback = {json} WHERE id = 'a'");
        run(&client, &set(from)).await;
        let before = (
            revision(&client).await,
            value(&client, "registry_digest()").await,
        );
        run(&client, &set(to)).await;
        let after = (
            revision(&client).await,
            value(&client, "registry_digest()").await,
        );
        assert_eq!(before.0 == after.0, same, "revision from {from} to {to}");
        assert_eq!(before.1 == after.1, same, "digest from {from} to {to}");
    }
}

/// A restore and logical replication write with other triggers at rest.
#[tokio::test]
async fn rows_have_their_digest_also_where_triggers_rest() {
    let (_database, client) = migrated().await;
    run(&client, CATALOG).await;
    let digest = value(&client, "registry_digest()").await;
    let before = revision(&client).await;
    run(
        &client,
        "CREATE TABLE kept AS TABLE extensions;
         SET session_replication_role = replica;
         DELETE FROM extensions; UPDATE kept SET digest = 7;
         SET search_path = ''; INSERT INTO public.extensions SELECT * FROM public.kept;
         RESET search_path",
    )
    .await;
    assert_eq!(value(&client, "registry_digest()").await, digest);
    run(
        &client,
        "UPDATE extensions SET retry = 9, digest = 7 WHERE id = 'a'",
    )
    .await;
    assert_ne!(value(&client, "registry_digest()").await, digest);
    run(&client, "UPDATE extensions SET retry = 1 WHERE id = 'a'").await;
    assert_eq!(value(&client, "registry_digest()").await, digest);
    assert_eq!(revision(&client).await, before);
    run(
        &client,
        "SET session_replication_role = origin; UPDATE extensions SET digest = 7",
    )
    .await;
    assert_eq!(
        value(&client, "registry_digest()").await,
        digest,
        "nobody's to choose"
    );
}

/// One line, and nothing else: views, locks, audit, digest and JSON follow.
#[tokio::test]
async fn a_new_column_is_part_of_the_definition() {
    let (database, client) = migrated().await;
    run(&client, CATALOG).await;
    let digest = value(&client, "registry_digest()").await;
    for (table, view) in VIEWS {
        run(
            &client,
            &format!("ALTER TABLE {table} ADD COLUMN keeper text"),
        )
        .await;
        migrate_again(&database).await;
        assert_eq!(value(&client, "registry_digest()").await, digest, "{table}");
        let before = revision(&client).await;
        run(&client, &format!("UPDATE {view} SET keeper = 'kim'")).await;
        assert_eq!(revision(&client).await, before + 1, "{view}");
        assert_ne!(value(&client, "registry_digest()").await, digest, "{table}");
        let told = "SELECT changes -> 'new' FROM extension_audit_log ORDER BY id DESC LIMIT 1";
        let told = value(&client, told).await;
        assert!(told.contains(r#""keeper": "kim""#), "{told}");
        run(&client, &format!("UPDATE {table} SET keeper = NULL")).await;
        assert_eq!(revision(&client).await, before + 2, "{table}");
    }
    run(
        &client,
        r#"SELECT registry_patch('a', '{"keeper": "pat"}')"#,
    )
    .await;
    run(
        &client,
        r#"SELECT registry_put('versions', jsonb_agg(v)) FROM extension_version_definitions v;
         SELECT registry_put('extensions', jsonb_agg(v)) FROM extension_definitions v;
         SELECT registry_auto_disable('a', NULL, '{}', 50, 'x'), registry_auto_enable('a', NULL, '{}', 'x');
          SELECT registry_rollout_report(gen_random_uuid(), '[]', '[{"id": "a", "length": 1}]'),
              registry_rollout_halt('a', 'v2', 0, '{}');
         BEGIN; TRUNCATE extensions CASCADE; ROLLBACK; BEGIN; DELETE FROM extensions; ROLLBACK;
         BEGIN; UPDATE extensions SET id = 'z', version = 'v7' WHERE id = 'a'; ROLLBACK;
         INSERT INTO extension_health (extension_id) VALUES ('a'); SELECT health_settle_states(NULL);
         INSERT INTO sidecar_boots (instance_id, flush_interval) VALUES ('x', '5 s');
         SELECT health_flush(boot, 1, '5 s', '[{"id": "a", "successes": 1, "failures": 1,
             "latency_count": 1, "latency_total_us": 1, "failure_threshold": 1,
             "half_open_maximum": 1}]', '[{"id": "a", "version": "v1", "state": "open", "age": 1,
             "wait": 1, "trials": 1}]') FROM sidecar_boots"#,
    )
    .await;
    let keeper = "SELECT keeper FROM extensions WHERE id = 'a'";
    assert_eq!(value(&client, keeper).await, "pat");

    // What all rows have at once changes their digests, and that is seen.
    run(
        &client,
        "ALTER TABLE extensions ADD COLUMN tier integer NOT NULL DEFAULT 1",
    )
    .await;
    migrate_again(&database).await;
    let stale = "SELECT count(*) FROM extensions e
        WHERE digest <> registry_hash(registry_texts(e))";
    assert_eq!(value(&client, stale).await, "0");

    // A column that goes takes the view and the lock with it.
    run(&client, "ALTER TABLE extensions DROP COLUMN tier CASCADE").await;
    migrate_again(&database).await;
    run(&client, "UPDATE extension_definitions SET keeper = 'kim'").await;
}

/// By other tools, by hand, or by a restore with `--disable-triggers`.
#[tokio::test]
async fn what_was_changed_under_the_functions_is_put_right_by_the_next_migrate() {
    let (_database, mut client) = migrated().await;
    run(&client, CATALOG).await;
    for change in [
        "ALTER TABLE extensions ADD COLUMN keeper text",
        "ALTER TABLE extensions RENAME COLUMN keeper TO guard",
        "ALTER TABLE extensions DROP COLUMN guard CASCADE",
        "ALTER TABLE extension_versions DISABLE TRIGGER ALL;
         ALTER TABLE extension_versions ENABLE TRIGGER ALL",
        "ALTER TABLE extension_instances DISABLE TRIGGER USER",
        "DROP VIEW live_sidecars CASCADE",
    ] {
        run(&client, change).await;
        let done = migrate(&mut client, DEADLINE).await.unwrap();
        assert!(done.functions && done.applied.is_empty(), "{change}");
        let again = migrate(&mut client, DEADLINE).await.unwrap();
        assert!(!again.functions, "{change}");
        let before = revision(&client).await;
        run(
            &client,
            "UPDATE extension_definitions SET retry = retry + 1;
             UPDATE extension_instances SET weight = weight - 1",
        )
        .await;
        assert_eq!(actions(&client, before + 1).await.len(), 3, "{change}");
        run(&client, "SELECT health_fold()").await;
    }
    let fire = "SELECT string_agg(tgenabled::text, '') FROM pg_trigger WHERE tgname = 'z_digest'";
    assert_eq!(value(&client, fire).await, "AAA");
}

#[tokio::test]
async fn a_view_that_is_made_anew_keeps_its_rights() {
    let (database, client) = migrated().await;
    let rights = "SELECT relacl FROM pg_class WHERE oid = 'extension_definitions'::regclass";
    run(
        &client,
        "GRANT SELECT, UPDATE ON extension_definitions TO PUBLIC;
         ALTER TABLE extensions RENAME COLUMN retry TO again",
    )
    .await;
    let before = value(&client, rights).await;
    assert!(before.contains("=rw/"), "{before}");
    migrate_again(&database).await;
    assert_eq!(value(&client, rights).await, before);
    run(&client, "SELECT again FROM extension_definitions").await;
}

/// What the view of `table` shows of all its rows.
async fn shown(client: &Client, view: &str) -> Value {
    let all = format!("SELECT coalesce(jsonb_agg(v ORDER BY v::text), '[]') FROM {view} v");
    serde_json::from_str(&value(client, &all).await).unwrap()
}

#[tokio::test]
async fn records_are_put_as_json_and_what_is_the_machines_stays() {
    let (_database, client) = migrated().await;
    let extension = json!({"id": "x", "type": "pre", "subject": "s.x", "timeout_ms": 5, "retry": 2,
        "enabled": true, "version": "v1", "config": {"n": 1.0, "of": [null]}, "metadata": null,
        "fallback": ["y"], "routing_rules": null, "rollout": null, "circuit_breaker": {"a": 1}});
    let version = json!({"id": "x", "version": "v0", "subject": "s.x.0", "timeout_ms": null,
        "retry": null, "config": null, "metadata": {"m": 1}, "routing_rules": null,
        "rollout": null, "priority": 3, "enabled": null});
    let instance = json!({"extension_id": "x", "instance_id": "i", "version": null,
        "subject": "s.i", "weight": 7, "enabled": true});
    let put = async |kind: &str, record: &Value| {
        let put = format!("SELECT registry_put('{kind}', '[{record}]')");
        run(&client, &put).await;
    };
    let records = [
        ("extensions", &extension),
        ("versions", &version),
        ("instances", &instance),
    ];
    for (kind, record) in records {
        put(kind, record).await;
    }
    assert_eq!(revision(&client).await, 3);
    let mut stored = shown(&client, "extension_definitions").await;
    assert_eq!(stored[0]["auto_disabled"].take(), json!(false));
    let stored = stored[0].as_object_mut().unwrap();
    stored.retain(|name, value| extension.get(name).is_some() || !value.is_null());
    stored.remove("auto_disabled");
    assert_eq!(
        json!(stored),
        extension,
        "what is not mentioned has its default"
    );
    let text = "SELECT config::text FROM extensions";
    assert_eq!(value(&client, text).await, r#"{"n": 1.0, "of": [null]}"#);
    let nulls = "SELECT metadata IS NULL AND routing_rules IS NULL FROM extensions";
    assert_eq!(value(&client, nulls).await, "true");
    let filled = "SELECT (SELECT enabled FROM extension_versions) || ' '
        || (SELECT version FROM extension_instances)";
    assert_eq!(value(&client, filled).await, "false v1");

    // The same again changes nothing.
    for (kind, record) in [("extensions", &extension), ("versions", &version)] {
        put(kind, record).await;
    }
    assert_eq!(revision(&client).await, 3);

    run(
        &client,
        "UPDATE extensions SET auto_disabled = true, promoted = '{\"version\": \"v1\"}'",
    )
    .await;
    let incarnation = value(&client, "SELECT incarnation FROM extensions").await;
    let other = json!({"id": "x", "type": "post", "subject": "s.x", "timeout_ms": 5, "retry": 2,
        "enabled": true, "version": "v1", "config": null, "fallback": null, "auto_disabled": false});
    put("extensions", &other).await;
    let stays = "SELECT concat_ws(' ', type, auto_disabled, promoted, config, fallback)
        FROM extensions";
    assert_eq!(value(&client, stays).await, "post t");
    assert_eq!(
        value(&client, "SELECT incarnation FROM extensions").await,
        incarnation
    );
    let refused = client
        .execute("SELECT registry_put('others', '[]')", &[])
        .await;
    assert!(refused.is_err());
}

/// Numbered, computed, or with a default: what other tools keep in our tables.
#[tokio::test]
async fn columns_of_others_keep_their_values_and_get_their_defaults() {
    let (database, client) = migrated().await;
    run(&client, CATALOG).await;
    for (table, view) in VIEWS {
        run(
            &client,
            &format!(
                "ALTER TABLE {table} ADD COLUMN team text NOT NULL DEFAULT 'none',
                    ADD COLUMN place integer GENERATED ALWAYS AS IDENTITY,
                    ADD COLUMN host text GENERATED ALWAYS AS (split_part(subject, '.', 1)) STORED"
            ),
        )
        .await;
        migrate_again(&database).await;
        run(&client, &format!("UPDATE {view} SET team = 'red'")).await;
    }
    run(
        &client,
        r#"SELECT registry_put('extensions', '[
             {"id": "a", "type": "pre", "subject": "s.a", "timeout_ms": 7},
             {"id": "c", "type": "pre", "subject": "s.c", "timeout_ms": 7}]');
         SELECT registry_put('versions', '[{"id": "a", "version": "v0", "subject": "t.0"},
             {"id": "a", "version": "v9", "subject": "t.9"}]');
         SELECT registry_put('instances', '[
             {"extension_id": "a", "instance_id": "i", "subject": "u.i"},
             {"extension_id": "a", "instance_id": "j", "subject": "u.j"}]')"#,
    )
    .await;
    for (of, rows) in [
        ("id FROM extensions", "a red s, b red s, c none s"),
        ("version FROM extension_versions", "v0 red t, v9 none t"),
        ("instance_id FROM extension_instances", "i red u, j none u"),
    ] {
        let (name, table) = of.split_once(" FROM ").unwrap();
        let kept = format!(
            "SELECT string_agg(concat_ws(' ', {name}, team, host), ', ' ORDER BY {name}) FROM {table}"
        );
        assert_eq!(value(&client, &kept).await, rows);
    }

    // What the views show can be put as it is.
    let before = revision(&client).await;
    let kinds = ["extensions", "versions", "instances"];
    for (kind, (_, view)) in kinds.into_iter().zip(VIEWS) {
        let put = format!("SELECT registry_put('{kind}', jsonb_agg(v)) FROM {view} v");
        run(&client, &put).await;
    }
    assert_eq!(revision(&client).await, before);

    // What is computed is no change by itself.
    run(&client, "UPDATE extensions SET retry = retry").await;
    assert_eq!(revision(&client).await, before);
    let ahead = format!("SELECT count(*) FROM extensions WHERE revision > {before}");
    assert_eq!(value(&client, &ahead).await, "0");
}

/// The database wants a value of a row that is put, also where that only changes one that has it.
#[tokio::test]
async fn a_column_of_others_without_a_default_keeps_its_value_in_rows_that_are_there() {
    let (database, client) = migrated().await;
    run(&client, CATALOG).await;
    for (table, _) in VIEWS {
        run(
            &client,
            &format!(
                "ALTER TABLE {table} ADD COLUMN team text NOT NULL DEFAULT 'red';
                 ALTER TABLE {table} ALTER COLUMN team DROP DEFAULT"
            ),
        )
        .await;
    }
    migrate_again(&database).await;
    for (kind, there, new, table) in [
        (
            "extensions",
            r#"{"id": "a", "type": "pre", "subject": "t"}"#,
            r#"{"id": "c", "type": "pre", "subject": "u"}"#,
            "extensions",
        ),
        (
            "versions",
            r#"{"id": "a", "version": "v0", "subject": "t"}"#,
            r#"{"id": "a", "version": "v9", "subject": "u"}"#,
            "extension_versions",
        ),
        (
            "instances",
            r#"{"extension_id": "a", "instance_id": "i", "subject": "t"}"#,
            r#"{"extension_id": "a", "instance_id": "j", "subject": "u"}"#,
            "extension_instances",
        ),
    ] {
        let put = |row: &str| format!("SELECT registry_put('{kind}', '[{row}]')");
        run(&client, &put(there)).await;
        let kept = format!("SELECT team FROM {table} WHERE subject = 't'");
        assert_eq!(value(&client, &kept).await, "red", "{kind}");
        let refused = client.batch_execute(&put(new)).await.unwrap_err();
        assert_eq!(refused.code(), Some(&SqlState::NOT_NULL_VIOLATION));
    }
}

/// What is not put or patched has no value in what is read from JSON.
#[tokio::test]
async fn a_column_of_others_may_be_of_a_domain_that_takes_no_null() {
    let (database, client) = migrated().await;
    run(&client, CATALOG).await;
    run(&client, "CREATE DOMAIN team AS text NOT NULL").await;
    for (table, _) in VIEWS {
        let add = format!("ALTER TABLE {table} ADD COLUMN team team DEFAULT 'red'");
        run(&client, &add).await;
    }
    migrate_again(&database).await;
    run(
        &client,
        r#"SELECT registry_put('extensions', '[{"id": "c", "type": "pre", "subject": "s.c"}]');
         SELECT registry_put('versions', '[{"id": "a", "version": "v0", "subject": "t.0"},
             {"id": "a", "version": "v9", "subject": "t.9"}]');
         SELECT registry_put('instances', '[
             {"extension_id": "a", "instance_id": "j", "subject": "u.j"}]');
         SELECT registry_patch('a', '{"retry": 4}')"#,
    )
    .await;
    for (table, rows) in [
        ("extensions", "3"),
        ("extension_versions", "2"),
        ("extension_instances", "2"),
    ] {
        let kept = format!("SELECT count(*) FROM {table} WHERE team = 'red'");
        assert_eq!(value(&client, &kept).await, rows, "{table}");
    }
    let patched = "SELECT retry FROM extensions WHERE id = 'a'";
    assert_eq!(value(&client, patched).await, "4");
}

/// Named as variables of our functions: those come first.
#[tokio::test]
async fn columns_of_others_may_be_named_as_our_variables() {
    let (database, client) = migrated().await;
    run(&client, CATALOG).await;
    run(
        &client,
        "ALTER TABLE extension_audit_log ADD COLUMN override text, ADD COLUMN source text,
             ADD COLUMN differences jsonb, ADD COLUMN ids text, ADD COLUMN at_revision bigint,
             ADD COLUMN age interval DEFAULT '100 years';
         ALTER TABLE extension_health ADD COLUMN gone text, ADD COLUMN changed boolean,
             ADD COLUMN circuits integer, ADD COLUMN ids text, ADD COLUMN locked boolean;
         ALTER TABLE extensions ADD COLUMN ids text, ADD COLUMN own text;
         ALTER TABLE extension_versions ADD COLUMN ids text",
    )
    .await;
    migrate_again(&database).await;
    run(
        &client,
        "BEGIN; SET LOCAL beamline.action = 'promoted'; UPDATE extensions SET retry = 3;
         UPDATE extension_versions SET priority = 3; COMMIT;
         SELECT registry_reset_circuits('{a}');
         INSERT INTO sidecar_boots (instance_id, flush_interval) VALUES ('x', '5 s');
         INSERT INTO extension_health (extension_id, circuit_breaker_state) VALUES ('a', NULL)",
    )
    .await;
    assert_eq!(actions(&client, 2).await, ["a promoted", "b promoted"]);
    let state = "SELECT circuit_breaker_state FROM extension_health";
    for (sequence, circuits, shown) in [
        (
            1,
            r#"[{"id": "a", "version": "v1", "state": "open", "age": 1, "wait": 1, "trials": 1}]"#,
            "open",
        ),
        (2, "[]", "closed"),
    ] {
        let flush = format!(
            "SELECT health_flush(boot, {sequence}, '5 s', '[]', '{circuits}') FROM sidecar_boots"
        );
        run(&client, &flush).await;
        assert_eq!(value(&client, state).await, shown);
    }
    run(
        &client,
        "UPDATE event_claims SET revision = 2;
         UPDATE extension_audit_log SET timestamp = now() - interval '2 days'",
    )
    .await;
    let pruned = "SELECT registry_prune_audit(interval '1 day') > 0";
    assert_eq!(value(&client, pruned).await, "true");
}

/// What a session shows in its own way is stamped alike in all, and a change that it does not show
/// is one.
#[tokio::test]
async fn columns_of_others_have_one_digest_in_every_session() {
    let (database, client) = migrated().await;
    run(&client, CATALOG).await;
    run(&client, "CREATE DOMAIN document AS jsonb").await;
    for (table, _) in VIEWS {
        run(
            &client,
            &format!(
                "ALTER TABLE {table} ADD COLUMN seen timestamptz DEFAULT '2026-07-01 12:00Z',
                    ADD COLUMN day date DEFAULT '2026-07-02', ADD COLUMN ratio float8 DEFAULT 0.1,
                    ADD COLUMN lasts interval DEFAULT '1 day 02:03', ADD COLUMN raw bytea DEFAULT 'a',
                    ADD COLUMN further document"
            ),
        )
        .await;
    }
    migrate_again(&database).await;
    let digest = value(&client, "registry_digest()").await;
    let before = revision(&client).await;
    run(
        &client,
        "SET TimeZone = 'Asia/Kathmandu'; SET DateStyle = 'SQL, DMY'; SET bytea_output = 'escape';
         SET IntervalStyle = 'sql_standard'; SET extra_float_digits = -15",
    )
    .await;
    for (table, _) in VIEWS {
        run(
            &client,
            &format!("UPDATE {table} SET digest = 7, further = 'null'"),
        )
        .await;
    }
    assert_eq!(value(&client, "registry_digest()").await, digest);
    assert_eq!(revision(&client).await, before);
    run(&client, "UPDATE extensions SET ratio = 0.1000000000000001").await;
    assert_eq!(
        actions(&client, before + 1).await,
        ["a updated", "b updated"]
    );
    assert_ne!(value(&client, "registry_digest()").await, digest);
}

#[tokio::test]
async fn a_patch_writes_what_it_names() {
    let (_database, client) = migrated().await;
    run(&client, &insert("a")).await;
    run(
        &client,
        r#"SELECT registry_patch('a', '{"retry": 4, "config": {"k": 1.50}, "rollout": {"by": "t"}}')"#,
    )
    .await;
    let row = "SELECT concat_ws(' ', retry, config, metadata, rollout, timeout_ms) FROM extensions";
    assert_eq!(
        value(&client, row).await,
        r#"4 {"k": 1.50} {} {"by": "t"} 5000"#
    );
    run(
        &client,
        r#"SELECT registry_patch('a', '{"rollout": null, "config": null}')"#,
    )
    .await;
    assert_eq!(value(&client, row).await, "4 {} 5000");
    assert_eq!(revision(&client).await, 3);
    for nothing in [
        "registry_patch('a', '{}')",
        "registry_patch('b', '{\"retry\": 1}')",
    ] {
        run(&client, &format!("SELECT {nothing}")).await;
    }
    assert_eq!(revision(&client).await, 3);
    for unknown in ["retrie", "revision", "created_by", "digest"] {
        let patch = format!(r#"SELECT registry_patch('a', '{{"{unknown}": 1}}')"#);
        let refused = client.batch_execute(&patch).await.unwrap_err();
        let words = refused.as_db_error().unwrap().message().to_owned();
        assert_eq!(words, format!("an extension has no {unknown}"));
    }
}

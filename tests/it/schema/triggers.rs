//! Revisions, notifications and entries, statement by statement.

use std::future::poll_fn;

use tokio::sync::mpsc;
use tokio_postgres::error::SqlState;
use tokio_postgres::{AsyncMessage, Client, NoTls};

use super::{CATALOG, actions, insert, migrated, revision, revision_of, run, value};
use crate::harness::TestDatabase;

/// Runs `sql` on the catalog, and takes it back: it must take one revision and leave exactly these
/// audit entries.
async fn check(client: &Client, sql: &str, entries: &[&str]) {
    let digest = value(client, "registry_digest()").await;
    run(client, &format!("BEGIN; {sql}")).await;
    let taken = i64::from(!entries.is_empty());
    assert_eq!(revision(client).await, 1 + taken, "revision after: {sql}");
    assert_eq!(actions(client, 2).await, entries, "entries of: {sql}");
    let changed = value(client, "registry_digest()").await != digest;
    assert_eq!(changed, !entries.is_empty(), "digest after: {sql}");
    run(client, "ROLLBACK").await;
}

#[tokio::test]
async fn each_kind_of_statement_takes_one_revision() {
    let cases: &[(&str, &[&str])] = &[
        (
            "UPDATE extensions SET retry = 9 WHERE id = 'a'",
            &["a updated"],
        ),
        (
            "UPDATE extensions SET retry = 9",
            &["a updated", "b updated"],
        ),
        (
            "UPDATE extensions SET enabled = false WHERE id = 'b'",
            &["b disabled"],
        ),
        (
            "UPDATE extensions SET auto_disabled = true WHERE id = 'b'",
            &["b auto_disabled"],
        ),
        ("DELETE FROM extensions", &["a deleted", "b deleted"]),
        ("DELETE FROM extension_versions", &["a version_deleted"]),
        ("DELETE FROM extension_instances", &["a instance_deleted"]),
        (
            "UPDATE extension_versions SET priority = 7",
            &["a version_put"],
        ),
        (
            "UPDATE extension_versions SET version = 'v9'",
            &["a version_put"],
        ),
        (
            "UPDATE extension_instances SET weight = 7",
            &["a instance_put"],
        ),
        ("TRUNCATE extension_versions", &["a version_deleted"]),
        ("TRUNCATE extension_instances", &["a instance_deleted"]),
        ("TRUNCATE extensions CASCADE", &["a deleted", "b deleted"]),
        (
            "UPDATE extensions SET id = 'z' WHERE id = 'a'",
            &["a deleted", "z created"],
        ),
        (
            "UPDATE extension_versions SET id = 'b'",
            &["a version_deleted", "b version_put"],
        ),
        (
            "INSERT INTO extensions (id, type, subject, retry)
             VALUES ('a', 'pre', 's.a', 9), ('c', 'pre', 's.c', 9)
             ON CONFLICT (id) DO UPDATE SET retry = EXCLUDED.retry",
            &["a updated", "c created"],
        ),
        (
            "MERGE INTO extensions e USING (VALUES ('a'), ('c')) AS v (id) ON e.id = v.id
             WHEN MATCHED THEN DELETE
             WHEN NOT MATCHED THEN INSERT (id, type, subject) VALUES (v.id, 'pre', 's.c')",
            &["a deleted", "c created"],
        ),
    ];
    let (_database, client) = migrated().await;
    run(&client, CATALOG).await;
    for (sql, entries) in cases {
        check(&client, sql, entries).await;
    }
}

#[tokio::test]
async fn what_changes_nothing_is_silent() {
    let (_database, client) = migrated().await;
    run(&client, CATALOG).await;
    for sql in [
        "UPDATE extensions SET retry = retry",
        "UPDATE extensions SET updated_at = now(), updated_by = 'x', created_by = 'y'",
        "UPDATE extensions SET revision = 99",
        "UPDATE extension_instances SET health_status = 'down', last_health_check = now()",
        "INSERT INTO extension_health (extension_id, success_count) VALUES ('a', 1);
         UPDATE extension_health SET success_count = 2",
        "INSERT INTO extensions (id, type, subject) VALUES ('a', 'pre', 's.a')
         ON CONFLICT DO NOTHING",
        "UPDATE extensions SET retry = 9 WHERE id = 'nobody'",
        "DELETE FROM extension_versions WHERE id = 'nobody'",
    ] {
        check(&client, sql, &[]).await;
    }
}

/// Followers read the rows above their own revision, and `if_revision` compares with a row's.
#[tokio::test]
async fn a_row_is_stamped_by_what_another_trigger_makes_of_it() {
    let (_database, client) = migrated().await;
    run(&client, CATALOG).await;
    run(
        &client,
        "CREATE FUNCTION theirs() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN
             NEW.retry := CASE NEW.id WHEN 'a' THEN OLD.retry ELSE 7 END;
             RETURN NEW;
         END$$;
         CREATE TRIGGER theirs BEFORE UPDATE ON extensions
             FOR EACH ROW EXECUTE FUNCTION theirs()",
    )
    .await;
    run(&client, "UPDATE extensions SET retry = 9 WHERE id = 'a'").await;
    let put_back = (revision(&client).await, revision_of(&client, "a").await);
    assert_eq!(put_back, (1, 1));
    run(
        &client,
        "UPDATE extensions SET retry = retry WHERE id = 'b'",
    )
    .await;
    let changed = (revision(&client).await, revision_of(&client, "b").await);
    assert_eq!(changed, (2, 2));
}

/// By its name it comes after ours.
#[tokio::test]
async fn what_a_later_trigger_changes_has_its_revision_and_digest_too() {
    let (_database, client) = migrated().await;
    run(&client, CATALOG).await;
    let digest = value(&client, "registry_digest()").await;
    run(
        &client,
        "CREATE FUNCTION theirs() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN
             NEW.config := '{\"theirs\": true}';
             RETURN NEW;
         END$$;
         CREATE TRIGGER zone BEFORE UPDATE ON extensions
             FOR EACH ROW EXECUTE FUNCTION theirs();
         UPDATE extensions SET retry = retry WHERE id = 'b'",
    )
    .await;
    let changed = (revision(&client).await, revision_of(&client, "b").await);
    assert_eq!(changed, (2, 2));
    assert_eq!(actions(&client, 2).await, ["b updated"]);
    assert_ne!(value(&client, "registry_digest()").await, digest);
    let stale = "SELECT count(*) FROM extensions e
        WHERE digest <> registry_hash(registry_texts(e))";
    assert_eq!(value(&client, stale).await, "0");
}

/// Its change could not be followed: the revision of its extension stays what it was.
#[tokio::test]
async fn a_part_of_an_extension_that_a_trigger_keeps_is_not_changed() {
    let (_database, client) = migrated().await;
    run(&client, CATALOG).await;
    for row in ["NULL", "OLD"] {
        run(
            &client,
            &format!(
                "CREATE OR REPLACE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql
                     AS $$BEGIN RETURN {row}; END$$;
                 CREATE OR REPLACE TRIGGER keep BEFORE UPDATE ON extensions
                     FOR EACH ROW EXECUTE FUNCTION keep()"
            ),
        )
        .await;
        for sql in [
            "UPDATE extension_versions SET priority = 7",
            "DELETE FROM extension_instances",
            "INSERT INTO extension_versions (id, version, subject) VALUES ('a', 'v2', 's.2')",
        ] {
            let refused = client.batch_execute(sql).await;
            let code = refused.as_ref().err().and_then(|error| error.code());
            assert_eq!(code, Some(&SqlState::RAISE_EXCEPTION), "{row}: {sql}");
        }
    }
    assert_eq!(revision(&client).await, 1);
    // With the extension they go all the same.
    run(&client, "DELETE FROM extensions").await;
}

#[tokio::test]
async fn a_writer_of_health_does_not_wait_for_a_writer_of_definitions() {
    let (database, client) = migrated().await;
    run(&client, CATALOG).await;
    run(
        &client,
        "BEGIN; UPDATE extensions SET retry = 9 WHERE id = 'b'",
    )
    .await;
    let prober = database.connect().await;
    run(&prober, "SET lock_timeout = '1s'").await;
    run(
        &prober,
        "UPDATE extension_instances SET health_status = 'down'",
    )
    .await;
}

/// What a definition is, is read from the columns. A text that a setting changes (of a time, a float)
/// would change digests: a column of another type than these needs a look at `registry_texts`.
#[tokio::test]
async fn every_column_is_either_definition_or_silent() {
    let silent = [
        "created_at",
        "created_by",
        "updated_at",
        "updated_by",
        "revision",
        "digest",
        "promoted",
        "incarnation",
        "health_status",
        "last_health_check",
    ];
    let (_database, client) = migrated().await;
    run(&client, CATALOG).await;
    for table in ["extensions", "extension_versions", "extension_instances"] {
        let columns = client
            .query(
                "SELECT column_name::text, data_type::text FROM information_schema.columns
                 WHERE table_name = $1",
                &[&table],
            )
            .await
            .unwrap();
        for column in columns {
            let (name, kind): (&str, &str) = (column.get(0), column.get(1));
            let known = ["boolean", "integer", "jsonb", "text", "character varying"];
            assert!(
                silent.contains(&name) || known.contains(&kind),
                "{name} {kind}"
            );
            let changed = match (name, kind) {
                ("type", _) => "'provider'".to_owned(),
                ("id" | "extension_id", _) if table != "extensions" => "'b'".to_owned(),
                (_, "boolean") => format!("NOT {name}"),
                (_, "integer" | "bigint") => format!("coalesce({name}, 7) - 1"),
                (_, "uuid") => "gen_random_uuid()".to_owned(),
                (_, "jsonb") => r#"'{"changed": 1}'"#.to_owned(),
                (_, "timestamp with time zone") => "now() + interval '1 s'".to_owned(),
                _ => "'changed'".to_owned(),
            };
            let row = if table == "extensions" {
                "WHERE id = 'a'"
            } else {
                ""
            };
            let before = revision(&client).await;
            let sql = format!("BEGIN; UPDATE {table} SET {name} = {changed} {row}");
            run(&client, &sql).await;
            let taken = revision(&client).await - before;
            assert_eq!(taken, i64::from(!silent.contains(&name)), "{sql}");
            if taken == 1 && name != "id" && name != "extension_id" {
                assert_eq!(
                    revision_of(&client, "a").await,
                    before + 1,
                    "stamp of: {sql}"
                );
            }
            run(&client, "ROLLBACK").await;
        }
    }
}

/// Whichever it is; `migrate` makes it again.
#[tokio::test]
async fn changes_are_refused_while_one_of_our_triggers_is_missing() {
    let (_database, client) = migrated().await;
    let check = "SELECT registry_check_triggers()";
    run(&client, check).await;
    let ours = "SELECT format('DROP TRIGGER %I ON %s', tgname, tgrelid::regclass) FROM pg_trigger
        WHERE obj_description(tgfoid, 'pg_proc') = 'Part of beamline-registry' AND tgrelid = ANY (
            '{extensions,extension_versions,extension_instances}'::regclass[])";
    for row in client.query(ours, &[]).await.unwrap() {
        let drop: &str = row.get(0);
        run(&client, &format!("BEGIN; {drop}")).await;
        let refused = client.batch_execute(check).await.unwrap_err();
        let why = refused.as_db_error().unwrap().message();
        assert!(
            why.contains("missing: run `beamline-registry migrate`"),
            "{drop}: {why}"
        );
        run(&client, "ROLLBACK").await;
    }
}

#[tokio::test]
async fn one_transaction_takes_one_revision_and_a_savepoint_gives_it_back() {
    let (_database, client) = migrated().await;
    run(&client, CATALOG).await;
    run(
        &client,
        &format!(
            "BEGIN; SAVEPOINT s; {}; ROLLBACK TO s; {}; SAVEPOINT s; DELETE FROM extensions;
             ROLLBACK TO s; UPDATE extension_versions SET priority = 3; COMMIT",
            insert("lost"),
            insert("kept")
        ),
    )
    .await;
    assert_eq!(revision(&client).await, 2);
    assert_eq!(actions(&client, 2).await, ["kept created", "a version_put"]);
    assert_eq!(revision_of(&client, "a").await, 2);
    assert_eq!(revision_of(&client, "b").await, 1);
}

#[tokio::test]
async fn one_notification_per_transaction_that_changed_something() {
    let (database, client) = migrated().await;
    let mut heard = listen(&database).await;
    run(&client, CATALOG).await;
    run(&client, "UPDATE extensions SET retry = retry").await;
    run(
        &client,
        "UPDATE extension_instances SET health_status = 'down'",
    )
    .await;
    run(&client, "BEGIN; UPDATE extensions SET retry = 8; ROLLBACK").await;
    run(
        &client,
        "BEGIN; UPDATE extensions SET retry = 8; DELETE FROM extensions; COMMIT",
    )
    .await;
    run(&client, "NOTIFY beamline_registry, 'end'").await;
    let mut payloads = Vec::new();
    while payloads.last().is_none_or(|payload| payload != "end") {
        payloads.push(heard.recv().await.unwrap());
    }
    assert_eq!(payloads, ["1", "2", "end"]);
}

/// The payloads of all notifications of changes from now on.
pub(crate) async fn listen(database: &TestDatabase) -> mpsc::Receiver<String> {
    let (client, mut connection) = tokio_postgres::connect(&database.url(), NoTls)
        .await
        .unwrap();
    let (heard, receiver) = mpsc::channel(100);
    let listening = tokio::spawn(async move {
        run(&client, "LISTEN beamline_registry").await;
        client
    });
    tokio::spawn(async move {
        while let Some(Ok(message)) = poll_fn(|cx| connection.poll_message(cx)).await {
            if let AsyncMessage::Notification(note) = message {
                heard.send(note.payload().to_owned()).await.unwrap();
            }
        }
    });
    // The connection would end with its client.
    std::mem::forget(listening.await.unwrap());
    receiver
}

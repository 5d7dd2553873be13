//! Who is said to have changed what, and who may write at all.

use serde_json::{Value, json};
use tokio_postgres::Client;

use super::{actions, insert, migrated, run, value};

/// The last entry: `(changed_by, actor_source, changes)`.
async fn last_entry(client: &Client) -> (String, String, Value) {
    let row = client
        .query_one(
            "SELECT changed_by, actor_source, changes FROM extension_audit_log
             ORDER BY id DESC LIMIT 1",
            &[],
        )
        .await
        .unwrap();
    (row.get(0), row.get(1), row.get(2))
}

#[tokio::test]
async fn an_entry_holds_the_columns_that_changed_and_all_at_the_ends_of_a_life() {
    let (_database, client) = migrated().await;
    run(&client, &insert("a")).await;
    let (who, source, created) = last_entry(&client).await;
    assert_eq!(
        (who.as_str(), source.as_str()),
        (value(&client, "session_user").await.as_str(), "database")
    );
    assert_eq!(created["old"], Value::Null);
    assert_eq!(created["new"]["subject"], "s.a");
    let columns = "SELECT count(*) FROM pg_attribute
        WHERE attrelid = 'extension_definitions'::regclass AND attnum > 0";
    let columns: usize = value(&client, columns).await.parse().unwrap();
    assert_eq!(created["new"].as_object().unwrap().len(), columns);

    run(
        &client,
        "UPDATE extensions SET retry = 3, config = '{\"k\": 1}'",
    )
    .await;
    let (_, _, updated) = last_entry(&client).await;
    assert_eq!(
        updated,
        json!({"old": {"retry": 1, "config": {}}, "new": {"retry": 3, "config": {"k": 1}}})
    );

    run(&client, "DELETE FROM extensions").await;
    let (_, _, deleted) = last_entry(&client).await;
    assert_eq!(deleted["new"], Value::Null);
    assert_eq!(deleted["old"]["retry"], 3);
}

#[tokio::test]
async fn switching_on_and_off_has_names_of_its_own() {
    let (_database, client) = migrated().await;
    run(&client, &insert("a")).await;
    for (change, action) in [
        ("enabled = false", "a disabled"),
        ("enabled = true", "a enabled"),
        ("auto_disabled = true", "a auto_disabled"),
        ("auto_disabled = false", "a auto_enabled"),
        ("enabled = false, auto_disabled = true", "a disabled"),
        ("enabled = true, auto_disabled = false", "a enabled"),
        ("enabled = false, retry = 7", "a updated"),
    ] {
        run(&client, &format!("UPDATE extensions SET {change}")).await;
        assert_eq!(
            actions(&client, 2).await.last().unwrap(),
            action,
            "{change}"
        );
    }
}

#[tokio::test]
async fn the_daemon_names_the_actor() {
    let (_database, client) = migrated().await;
    run(
        &client,
        &format!(
            "BEGIN; SET LOCAL beamline.actor = 'ada'; SET LOCAL beamline.actor_source = 'subject';
             {}; COMMIT",
            insert("a")
        ),
    )
    .await;
    let (who, source, _) = last_entry(&client).await;
    assert_eq!((who.as_str(), source.as_str()), ("ada", "subject"));
    let stamps = "SELECT created_by || ' ' || updated_by FROM extensions";
    assert_eq!(value(&client, stamps).await, "ada ada");

    // On the same connection, after the transaction: plain SQL again.
    run(&client, "UPDATE extensions SET retry = 3").await;
    let (who, source, _) = last_entry(&client).await;
    let user = value(&client, "session_user").await;
    assert_eq!((who.as_str(), source.as_str()), (user.as_str(), "database"));
    assert_eq!(value(&client, stamps).await, format!("ada {user}"));
}

#[tokio::test]
async fn a_named_action_makes_the_statements_of_a_transaction_one_entry() {
    let (_database, client) = migrated().await;
    run(&client, &insert("a")).await;
    run(
        &client,
        "BEGIN; SET LOCAL beamline.action = 'promoted';
         INSERT INTO extension_versions (id, version, subject, enabled)
             SELECT id, version, subject, false FROM extensions;
         UPDATE extensions SET version = 'v2', subject = 's.a.v2';
         INSERT INTO extension_versions (id, version, subject) VALUES ('a', 'v0', 's.a.v0');
         COMMIT",
    )
    .await;
    assert_eq!(actions(&client, 2).await, ["a promoted"]);
    let (_, _, changes) = last_entry(&client).await;
    assert_eq!(
        changes["old"],
        json!({"version": "v1", "subject": "s.a", "versions": {"v1": null, "v0": null}})
    );
    assert_eq!(changes["new"]["version"], "v2");
    assert_eq!(changes["new"]["versions"]["v1"]["enabled"], false);
    assert_eq!(changes["new"]["versions"]["v0"]["subject"], "s.a.v0");

    let wrong = client
        .batch_execute(
            "BEGIN; SET LOCAL beamline.action = 'nonsense';
        UPDATE extensions SET retry = 5; COMMIT",
        )
        .await;
    assert!(wrong.is_err(), "an action that the contract does not know");
}

#[tokio::test]
async fn a_writer_needs_rights_on_the_definition_tables_only() {
    let (database, owner) = migrated().await;
    let role = format!("writer_{}", database.name());
    run(
        &owner,
        &format!(
            "CREATE ROLE {role};
             GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON extensions, extension_versions,
                 extension_instances, extension_health TO {role}"
        ),
    )
    .await;
    let writer = database.connect().await;
    run(&writer, &format!("SET ROLE {role}")).await;
    run(&writer, &insert("a")).await;
    run(
        &writer,
        "INSERT INTO extension_versions (id, version, subject) VALUES ('a', 'v0', 's');
         INSERT INTO extension_instances (extension_id, instance_id, subject) VALUES ('a', 'i', 's');
         UPDATE extensions SET retry = 2; TRUNCATE extensions CASCADE",
    )
    .await;
    for forbidden in [
        "UPDATE registry_revision SET revision = 99",
        "SELECT registry_take_revision()",
        "SELECT registry_audit(1, '{a}', '{created}', ARRAY['{}'::jsonb])",
        "DELETE FROM extension_audit_log",
        "CREATE TEMPORARY TABLE mine (id text);
         CREATE TRIGGER t AFTER INSERT ON mine EXECUTE FUNCTION registry_record_extensions()",
    ] {
        let refused = writer.batch_execute(forbidden).await.unwrap_err();
        let code = refused.code().unwrap().code().to_owned();
        assert_eq!(code, "42501", "insufficient privilege for: {forbidden}");
    }
    // Somebody's temporary table does not stand in for ours.
    run(
        &writer,
        "CREATE TEMPORARY TABLE registry_revision (revision bigint, last_xid xid8)",
    )
    .await;
    run(&writer, &insert("b")).await;
    assert_eq!(
        value(&owner, "SELECT revision FROM registry_revision").await,
        "3"
    );
    drop(writer);
    run(&owner, &format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
}

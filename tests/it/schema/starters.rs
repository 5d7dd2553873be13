//! Migrating: once, however many start, and never for ever.

use beamline_registry::adapters::postgres::migrate::{MigrateError, migrate, new_epoch, seed};
use beamline_registry::adapters::postgres::schema::{SchemaState, schema_state};
use beamline_registry::service::trouble::Trouble;

use super::{CATALOG, NO_WAIT, actions, migrated, revision, run, value};
use crate::harness::{DEADLINE, TestDatabase};

/// The key of the advisory lock, as `migrate.rs` has it.
const LOCK: &str = "x'6265616d6c696e65'::bigint";

#[tokio::test]
async fn five_starters_apply_everything_once() {
    let database = TestDatabase::create().await;
    let mut starters = Vec::new();
    for _ in 0..5 {
        let mut client = database.connect().await;
        starters.push(tokio::spawn(async move {
            migrate(&mut client, DEADLINE).await.unwrap()
        }));
    }
    let mut applied = Vec::new();
    for starter in starters {
        applied.push(starter.await.unwrap());
    }
    let busy: Vec<_> = applied
        .iter()
        .filter(|migrated| !migrated.applied.is_empty())
        .collect();
    assert_eq!(busy.len(), 1, "{applied:?}");
    let versions: Vec<i32> = busy[0]
        .applied
        .iter()
        .map(|(version, _)| *version)
        .collect();
    assert_eq!(versions, (1..=versions.len() as i32).collect::<Vec<_>>());
    let client = database.connect().await;
    assert!(schema_state(&client).await.unwrap().is_current());
    assert_eq!(
        value(&client, "SELECT count(*) FROM registry_revision").await,
        "1"
    );
}

#[tokio::test]
async fn a_starter_gives_up_after_its_wait_and_leaves_nothing_behind() {
    let database = TestDatabase::create().await;
    let other = database.connect().await;
    run(&other, &format!("SELECT pg_advisory_lock({LOCK})")).await;
    let mut client = database.connect().await;
    let result = migrate(&mut client, NO_WAIT).await;
    assert!(matches!(result, Err(MigrateError::Locked(_))), "{result:?}");
    assert_eq!(value(&client, "current_setting('lock_timeout')").await, "0");

    run(&other, &format!("SELECT pg_advisory_unlock({LOCK})")).await;
    let migrated = migrate(&mut client, NO_WAIT).await.unwrap();
    assert!(!migrated.applied.is_empty());
    let held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    assert_eq!(value(&client, held).await, "0");
}

#[tokio::test]
async fn the_state_of_a_schema() {
    let database = TestDatabase::create().await;
    let mut client = database.connect().await;
    let SchemaState { have, need } = schema_state(&client).await.unwrap();
    assert!(have == 0 && need > 0, "an empty database is behind");
    let early = seed(&client).await;
    assert!(
        matches!(&early, Err(MigrateError::Unusable(error)) if error.trouble == Trouble::Schema),
        "{early:?}"
    );

    migrate(&mut client, DEADLINE).await.unwrap();
    assert!(schema_state(&client).await.unwrap().is_current());

    let newer = format!(
        "INSERT INTO refinery_schema_history VALUES ({}, 'later', '', '0')",
        need + 1
    );
    run(&client, &newer).await;
    let ahead = SchemaState {
        have: need + 1,
        need,
    };
    assert_eq!(schema_state(&client).await.unwrap(), ahead);
    assert_eq!(
        migrate(&mut client, DEADLINE).await.unwrap().applied,
        [],
        "an older binary changes nothing"
    );

    run(
        &client,
        &format!("DELETE FROM refinery_schema_history WHERE version >= {need}"),
    )
    .await;
    let behind = SchemaState {
        have: need - 1,
        need,
    };
    assert_eq!(schema_state(&client).await.unwrap(), behind);
}

#[tokio::test]
async fn the_seed_adds_what_is_missing_and_changes_nothing_else() {
    let (_database, client) = migrated().await;
    assert_eq!(seed(&client).await.unwrap(), 6);
    assert_eq!(revision(&client).await, 1);
    run(
        &client,
        "DELETE FROM extensions WHERE id = 'pii_guard'; UPDATE extensions SET retry = 7",
    )
    .await;
    assert_eq!(seed(&client).await.unwrap(), 1);
    assert_eq!(actions(&client, 3).await, ["pii_guard created"]);
    let kept = "SELECT count(*) FROM extensions WHERE retry = 7";
    assert_eq!(value(&client, kept).await, "5");
}

/// As after a restore beside what is to be replaced. Functions find their tables by the schema's name.
#[tokio::test]
async fn a_schema_that_was_renamed_gets_its_functions_again() {
    let (_database, mut client) = migrated().await;
    run(&client, CATALOG).await;
    let digest = value(&client, "registry_digest()").await;
    let rename = "ALTER SCHEMA public RENAME TO app; SET search_path = app";
    run(&client, rename).await;
    let done = migrate(&mut client, DEADLINE).await.unwrap();
    assert!(done.functions && done.applied.is_empty(), "{done:?}");
    assert_eq!(value(&client, "registry_digest()").await, digest);
    run(&client, "UPDATE extensions SET retry = 9").await;
    assert_eq!(revision(&client).await, 2);
    let again = migrate(&mut client, DEADLINE).await.unwrap();
    assert!(!again.functions, "{again:?}");
}

#[tokio::test]
async fn a_new_epoch_keeps_the_revision() {
    let (_database, client) = migrated().await;
    seed(&client).await.unwrap();
    let before = value(&client, "SELECT epoch FROM registry_revision").await;
    let epoch = new_epoch(&client).await.unwrap();
    assert_ne!(epoch, before);
    assert_eq!(
        value(&client, "SELECT epoch FROM registry_revision").await,
        epoch
    );
    assert_eq!(revision(&client).await, 1);
}

#[tokio::test]
async fn a_lost_revision_goes_on_after_the_last_one_on_record() {
    let (_database, client) = migrated().await;
    seed(&client).await.unwrap();
    run(&client, "DELETE FROM extensions").await;
    assert_eq!(revision(&client).await, 2);
    run(&client, "DELETE FROM registry_revision").await;
    new_epoch(&client).await.unwrap();
    assert_eq!(revision(&client).await, 2);
}

/// Of yesterday's definitions and today's audit no two entries may have one revision.
#[tokio::test]
async fn a_revision_that_is_older_than_the_audit_goes_on_after_it() {
    let (_database, client) = migrated().await;
    seed(&client).await.unwrap();
    run(&client, "UPDATE extensions SET retry = 7").await;
    let restored = "UPDATE registry_revision SET revision = 1";
    run(&client, restored).await;
    new_epoch(&client).await.unwrap();
    assert_eq!(revision(&client).await, 2);
    run(&client, "DELETE FROM extensions WHERE id = 'pii_guard'").await;
    assert_eq!(actions(&client, 3).await, ["pii_guard deleted"]);
}

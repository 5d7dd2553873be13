//! An absent, stalled or outdated database is an error in bounded time, and its return is noticed.

use std::time::Duration;

use beamline_registry::adapters::postgres::migrate::{migrate, new_epoch};
use beamline_registry::service::source::{Database, SourceError, Want};
use tokio::time::Instant;

use super::{migrated, read_everything, run, source};
use crate::harness::{DEADLINE, FaultProxy, TestDatabase};

#[tokio::test]
async fn a_schema_that_is_behind_is_named_until_it_is_migrated() {
    let database = TestDatabase::create().await;
    let source = source(&database.url());
    let error = source.read(&Want::default()).await.unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("schema is behind (has 0, ") && text.contains("migrate"),
        "{text}"
    );
    assert_eq!(source.digest().await.unwrap_err(), error);
    migrate(&mut database.connect().await, DEADLINE)
        .await
        .unwrap();
    read_everything(&source).await;
}

#[tokio::test]
async fn errors_say_which_database_and_why() {
    let (database, client, source) = migrated().await;
    read_everything(&source).await;
    let cut = FaultProxy::start(database.addr()).await;
    cut.cut().await;
    let away = super::source(&database.url_at(cut.addr()));
    let error = away.read(&Want::default()).await.unwrap_err().to_string();
    let expected = format!(
        "the database is unreachable: {}/{}: ",
        cut.addr(),
        database.name()
    );
    assert!(
        error.starts_with(&expected) && error.contains("refused"),
        "{error}"
    );
    assert!(!error.contains("postgres:"), "{error}");

    run(&client, "DELETE FROM registry_revision").await;
    let error = source.read(&Want::default()).await.unwrap_err().to_string();
    assert!(
        error.contains("lost its row: run `beamline-registry migrate --new-epoch`"),
        "{error}"
    );
    new_epoch(&client).await.unwrap();
    read_everything(&source).await;

    run(
        &client,
        "ALTER TABLE extensions RENAME COLUMN retry TO tries",
    )
    .await;
    let error = source.read(&Want::default()).await.unwrap_err().to_string();
    assert!(error.contains("42703"), "{error}");
    run(
        &client,
        "ALTER TABLE extensions RENAME COLUMN tries TO retry",
    )
    .await;
    read_everything(&source).await;
}

#[tokio::test]
async fn killed_connections_are_replaced() {
    let (_database, client, source) = migrated().await;
    for _ in 0..3 {
        read_everything(&source).await;
        let killed = client
            .query(
                "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
                 WHERE datname = current_database() AND application_name = 'beamline-registry/test-1/pool'",
                &[],
            )
            .await
            .unwrap();
        assert_eq!(killed.len(), 1);
    }
    read_everything(&source).await;
}

#[tokio::test]
async fn a_stall_ends_in_time_and_its_connection_is_not_used_again() {
    let (database, _client, _) = migrated().await;
    let proxy = FaultProxy::start(database.addr()).await;
    let source = source(&database.url_at(proxy.addr()));
    read_everything(&source).await;
    proxy.stall();
    let start = Instant::now();
    let error = source.read(&Want::default()).await.unwrap_err();
    assert!(
        matches!(&error, SourceError::Database(error) if error.is_unreachable()),
        "{error}"
    );
    // The check of the old connection, then the attempt of a new one.
    assert!(
        start.elapsed() < Duration::from_secs(19),
        "{:?}",
        start.elapsed()
    );
    proxy.heal().await;
    read_everything(&source).await;
}

#[tokio::test]
async fn a_lock_in_the_way_is_waited_for_only_so_long() {
    let (_database, client, source) = migrated().await;
    let known = super::known(&read_everything(&source).await);
    run(&client, "BEGIN; LOCK TABLE registry_revision").await;
    let want = Want {
        known: Some(known),
        also: None,
        told: false,
    };
    let error = source.read(&want).await.unwrap_err().to_string();
    assert!(
        error.contains("55P03") && error.contains("blocked by pid "),
        "it is the database that says so: {error}"
    );
    run(&client, "ROLLBACK").await;
    source.read(&want).await.unwrap();
}

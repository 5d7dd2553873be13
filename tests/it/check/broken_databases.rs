//! A database that cannot be used, each in its way.

use super::Found;
use crate::access::ruled::Ruled;
use crate::harness::daemon::Builder;
use crate::harness::{Daemon, NatsServer, TestDatabase};
use crate::schema::run;

fn builder(nats: &NatsServer, url: &str) -> Builder {
    Daemon::builder()
        .nats(&nats.url())
        .database(url)
        .setting("SOURCE", "database")
}

#[tokio::test]
async fn connections_and_places() {
    let (nats, ruled) = tokio::join!(NatsServer::start(), Ruled::start());
    let url = ruled.url("beamline_registry");
    let found = |url: String| Found::by(builder(&nats, &url));
    found("postgres://u:pw@127.0.0.1:1/x".to_owned())
        .await
        .names("database", "connects for queries");
    let wrong = url.replace("beamline_registry:", "nobody:");
    found(wrong).await.names("database", "refuses the login");
    let absent = url.replace(ruled.database.name(), "no_such_database");
    found(absent).await.names("database", "does not exist");
    let secured = url.replace("sslmode=disable", "sslmode=require");
    found(secured).await.names("database", "TLS");
    let listen =
        Found::by(builder(&nats, &url).setting("DB_LISTEN_URL", "postgres://127.0.0.1:1/x"));
    listen.await.names("database", "connects for LISTEN");

    let empty = TestDatabase::create().await;
    found(empty.url())
        .await
        .names("database", "run `beamline-registry migrate`");
    let sql = empty.connect().await;
    run(
        &sql,
        "CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'",
    )
    .await;
    let latin = empty.url().replace(empty.name(), "latin");
    let not_utf8 = found(latin).await;
    not_utf8.names("database", "the registry needs UTF8");
    not_utf8.advises("see the table for the fix");
    run(&sql, "DROP DATABASE latin").await;

    let superuser = ruled.database.connect().await;
    let read_only = "ALTER ROLE beamline_registry SET default_transaction_read_only = on";
    run(&superuser, read_only).await;
    found(url.clone()).await.names("database", "is read-only");
    let reset = "ALTER ROLE beamline_registry RESET default_transaction_read_only";
    run(&superuser, reset).await;
    let elsewhere = format!("{url}&options=-c%20search_path%3Dnowhere");
    let elsewhere = found(elsewhere).await;
    elsewhere.names("database", "search_path");
    elsewhere.advises("see the table for the fix");
    let history = "SELECT ON refinery_schema_history";
    run(
        &superuser,
        &format!("REVOKE {history} FROM beamline_registry"),
    )
    .await;
    let unreadable = found(url).await;
    unreadable.names("database", "refinery_schema_history");
    unreadable.advises("run deploy/postgres/grants.sql");
}

/// Each right that grants.sql gives, taken away in turn, and given back.
#[tokio::test]
async fn rights() {
    let (nats, ruled) = tokio::join!(NatsServer::start(), Ruled::start());
    let superuser = ruled.database.connect().await;
    let builder = builder(&nats, &ruled.url("beamline_registry"));
    Found::by(builder.clone()).await.is_sound();
    for right in [
        "SELECT ON extensions",
        "SELECT ON extension_audit_log",
        "SELECT ON extension_instance_definitions",
        "SELECT ON extension_circuit_states",
        "SELECT ON live_sidecars",
        "SELECT ON probe_lease",
        "INSERT ON extension_definitions",
        "UPDATE ON extension_version_definitions",
        "DELETE ON extension_instance_definitions",
        "INSERT ON circuit_overrides",
        "DELETE ON extension_circuit_reports",
        "UPDATE ON probe_lease",
        "DELETE ON sidecar_boots",
        "EXECUTE ON FUNCTION registry_auto_disable(text, uuid, jsonb, integer, text)",
    ] {
        run(
            &superuser,
            &format!("REVOKE {right} FROM beamline_registry"),
        )
        .await;
        let found = Found::by(builder.clone()).await;
        let (_, of) = right.rsplit_once("ON ").unwrap();
        let named = of
            .trim_start_matches("FUNCTION ")
            .split('(')
            .next()
            .unwrap();
        found.names("database", named);
        run(&superuser, &format!("GRANT {right} TO beamline_registry")).await;
    }
    let columns = "UPDATE (success_count) ON extension_health";
    run(&superuser, &format!("REVOKE UPDATE ON extension_health FROM beamline_registry; GRANT {columns} TO beamline_registry")).await;
    Found::by(builder.clone()).await.is_sound();

    run(
        &superuser,
        "ALTER TABLE extension_versions ENABLE ROW LEVEL SECURITY",
    )
    .await;
    Found::by(builder)
        .await
        .names("database", "extension_versions");
}

/// As a restore that was ended leaves one: every change would be refused.
#[tokio::test]
async fn a_trigger_that_rests() {
    let (nats, ruled) = tokio::join!(NatsServer::start(), Ruled::start());
    let superuser = ruled.database.connect().await;
    let rest = "ALTER TABLE extension_versions DISABLE TRIGGER c_record_update";
    run(&superuser, rest).await;
    let found = Found::by(builder(&nats, &ruled.url("beamline_registry"))).await;
    found.names(
        "database",
        "trigger c_record_update of extension_versions is disabled",
    );
    found.advises("run `beamline-registry migrate` with an account that owns the schema");
}

/// The daemon serves the others.
#[tokio::test]
async fn faulty_rows_are_named_and_fail_nothing() {
    let (nats, ruled) = tokio::join!(NatsServer::start(), Ruled::start());
    let superuser = ruled.database.connect().await;
    let stray = |n: usize| format!("('stray{n:02}', 'pre', 'elsewhere.x{n}')");
    let rows: Vec<_> = (0..21).map(stray).collect();
    let insert = "INSERT INTO extensions (id, type, subject) VALUES";
    run(&superuser, &format!("{insert} {}", rows.join(","))).await;
    let found = Found::by(builder(&nats, &ruled.url("beamline_registry"))).await;
    let (bad, doubtful) = (found.marked("bad"), found.marked("doubtful"));
    let counts = (found.code, bad.len(), doubtful.len());
    assert_eq!(counts, (0, 0, 21), "{:#}", found.document);
    let named = doubtful[0]["check"].as_str().unwrap();
    assert!(named.starts_with("extensions/stray"), "{named}");
    let problem = doubtful[0]["problem"].as_str().unwrap();
    assert!(problem.contains("subject"), "{problem}");
    assert_eq!(doubtful[20]["problem"], "1 more are quarantined");
}

/// Files serve until the database answers; where there are none, the daemon waits for it.
#[tokio::test]
async fn a_missing_folder_of_files_beside_a_database_fails_nothing() {
    let (nats, ruled) = tokio::join!(NatsServer::start(), Ruled::start());
    let auto = builder(&nats, &ruled.url("beamline_registry"))
        .setting("SOURCE", "auto")
        .setting("FIXTURES_DIR", "/no/such/folder");
    let found = Found::by(auto).await;
    let counts = (found.code, found.marked("bad").len());
    assert_eq!(counts, (0, 0), "{:#}", found.document);
    let doubtful = found.marked("doubtful");
    assert_eq!(doubtful.len(), 1, "{:#}", found.document);
    assert_eq!(doubtful[0]["group"], "files");
}

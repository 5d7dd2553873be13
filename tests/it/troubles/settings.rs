//! What a server, a database or an account sets for all sessions does not reach ours. CASES.md D6.

use serde_json::json;

use super::{SERVED, Stage, logged};
use crate::harness::{DEADLINE, Postgres, eventually};
use crate::rig::Rig;
use crate::schema::{run, value};

/// Each would end, distort or silence a session of ours.
const HOSTILE: &[(&str, &str)] = &[
    ("row_security", "on"),
    ("idle_session_timeout", "200ms"),
    ("idle_in_transaction_session_timeout", "1ms"),
    // Until ours is in force it holds for a statement or two, which a busy machine takes its time for.
    ("statement_timeout", "250ms"),
    ("lock_timeout", "1ms"),
    ("standard_conforming_strings", "off"),
    ("default_transaction_isolation", "serializable"),
    ("DateStyle", "SQL, DMY"),
    ("IntervalStyle", "sql_standard"),
    ("TimeZone", "Asia/Kathmandu"),
    ("extra_float_digits", "-15"),
    ("bytea_output", "escape"),
    ("client_encoding", "LATIN1"),
    ("transform_null_equals", "on"),
    ("quote_all_identifiers", "on"),
    ("gin_fuzzy_search_limit", "1"),
    ("beamline.actor", "mallory"),
    ("beamline.action", "renamed"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_of_the_account_are_overruled() {
    let stage = Stage::start().await;
    for (name, value) in HOSTILE {
        let set = format!("ALTER ROLE beamline_registry SET {name} = '{value}'");
        run(&stage.superuser, &set).await;
    }
    let daemon = stage.daemon("beamline_registry").await;
    let listening = async || {
        let stats = stage.ask("stats", &json!({})).await.ok();
        stats["listener"]["state"] == "listening"
    };
    eventually("it listens", DEADLINE, listening).await;
    let pid = "SELECT string_agg(pid::text, ',') FROM pg_stat_activity
        WHERE application_name LIKE 'beamline-registry/%/listen'";
    let listener = value(&stage.superuser, pid).await;
    for round in 0..10 {
        eventually("everything works", DEADLINE, async || stage.works().await).await;
        let body = json!({"id": SERVED, "timeout_ms": 2000 + round, "config": {"a": "\\ü"}});
        let reply = stage.ask("as.ann.update", &body).await;
        assert_eq!(reply.ok()["config"], json!({"a": "\\ü"}));
    }
    let hold = format!("BEGIN; SELECT FROM extensions WHERE id = '{SERVED}' FOR UPDATE");
    stage.superuser.batch_execute(&hold).await.unwrap();
    let body = json!({"id": SERVED, "timeout_ms": 3000});
    let waits = stage.ask("as.ann.update", &body);
    let lets_go = stage
        .superuser
        .batch_execute("SELECT pg_sleep(0.6); COMMIT");
    let (reply, let_go) = tokio::join!(waits, lets_go);
    let_go.unwrap();
    assert_eq!(reply.ok()["timeout_ms"], 3000);
    let audit = stage
        .ask("audit", &json!({"id": SERVED, "limit": 1}))
        .await
        .ok();
    assert_eq!(audit["entries"][0]["action"], "updated", "{audit}");
    assert_eq!(audit["entries"][0]["changed_by"], "ann", "{audit}");
    eventually("it flushes", DEADLINE, async || stage.flushes().await > 2).await;
    assert_eq!(
        value(&stage.superuser, pid).await,
        listener,
        "it was not cut"
    );
    for word in ["57P05", "25P03", "57014", "no notifications; polling"] {
        assert!(!logged(&daemon, &[word]), "{word}: {:#?}", daemon.log());
    }
}

/// The shortest limit there is, set for the whole database.
#[tokio::test]
async fn a_limit_of_a_millisecond_for_the_database_keeps_nobody_from_starting() {
    let stage = Stage::start().await;
    let name = stage.ruled.database.name();
    for setting in [
        "statement_timeout = '1ms'",
        "idle_session_timeout = '300ms'",
    ] {
        let set = format!("ALTER DATABASE \"{name}\" SET {setting}");
        run(&stage.superuser, &set).await;
    }
    let _daemon = stage.daemon("beamline_registry").await;
    eventually("everything works", DEADLINE, async || stage.works().await).await;
    stage.wait_state("up").await;
}

/// On a server in FIPS mode md5() is an error. Here nobody may call it, which is another one.
#[tokio::test]
async fn a_server_without_md5_takes_every_change() {
    let stage = Stage::start().await;
    let take = "REVOKE EXECUTE ON FUNCTION md5(text), md5(bytea) FROM PUBLIC";
    run(&stage.superuser, take).await;
    let _daemon = stage.daemon("beamline_registry").await;
    eventually("everything works", DEADLINE, async || stage.works().await).await;
    let version = json!({"id": SERVED, "version": "v2", "subject": "beamline.ext.other"});
    stage.ask("put_version", &version).await.ok();
    for version in ["v2", "v1"] {
        let promoted = json!({"id": SERVED, "version": version});
        stage.ask("promote", &promoted).await.ok();
    }
}

/// A server that says that it is not the one to write to is named so.
#[tokio::test]
async fn a_read_only_database_is_called_that() {
    let stage = Stage::start().await;
    let daemon = stage.daemon("beamline_registry").await;
    let name = stage.ruled.database.name();
    let set = format!(
        "ALTER DATABASE \"{name}\" SET default_transaction_read_only = on;
         SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE application_name LIKE 'beamline-registry/%'"
    );
    run(&stage.superuser, &set).await;
    let down = stage.wait_state("failing").await;
    assert_eq!(down["reason"], "read_only");
    let new = json!({"id": "x", "type": "pre", "subject": "beamline.ext.x"});
    let reply = stage.ask("create", &new).await;
    assert_eq!(reply.error(), (503, "database_unavailable".to_owned()));
    assert_eq!(reply.details()["reason"], "read_only");
    super::wait_logged(&daemon, &["the database is read-only"]).await;
    let reset = format!(
        "SET default_transaction_read_only = off;
         ALTER DATABASE \"{name}\" RESET default_transaction_read_only"
    );
    run(&stage.superuser, &reset).await;
    stage.wait_state("up").await;
}

/// As for a move to another server: whoever is connected is sent away, and nobody is let in.
#[tokio::test]
async fn a_database_that_allows_no_connections_refuses_the_login() {
    let rig = Rig::start().await;
    let daemon = rig.daemon().spawn().await;
    daemon.wait_ready().await;
    let outside = Postgres::shared().await.connect("postgres").await.unwrap();
    let name = rig.database.name();
    let allow = |whether: bool| format!("ALTER DATABASE \"{name}\" ALLOW_CONNECTIONS {whether}");
    run(&outside, &allow(false)).await;
    let ours = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND application_name LIKE 'beamline-registry/%'";
    run(&rig.sql, ours).await;
    rig.wait_stats("/database/reason", json!("login")).await;
    let new = json!({"id": "x", "type": "pre", "subject": "beamline.ext.x"});
    let reply = rig.ask("create", &new).await;
    assert_eq!(reply.error(), (503, "database_unavailable".to_owned()));
    run(&outside, &allow(true)).await;
    rig.wait_stats("/database/state", json!("up")).await;
}

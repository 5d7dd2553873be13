//! Tables that are somewhere else, and databases that are not UTF8. CASES.md D7, D8.

use serde_json::json;
use tokio_postgres::Client as Sql;

use super::Stage;
use crate::harness::{DEADLINE, Daemon, Postgres, TestDatabase, eventually};
use crate::rig::{Rig, insert};
use crate::schema::{migrated, run, value};

/// The URL with a search path, as an account has it.
fn at(database: &TestDatabase, path: &str) -> String {
    format!("{}&options=-c%20search_path%3D{path}", database.url())
}

async fn command(url: &str, arguments: &[&str]) -> (i32, String) {
    let builder = Daemon::builder().database(url);
    let builder = arguments.iter().fold(builder, |it, word| it.arg(word));
    let (code, out, errors) = builder.run().await;
    (code, format!("{out}{errors}"))
}

/// How many schemas have the tables.
async fn sets(sql: &Sql) -> String {
    let sets = "SELECT string_agg(schemaname, ',' ORDER BY schemaname) FROM pg_tables
        WHERE tablename = 'registry_revision'";
    value(sql, sets).await
}

#[tokio::test]
async fn tables_elsewhere_are_named_and_no_second_set_is_made() {
    let (database, sql) = migrated().await;
    run(&sql, "CREATE SCHEMA app").await;
    let says = "the registry's tables are in schema `public`, but search_path is `app`";
    for arguments in [
        &["migrate"][..],
        &["migrate", "--check"],
        &["migrate", "--seed"],
    ] {
        let (code, text) = command(&at(&database, "app"), arguments).await;
        assert_eq!(code, 1, "{text}");
        assert!(text.contains(says), "{text}");
    }
    let (code, text) = command(&at(&database, "app"), &["check"]).await;
    assert!(code == 1 && text.contains(says), "{text}");
    assert_eq!(sets(&sql).await, "public");
    // The other way: a path that leads to them behind another schema.
    let (code, text) = command(&at(&database, "app,public"), &["migrate"]).await;
    assert_eq!((code, sets(&sql).await.as_str()), (0, "public"), "{text}");
}

#[tokio::test]
async fn a_daemon_says_where_the_tables_are_and_finds_them_by_itself() {
    let (database, sql) = migrated().await;
    run(&sql, &format!("CREATE SCHEMA app; {}", insert("x"))).await;
    let rig = Rig::with(database, sql).await;
    let daemon = rig.daemon_at(&at(&rig.database, "app")).spawn().await;
    super::wait_logged(
        &daemon,
        &["are in schema `public`, but search_path is `app`"],
    )
    .await;
    let ready = daemon.get("/readyz").await;
    assert_eq!(
        (ready.status, &ready.json()["database"]),
        (503, &json!("failing"))
    );
    assert!(!super::logged(&daemon, &["unreachable"]));
    // Moved to where it looks.
    let tables = "SELECT string_agg(format('ALTER TABLE %I SET SCHEMA app', tablename), '; ')
        FROM pg_tables WHERE schemaname = 'public'";
    let moves = value(&rig.sql, tables).await;
    run(&rig.sql, &moves).await;
    eventually("it reads", DEADLINE, async || {
        !daemon.get("/readyz").await.body.contains("but search_path")
    })
    .await;
}

/// Two sets: the first of the path is everybody's, and `check` names the other. A table of the same
/// name that is somebody else's comes never between.
#[tokio::test]
async fn of_two_sets_all_connections_use_the_first_of_the_path() {
    let database = TestDatabase::create().await;
    let sql = database.connect().await;
    run(
        &sql,
        "CREATE SCHEMA app; CREATE SCHEMA other; CREATE TABLE other.extensions (id int, name text)",
    )
    .await;
    let (code, text) = command(&at(&database, "app"), &["migrate"]).await;
    assert_eq!((code, sets(&sql).await.as_str()), (0, "app"), "{text}");
    let old = "CREATE TABLE public.extensions (id text, type text, subject text, timeout_ms int)";
    run(&sql, old).await;
    let path = "other,app,public";
    let (code, text) = command(&at(&database, path), &["migrate"]).await;
    assert_eq!((code, sets(&sql).await.as_str()), (0, "app"), "{text}");

    let rig = Rig::with(database, sql).await;
    let daemon = rig.daemon_at(&at(&rig.database, path)).spawn().await;
    daemon.wait_ready().await;
    let new = json!({"id": "y", "type": "pre", "subject": "beamline.ext.y"});
    rig.ask("create", &new).await.ok();
    rig.lookup("y").await.ok();
    assert_eq!(value(&rig.sql, "SELECT id FROM app.extensions").await, "y");
    let check = rig.daemon_at(&at(&rig.database, path)).arg("check");
    let (code, found, _) = check.run().await;
    assert_eq!(code, 0, "{found}");
    let named = "`app` is used, and there are such tables in `public` too";
    assert!(found.contains(named), "{found}");
}

/// A right on the schema taken away makes the tables vanish; they are not taken for gone.
#[tokio::test]
async fn a_schema_that_may_not_be_used_is_a_right_to_be_granted() {
    let stage = Stage::start().await;
    let daemon = stage.daemon("beamline_registry").await;
    let revoke = "REVOKE USAGE ON SCHEMA public FROM beamline_registry, PUBLIC";
    run(&stage.superuser, revoke).await;
    let new = json!({"id": "x", "type": "pre", "subject": "beamline.ext.x"});
    let reply = stage.ask("create", &new).await;
    assert_eq!(reply.error(), (500, "internal".to_owned()));
    let down = stage.wait_state("failing").await;
    assert_eq!(down["reason"], "not_allowed", "{down}");
    super::wait_logged(&daemon, &["permission denied for schema `public`"]).await;
    let grant = "GRANT USAGE ON SCHEMA public TO beamline_registry";
    run(&stage.superuser, grant).await;
    stage.wait_state("up").await;
    eventually("all works", DEADLINE, async || stage.works().await).await;
}

#[tokio::test]
async fn a_database_that_is_not_utf8_is_refused_by_name() {
    let server = Postgres::shared().await;
    let admin = server.connect("postgres").await.unwrap();
    for encoding in ["SQL_ASCII", "LATIN1"] {
        let name = format!(
            "test_{}_{:08x}",
            encoding.to_lowercase(),
            rand::random::<u32>()
        );
        let create = format!(
            "CREATE DATABASE {name} TEMPLATE template0 ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C'"
        );
        run(&admin, &create).await;
        let says = format!("the database's encoding is {encoding}; the registry needs UTF8");
        let url = server.url(&name);
        for arguments in [&["migrate"][..], &["migrate", "--check"], &["check"]] {
            let (code, text) = command(&url, arguments).await;
            assert_eq!(code, 1, "{text}");
            assert!(text.contains(&says), "{arguments:?}: {text}");
        }
        let (_other, sql) = migrated().await;
        let rig = Rig::with(_other, sql).await;
        let folder = tempfile::tempdir().unwrap();
        let file = json!({"id": "in_file", "type": "pre", "subject": "beamline.ext.in_file"});
        std::fs::write(folder.path().join("f.json"), file.to_string()).unwrap();
        let daemon = rig.daemon_at(&url).setting("SOURCE", "auto");
        let daemon = daemon.fixtures(folder.path()).spawn().await;
        daemon.wait_ready().await;
        rig.lookup("in_file").await.ok();
        // The files are served a moment before the load has failed as a whole.
        let stats = eventually("what it lacks", DEADLINE, async || {
            let stats = rig.stats().await;
            if stats["last_error"].is_string() {
                Ok(stats)
            } else {
                Err(stats)
            }
        })
        .await;
        assert_eq!(stats["database"]["state"], "failing", "{stats}");
        assert_eq!(stats["database"]["reason"], "encoding", "{stats}");
        assert!(
            stats["last_error"].as_str().unwrap().contains(&says),
            "{stats}"
        );
        drop(daemon);
        run(&admin, &format!("DROP DATABASE {name} WITH (FORCE)")).await;
    }
}

//! What is said of a change is true, whatever happens while it commits.

use beamline_registry::adapters::postgres::migrate::migrate;
use serde_json::{Value, json};

use super::outages::entries;
use super::{plain, ready};
use crate::gate;
use crate::harness::{DEADLINE, FaultProxy, Postgres, Reply, eventually};
use crate::rig::{Rig, insert};
use crate::schema::{run, value};

/// A rig whose commits wait while the gate is closed.
async fn gated() -> Rig {
    let rig = Rig::start().await;
    gate::build(&rig.sql).await;
    rig
}

async fn create(rig: &Rig, id: &str) -> Reply {
    let mut body: Value = plain(id);
    body["actor"] = json!(id);
    rig.ask("create", &body).await
}

fn is_unknown(reply: &Reply) -> bool {
    reply.error() == (503, "database_unavailable".into())
        && reply.details() == json!({"outcome": "unknown"})
}

/// A creation whose connection is cut while it commits.
async fn lost(rig: &Rig, proxy: &FaultProxy, id: &str) -> Reply {
    gate::close(&rig.sql).await;
    let (reply, ()) = tokio::join!(create(rig, id), async {
        gate::wait(&rig.sql).await;
        proxy.kill_connections().await;
        gate::open(&rig.sql).await;
    });
    reply
}

#[tokio::test]
async fn a_commit_whose_answer_is_lost_is_looked_up() {
    let rig = gated().await;
    let proxy = FaultProxy::start(rig.database.addr()).await;
    let _daemon = ready(rig.daemon_at(&rig.database.url_at(proxy.addr()))).await;
    for (id, committed) in [("one", true), ("fail-1", false), ("two", true)] {
        let reply = lost(&rig, &proxy, id).await;
        if committed {
            assert_eq!(reply.ok()["id"], id);
        } else {
            assert_eq!(reply.error(), (503, "database_unavailable".into()));
            assert_eq!(
                reply.details(),
                json!({"reason": "unreachable"}),
                "it is known"
            );
        }
        assert_eq!(entries(&rig, id).await, i64::from(committed), "{id}");
    }
}

/// The entry is looked for in another session, which may show it otherwise: behind a pooler, or as
/// here where an operator's trigger has set what its own session shows.
#[tokio::test]
async fn a_lost_answer_is_looked_up_whatever_the_time_zone_of_the_session() {
    let rig = gated().await;
    run(
        &rig.sql,
        "CREATE FUNCTION local() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             PERFORM set_config('TimeZone', 'Asia/Kathmandu', true),
                 set_config('DateStyle', 'SQL, DMY', true);
             RETURN NEW; END $$;
         CREATE TRIGGER local BEFORE INSERT ON extensions
             FOR EACH ROW EXECUTE FUNCTION local()",
    )
    .await;
    let proxy = FaultProxy::start(rig.database.addr()).await;
    let _daemon = ready(rig.daemon_at(&rig.database.url_at(proxy.addr()))).await;
    let reply = lost(&rig, &proxy, "one").await;
    assert_eq!(reply.ok()["id"], "one");
}

/// What cannot be found is not called undone.
#[tokio::test]
async fn a_lost_answer_is_unknown_where_the_database_keeps_no_entry() {
    let rig = gated().await;
    let rule = "CREATE RULE silent AS ON INSERT TO extension_audit_log DO INSTEAD NOTHING";
    run(&rig.sql, rule).await;
    let proxy = FaultProxy::start(rig.database.addr()).await;
    let _daemon = ready(rig.daemon_at(&rig.database.url_at(proxy.addr()))).await;
    let reply = lost(&rig, &proxy, "one").await;
    assert!(is_unknown(&reply), "{reply:?}");
    let there = "SELECT count(*) FROM extensions WHERE id = 'one'";
    eventually("it commits all the same", DEADLINE, async || {
        value(&rig.sql, there).await == "1"
    })
    .await;
}

#[tokio::test]
async fn a_commit_that_fails_changes_nothing_and_says_so() {
    let rig = gated().await;
    let _daemon = ready(rig.daemon()).await;
    let reply = create(&rig, "fail").await;
    assert_eq!(reply.error(), (400, "invalid_request".into()));
    assert!(
        reply.json()["error"]["message"]
            .as_str()
            .unwrap()
            .contains("refused at COMMIT"),
        "{reply:?}"
    );
    assert_eq!(entries(&rig, "fail").await, 0);
    create(&rig, "one").await.ok();
}

#[tokio::test]
async fn a_commit_that_nobody_can_be_asked_about_is_unknown() {
    let rig = gated().await;
    let proxy = FaultProxy::start(rig.database.addr()).await;
    let _daemon = ready(rig.daemon_at(&rig.database.url_at(proxy.addr()))).await;
    gate::close(&rig.sql).await;
    let (reply, ()) = tokio::join!(create(&rig, "one"), async {
        gate::wait(&rig.sql).await;
        proxy.cut().await;
    });
    assert!(is_unknown(&reply), "{reply:?}");
    gate::open(&rig.sql).await;
    eventually("it commits all the same", DEADLINE, async || {
        entries(&rig, "one").await == 1
    })
    .await;
}

/// The change goes on without whoever asked, and nothing is said that may turn out wrong.
#[tokio::test]
async fn a_change_that_is_given_up_at_a_shutdown_is_unknown() {
    let rig = gated().await;
    let daemon = ready(rig.daemon().setting("SHUTDOWN_GRACE_SECONDS", 1)).await;
    gate::close(&rig.sql).await;
    let (reply, ()) = tokio::join!(create(&rig, "one"), async {
        gate::wait(&rig.sql).await;
        daemon.sigterm();
    });
    assert!(is_unknown(&reply), "{reply:?}");
    gate::open(&rig.sql).await;
    daemon.wait_exit(DEADLINE).await;
    let _next = ready(rig.daemon()).await;
    // The COMMIT may still be on its way.
    eventually("all of it or nothing", DEADLINE, async || {
        let reply = rig.lookup("one").await;
        let found = reply.header("Nats-Service-Error-Code").is_none();
        entries(&rig, "one").await == i64::from(found)
    })
    .await;
}

/// A dry run writes nothing, whatever becomes of the process that carries it out.
#[tokio::test]
async fn a_dry_run_that_is_given_up_at_a_shutdown_has_changed_nothing() {
    let rig = Rig::start().await;
    run(&rig.sql, &insert("x")).await;
    let daemon = ready(rig.daemon().setting("SHUTDOWN_GRACE_SECONDS", "300ms")).await;
    run(&rig.sql, "BEGIN; SELECT FROM registry_revision FOR UPDATE").await;
    let update = |dry_run: bool| json!({"id": "x", "timeout_ms": 77, "dry_run": dry_run});
    let (rehearsal, change) = (update(true), update(false));
    let (rehearsed, written, ()) = tokio::join!(
        rig.ask("update", &rehearsal),
        rig.ask("update", &change),
        async {
            // Received after them: a connection keeps order.
            rig.ask("get", &json!({"id": "x"})).await.ok();
            daemon.sigterm();
        }
    );
    assert_eq!(rehearsed.error(), (503, "shutting_down".into()));
    assert!(is_unknown(&written), "{written:?}");
}

/// Whoever answers after a failover may have given the number of the lost transaction, and its revision,
/// to somebody else.
#[tokio::test]
async fn a_commit_that_a_failover_lost_is_not_taken_for_somebody_elses() {
    let rig = gated().await;
    let successor = Postgres::private().await;
    let admin = successor.connect("postgres").await.unwrap();
    let name = rig.database.name();
    run(
        &admin,
        &format!("CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'"),
    )
    .await;
    let mut sql = successor.connect(name).await.unwrap();
    migrate(&mut sql, DEADLINE).await.unwrap();

    let proxy = FaultProxy::start(rig.database.addr()).await;
    let _daemon = ready(rig.daemon_at(&rig.database.url_at(proxy.addr()))).await;
    gate::close(&rig.sql).await;
    let (reply, ()) = tokio::join!(create(&rig, "one"), async {
        gate::wait(&rig.sql).await;
        // There too a first change with this revision, and all numbers of transactions up to now are
        // those of transactions that committed.
        run(&sql, &insert("other")).await;
        let at = "SELECT pg_snapshot_xmax(pg_current_snapshot())";
        let (lost, own) = (value(&rig.sql, at).await, value(&sql, at).await);
        let (lost, own): (i64, i64) = (lost.parse().unwrap(), own.parse().unwrap());
        let burn = format!(
            "DO $$ BEGIN FOR i IN {own}..{lost} LOOP PERFORM pg_current_xact_id(); COMMIT;
             END LOOP; END $$"
        );
        run(&sql, &burn).await;
        proxy.set_upstream(&successor.addr());
        proxy.kill_connections().await;
    });
    assert_eq!(reply.error(), (503, "database_unavailable".into()));
    assert_eq!(reply.details(), json!({"reason": "unreachable"}));
    assert_eq!(
        value(&sql, "SELECT string_agg(id, ',') FROM extensions").await,
        "other"
    );
    gate::open(&rig.sql).await;
}

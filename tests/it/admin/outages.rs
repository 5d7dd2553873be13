//! Databases that are away or locked.

use futures_util::future::join_all;
use serde_json::json;

use super::{plain, ready, started};
use crate::harness::{DEADLINE, FaultProxy, eventually};
use crate::rig::Rig;

#[tokio::test]
async fn a_lock_held_by_someone_is_named() {
    let (rig, _daemon) = started().await;
    rig.ask("create", &plain("x")).await.ok();
    let hold = "BEGIN; UPDATE extensions SET retry = 5";
    rig.sql.batch_execute(hold).await.unwrap();
    let reply = rig.ask("update", &json!({"id": "x", "retry": 2})).await;
    assert_eq!(reply.error(), (503, "database_unavailable".into()));
    let details = reply.details();
    assert_eq!(details["reason"], "locked");
    let pid = rig
        .sql
        .query_one("SELECT pg_backend_pid()", &[])
        .await
        .unwrap();
    let pid: i32 = pid.get(0);
    let blocked_by = details["blocked_by"].as_str().unwrap();
    assert!(
        blocked_by.starts_with(&format!("pid {pid}, ")),
        "{blocked_by}"
    );
    rig.sql.batch_execute("ROLLBACK").await.unwrap();
    rig.ask("update", &json!({"id": "x", "retry": 2}))
        .await
        .ok();
}

/// A row, a table that is being indexed, and one that a writer reaches by a trigger.
#[tokio::test]
async fn whatever_is_locked_its_holder_is_named() {
    let (rig, _daemon) = started().await;
    rig.ask("create", &plain("x")).await.ok();
    let pid = rig.sql.query_one("SELECT pg_backend_pid()", &[]).await;
    let pid: i32 = pid.unwrap().get(0);
    for hold in [
        "SELECT FROM extensions WHERE id = 'x' FOR UPDATE",
        "CREATE INDEX of_owners ON extensions (owner)",
        "LOCK TABLE extension_audit_log IN SHARE MODE",
    ] {
        let hold = format!("BEGIN; {hold}");
        rig.sql.batch_execute(&hold).await.unwrap();
        let reply = rig.ask("update", &json!({"id": "x", "retry": 2})).await;
        let details = reply.details();
        assert_eq!(details["reason"], "locked", "{hold}: {reply:?}");
        let blocked_by = details["blocked_by"].as_str().unwrap_or_default();
        assert!(
            blocked_by.starts_with(&format!("pid {pid}, ")),
            "{hold}: {reply:?}"
        );
        rig.sql.batch_execute("ROLLBACK").await.unwrap();
    }
}

/// A session that was cancelled holds its locks for a moment after it has said so.
#[tokio::test]
async fn a_sidecar_never_names_itself_beside_somebody_else() {
    let rig = Rig::start().await;
    let _daemon = ready(rig.daemon().setting("INSTANCE_ID", "pod-1")).await;
    rig.ask("create", &plain("x")).await.ok();
    let ours = rig.database.connect().await;
    let like_ours = "SET application_name = 'beamline-registry/pod-1/pool';
        BEGIN; LOCK TABLE registry_revision IN ROW SHARE MODE";
    ours.batch_execute(like_ours).await.unwrap();
    let hold = "SET application_name = 'somebody';
        BEGIN; SELECT FROM extensions WHERE id = 'x' FOR UPDATE";
    rig.sql.batch_execute(hold).await.unwrap();
    let reply = rig.ask("update", &json!({"id": "x", "retry": 2})).await;
    let blocked_by = reply.details()["blocked_by"].as_str().unwrap().to_owned();
    assert!(blocked_by.contains(", somebody, "), "{blocked_by}");
}

#[tokio::test]
async fn a_database_that_is_away_takes_no_change_and_says_so() {
    let rig = Rig::start().await;
    let proxy = FaultProxy::start(rig.database.addr()).await;
    let _daemon = ready(rig.daemon_at(&rig.database.url_at(proxy.addr()))).await;
    rig.ask("create", &plain("x")).await.ok();
    proxy.cut().await;
    let reply = rig.ask("update", &json!({"id": "x", "retry": 7})).await;
    assert_eq!(reply.error(), (503, "database_unavailable".into()));
    assert_eq!(rig.lookup("x").await.ok()["retry"], 1);
    proxy.heal().await;
    rig.ask("update", &json!({"id": "x", "retry": 7}))
        .await
        .ok();
}

/// Whoever loads, listens or flushes has connections left, and each writer is told whose lock it
/// is: never that of another one who waits.
#[tokio::test]
async fn writers_that_wait_are_in_nobodys_way() {
    let (rig, _daemon) = started().await;
    rig.ask("create", &plain("x")).await.ok();
    let pid = rig.sql.query_one("SELECT pg_backend_pid()", &[]).await;
    let pid: i32 = pid.unwrap().get(0);
    let hold = "BEGIN; UPDATE extensions SET retry = 5";
    rig.sql.batch_execute(hold).await.unwrap();
    let (body, anything) = (json!({"id": "x", "retry": 2}), json!({}));
    let writers = join_all((0..40).map(|_| rig.ask("update", &body)));
    let others = async {
        let waiting = "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND pid IN
            (SELECT pid FROM pg_stat_activity WHERE datname = current_database()))";
        eventually("writers wait", DEADLINE, async || {
            let row = rig.sql.query_one(waiting, &[]).await.unwrap();
            row.get::<_, bool>(0)
        })
        .await;
        rig.ask("reload", &anything).await
    };
    let (refused, reloaded) = tokio::join!(writers, others);
    reloaded.ok();
    for reply in refused {
        assert_eq!(reply.details()["reason"], "locked", "{reply:?}");
        let blocked_by = reply.details()["blocked_by"].as_str().unwrap().to_owned();
        assert!(
            blocked_by.starts_with(&format!("pid {pid}, ")),
            "{blocked_by}"
        );
    }
    rig.sql.batch_execute("ROLLBACK").await.unwrap();
}

/// How many entries of the audit an actor has.
pub(super) async fn entries(rig: &Rig, actor: &str) -> i64 {
    let sql = "SELECT count(*) FROM extension_audit_log WHERE changed_by = $1";
    rig.sql.query_one(sql, &[&actor]).await.unwrap().get(0)
}

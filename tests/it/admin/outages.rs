//! Databases that are away or locked, and daemons that are killed.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;

use super::{plain, ready, started};
use crate::harness::{DEADLINE, FaultProxy, eventually};
use crate::rig::Rig;

/// What a request may take before it is taken to be unanswered.
const PATIENCE: Duration = Duration::from_secs(3);

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

/// The daemon is killed under writes: what it acknowledged is there, once.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_daemon_has_every_acknowledged_change_exactly_once() {
    let rig = Rig::start().await;
    let mut acknowledged = Vec::new();
    let mut number = 0u64;
    for round in 0..4u32 {
        let daemon = ready(rig.daemon()).await;
        let client = &rig.client;
        let writes = async {
            let mut written = Vec::new();
            loop {
                number += 1;
                let mut body = plain(&format!("e{number}"));
                body["actor"] = json!(format!("w{number}"));
                let body = body.to_string();
                let subject = "beamline.registry.create";
                let reply = client.try_request(subject, body, PATIENCE).await;
                match reply.filter(|reply| !reply.is_no_responders()) {
                    Some(reply) if reply.header("Nats-Service-Error-Code").is_none() => {
                        written.push(number);
                    }
                    _ => return written,
                }
            }
        };
        let kill = async {
            let enough = 5 + u64::from(round) * 13;
            eventually("writes", DEADLINE, async || {
                let row = rig
                    .sql
                    .query_one("SELECT revision FROM registry_revision", &[])
                    .await;
                let revision: i64 = row.unwrap().get(0);
                if revision.unsigned_abs() >= enough * u64::from(round + 1) {
                    Ok(())
                } else {
                    Err(revision)
                }
            })
            .await;
            daemon.sigkill();
        };
        let (written, ()) = tokio::join!(writes, kill);
        acknowledged.extend(written);
    }
    assert!(!acknowledged.is_empty());
    for number in acknowledged {
        assert_eq!(entries(&rig, &format!("w{number}")).await, 1, "{number}");
    }
    let torn = "SELECT count(*) FROM extensions e WHERE (SELECT count(*) FROM extension_audit_log a \
                WHERE a.extension_id = e.id) <> 1";
    let torn: i64 = rig.sql.query_one(torn, &[]).await.unwrap().get(0);
    assert_eq!(torn, 0, "no row without its entry");
}

/// How many entries of the audit an actor has.
pub(super) async fn entries(rig: &Rig, actor: &str) -> i64 {
    let sql = "SELECT count(*) FROM extension_audit_log WHERE changed_by = $1";
    rig.sql.query_one(sql, &[&actor]).await.unwrap().get(0)
}

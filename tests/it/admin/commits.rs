//! What is said of a change is true, whatever happens while it commits.
//!
//! A deferred trigger holds each COMMIT until the test opens the gate, and fails it for some ids.

use serde_json::{Value, json};

use super::outages::entries;
use super::{plain, ready};
use crate::harness::{DEADLINE, FaultProxy, Reply, eventually};
use crate::rig::Rig;

const GATE: &str = "CREATE FUNCTION gate() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM set_config('lock_timeout', '0', true), pg_advisory_xact_lock(42);
        IF NEW.id LIKE 'fail%' THEN
            RAISE 'refused at COMMIT';
        END IF;
        RETURN NULL;
    END $$;
    CREATE CONSTRAINT TRIGGER z_gate AFTER INSERT ON extensions DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION gate()";

/// A rig whose commits wait while the gate is closed.
async fn gated() -> Rig {
    let rig = Rig::start().await;
    rig.sql.batch_execute(GATE).await.unwrap();
    rig
}

async fn close(rig: &Rig) {
    let close = "SELECT pg_advisory_lock(42)";
    rig.sql.batch_execute(close).await.unwrap();
}

async fn open(rig: &Rig) {
    let open = "SELECT pg_advisory_unlock(42)";
    rig.sql.batch_execute(open).await.unwrap();
}

/// Waits until a COMMIT is at the gate.
async fn wait_at_gate(rig: &Rig) {
    let waiting = "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))";
    eventually("a COMMIT is at the gate", DEADLINE, async || {
        let row = rig.sql.query_one(waiting, &[]).await.unwrap();
        row.get::<_, bool>(0)
    })
    .await;
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

#[tokio::test]
async fn a_commit_whose_answer_is_lost_is_looked_up() {
    let rig = gated().await;
    let proxy = FaultProxy::start(rig.database.addr()).await;
    let _daemon = ready(rig.daemon_at(&rig.database.url_at(proxy.addr()))).await;
    for (id, committed) in [("one", true), ("fail-1", false), ("two", true)] {
        close(&rig).await;
        let (reply, ()) = tokio::join!(create(&rig, id), async {
            wait_at_gate(&rig).await;
            proxy.kill_connections().await;
            open(&rig).await;
        });
        if committed {
            assert_eq!(reply.ok()["id"], id);
        } else {
            assert_eq!(reply.error(), (503, "database_unavailable".into()));
            assert_eq!(reply.details(), json!({}), "it is known");
        }
        assert_eq!(entries(&rig, id).await, i64::from(committed), "{id}");
    }
}

#[tokio::test]
async fn a_commit_that_fails_changes_nothing_and_says_so() {
    let rig = gated().await;
    let _daemon = ready(rig.daemon()).await;
    let reply = create(&rig, "fail").await;
    assert_eq!(reply.error(), (503, "database_unavailable".into()));
    assert_eq!(reply.details(), json!({}), "it is known");
    assert_eq!(entries(&rig, "fail").await, 0);
    create(&rig, "one").await.ok();
}

#[tokio::test]
async fn a_commit_that_nobody_can_be_asked_about_is_unknown() {
    let rig = gated().await;
    let proxy = FaultProxy::start(rig.database.addr()).await;
    let _daemon = ready(rig.daemon_at(&rig.database.url_at(proxy.addr()))).await;
    close(&rig).await;
    let (reply, ()) = tokio::join!(create(&rig, "one"), async {
        wait_at_gate(&rig).await;
        proxy.cut().await;
    });
    assert!(is_unknown(&reply), "{reply:?}");
    open(&rig).await;
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
    close(&rig).await;
    let (reply, ()) = tokio::join!(create(&rig, "one"), async {
        wait_at_gate(&rig).await;
        daemon.sigterm();
    });
    assert!(is_unknown(&reply), "{reply:?}");
    open(&rig).await;
    daemon.wait_exit(DEADLINE).await;
    let _next = ready(rig.daemon()).await;
    let whole = i64::from(
        rig.lookup("one")
            .await
            .header("Nats-Service-Error-Code")
            .is_none(),
    );
    assert_eq!(entries(&rig, "one").await, whole, "all of it or nothing");
}

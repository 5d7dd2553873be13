//! An id that is deleted and made again is another extension: it inherits nothing. CASES.md D15.

use super::*;
use crate::events_seen::EventsSeen;
use crate::harness::FaultProxy;
use crate::schema::{revision, run};

/// Made again as it was, with every column that can be named, times and incarnation too.
const KEEP: &str = "CREATE TEMP TABLE kept AS TABLE extensions";
const DELETE: &str = "DELETE FROM extensions WHERE id = 'e'";
const AGAIN: &str = "INSERT INTO extensions (id, type, subject, timeout_ms, retry, enabled, version, config, metadata,
        created_at, updated_at, revision, incarnation)
    SELECT id, type, subject, timeout_ms, retry, enabled, version, config, metadata, created_at,
        updated_at, revision, incarnation FROM kept WHERE id = 'e'";

/// What `sidecar` knows of the health of `e`.
async fn health(fleet: &Fleet, sidecar: &str) -> Value {
    let health = fleet.ask(sidecar, "health", &json!({"id": "e"})).await.ok();
    let health = &health["health"];
    json!([
        health["success_count"],
        health["failure_count"],
        health["circuit_breaker_state"]
    ])
}

/// Makes it have lived: successes, failures, a circuit that is open at one and forced at all.
async fn live(fleet: &Fleet, played: &Played) {
    played.fail(false);
    fleet.call("b", "e", 5).await;
    played.fail(true);
    fleet.call("a", "e", 2).await;
    fleet.wait_state("a", "e", "open").await;
    fleet.wait_sums("e", (5, 2)).await;
    for sidecar in ["a", "b"] {
        let what = format!("{sidecar} knows what both counted");
        eventually(&what, DEADLINE, async || {
            let health = health(fleet, sidecar).await;
            if health[0] == 5 && health[1] == 2 {
                Ok(())
            } else {
                Err(health)
            }
        })
        .await;
    }
    let order = json!({"id": "e", "action": "open"});
    fleet.order("b", &order).await;
    fleet.wait_state("b", "e", "open").await;
    played.fail(false);
}

/// As one that was never called, at both; and it stays so.
async fn assert_new(fleet: &Fleet, played: &Played) {
    for sidecar in ["a", "b"] {
        assert_eq!(
            health(fleet, sidecar).await,
            json!([0, 0, "closed"]),
            "{sidecar}"
        );
    }
    let answered = played.answered();
    fleet.call("a", "e", 1).await;
    fleet.call("b", "e", 1).await;
    assert_eq!(played.answered(), answered + 2, "no circuit is in the way");
    fleet.wait_sums("e", (2, 0)).await;
    for sidecar in ["a", "b"] {
        let what = format!("{sidecar} counts these two alone");
        eventually(&what, DEADLINE, async || {
            let health = health(fleet, sidecar).await;
            if health == json!([2, 0, "closed"]) {
                Ok(())
            } else {
                Err(health)
            }
        })
        .await;
    }
    assert_eq!(
        fleet.value("SELECT count(*) FROM circuit_overrides").await,
        "0"
    );
}

/// Waits until both have the revision of the database.
async fn caught_up(fleet: &Fleet) {
    let now = revision(&fleet.rig.sql).await;
    for sidecar in ["a", "b"] {
        let body = json!({"id": "e", "min_revision": now, "wait_ms": 10_000});
        fleet.ask(sidecar, "lookup", &body).await.ok();
    }
}

#[tokio::test]
async fn an_id_deleted_and_made_again_in_one_transaction_inherits_nothing() {
    let fleet = Fleet::with(&["e", "other"]).await;
    let played = Played::start(&fleet, "e").await;
    let events = EventsSeen::start(&fleet.rig.nats).await;
    let _a = fleet.started("a", OFTEN).await;
    let _b = fleet.started("b", OFTEN).await;
    live(&fleet, &played).await;
    run(
        &fleet.rig.sql,
        &format!("BEGIN; {KEEP}; {DELETE}; {AGAIN}; COMMIT"),
    )
    .await;
    caught_up(&fleet).await;
    assert_new(&fleet, &played).await;
    let kinds = [
        "extension_created",
        "extension_deleted",
        "extension_created",
    ];
    let told = events.wait("e", &kinds, 3).await;
    let told: Vec<_> = told.iter().map(|(kind, _)| kind.as_str()).collect();
    assert_eq!(told, kinds);
}

/// Also for a sidecar that saw neither: the database was unreachable for both transactions.
#[tokio::test]
async fn an_id_deleted_and_made_again_between_two_reads_inherits_nothing() {
    let fleet = Fleet::with(&["e", "other"]).await;
    let played = Played::start(&fleet, "e").await;
    let proxy = FaultProxy::start(fleet.rig.database.addr()).await;
    let through = fleet.rig.database.url_at(proxy.addr());
    let _a = fleet.started("a", OFTEN).await;
    let b = fleet.sidecar("b", OFTEN).database(&through).spawn().await;
    b.wait_ready().await;
    live(&fleet, &played).await;
    proxy.cut().await;
    for statement in [KEEP, DELETE, AGAIN] {
        run(&fleet.rig.sql, statement).await;
    }
    proxy.heal().await;
    caught_up(&fleet).await;
    assert_new(&fleet, &played).await;
}

/// What is in quarantine is the same extension when it is back: nothing is lost, nothing counted twice.
#[tokio::test]
async fn what_goes_through_quarantine_and_back_is_counted_once_and_keeps_its_circuit() {
    let fleet = Fleet::with(&["e", "other"]).await;
    let played = Played::start(&fleet, "e").await;
    let a = fleet.started("a", OFTEN).await;
    let _b = fleet.started("b", OFTEN).await;
    played.fail(false);
    fleet.call("b", "e", 5).await;
    played.fail(true);
    fleet.call("a", "e", 2).await;
    fleet.wait_state("a", "e", "open").await;
    for timeout_ms in [-1, 9000] {
        let change = format!("UPDATE extensions SET timeout_ms = {timeout_ms} WHERE id = 'e'");
        run(&fleet.rig.sql, &change).await;
        caught_up_whatever_it_is(&fleet).await;
    }
    let state = health(&fleet, "a").await[2].clone();
    assert_eq!(state, "open", "it is the same circuit");
    played.fail(false);
    fleet.call("b", "e", 3).await;
    fleet.wait_sums("e", (8, 2)).await;
    for sidecar in ["a", "b"] {
        let what = format!("{sidecar} knows what both counted, once");
        eventually(&what, DEADLINE, async || {
            let health = health(&fleet, sidecar).await;
            if health[0] == 8 && health[1] == 2 {
                Ok(())
            } else {
                Err(health)
            }
        })
        .await;
    }
    // What was counted before it went, and not flushed by then, is flushed at the end.
    a.sigterm();
    a.wait_exit(DEADLINE).await;
    fleet.wait_sums("e", (8, 2)).await;
}

/// Waits until both have the revision of the database, in which `e` may be in quarantine.
async fn caught_up_whatever_it_is(fleet: &Fleet) {
    let now = revision(&fleet.rig.sql).await;
    for sidecar in ["a", "b"] {
        let body = json!({"id": "other", "min_revision": now, "wait_ms": 10_000});
        fleet.ask(sidecar, "lookup", &body).await.ok();
    }
}

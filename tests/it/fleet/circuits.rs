//! Open circuits are told to the fleet, and taken over at a start.

use super::*;

/// Lets the circuit of `e` open at a sidecar.
async fn open(fleet: &Fleet, played: &Played, sidecar: &str) {
    played.fail(true);
    fleet.call(sidecar, "e", 2).await;
    assert_eq!(fleet.state(sidecar, "e").await, "open");
    played.fail(false);
}

const IN_HEALTH: &str = "SELECT circuit_breaker_state FROM extension_health";

#[tokio::test]
async fn a_circuit_that_opens_is_seen_in_the_database_while_it_is_open() {
    let fleet = Fleet::with(&["e"]).await;
    let played = Played::start(&fleet, "e").await;
    let _a = fleet.started("a", OFTEN).await;
    let _b = fleet.started("b", OFTEN).await;
    open(&fleet, &played, "a").await;
    fleet.wait_value(IN_HEALTH, "open").await;
    assert_eq!(fleet.state("b", "e").await, "closed", "circuits are local");
    let times = "SELECT concat_ws(' ', now() - opened_at < '1 min',
            retry_at - opened_at BETWEEN '590 s' AND '610 s')
        FROM extension_circuit_reports";
    assert_eq!(fleet.value(times).await, "t t");

    let reset = json!({"id": "e", "action": "reset"});
    fleet.order("a", &reset).await;
    fleet.wait_value(IN_HEALTH, "closed").await;
}

/// The last flush of a sidecar speaks for three of its intervals: here for three hours.
#[tokio::test]
async fn a_start_takes_over_what_half_of_the_fleet_holds_open() {
    let fleet = Fleet::with(&["e"]).await;
    let played = Played::start(&fleet, "e").await;
    let (a, b) = (
        fleet.started("a", NEVER).await,
        fleet.started("b", NEVER).await,
    );
    open(&fleet, &played, "a").await;
    stop(a).await;
    stop(b).await;

    let c = fleet.started("c", NEVER).await;
    assert_eq!(fleet.state("c", "e").await, "open", "one of two holds it");
    let opened = c.wait_log("the circuit", |entry| {
        (entry["message"] == "circuit opened").then(|| entry["reason"].clone())
    });
    assert_eq!(opened.await, "restored");
    let before = played.answered();
    fleet.call("c", "e", 3).await;
    assert_eq!(played.answered(), before, "no call passes");
    let reset = json!({"id": "e", "action": "reset"});
    fleet.order("c", &reset).await;
    stop(c).await;

    let d = fleet.started("d", NEVER).await;
    assert_eq!(
        fleet.state("d", "e").await,
        "closed",
        "one of three holds it"
    );
    stop(d).await;
}

#[tokio::test]
async fn a_circuit_of_a_version_that_is_gone_is_not_taken_over() {
    let fleet = Fleet::with(&["e"]).await;
    let played = Played::start(&fleet, "e").await;
    let a = fleet.started("a", NEVER).await;
    open(&fleet, &played, "a").await;
    stop(a).await;
    let renamed = "UPDATE extensions SET version = 'v2' WHERE id = 'e'";
    fleet.rig.sql.batch_execute(renamed).await.unwrap();
    let b = fleet.started("b", NEVER).await;
    assert_eq!(fleet.state("b", "e").await, "closed");
    fleet.call("b", "e", 1).await;
    stop(b).await;
    assert_eq!(fleet.sums("e").await, (1, 2));
}

//! Counts of all sidecars add up in `extension_health`: each call once.

use serde_json::json;

use super::*;
use crate::harness::FaultProxy;
use crate::rig::metric;

#[tokio::test]
async fn counts_of_two_sidecars_add_up() {
    let fleet = Fleet::with(&["e"]).await;
    let played = Played::start(&fleet, "e").await;
    let _a = fleet.started("a", OFTEN).await;
    let _b = fleet.started("b", OFTEN).await;
    fleet.call("a", "e", 30).await;
    fleet.call("b", "e", 12).await;
    // What fails is to fail after the successes by the database's clock, too. Flushes carry ages, so
    // what one of them took on its way makes its moments later: two that are milliseconds apart can
    // change places between two flushes, but not with a moment that was written already.
    fleet.wait_sums("e", (42, 0)).await;
    played.fail(true);
    fleet.call("a", "e", 1).await;
    fleet.call("b", "e", 1).await;
    fleet.wait_sums("e", (42, 2)).await;

    let own = "SELECT string_agg(instance_id || ' ' || success_count || ' ' || failure_count, ', '
            ORDER BY instance_id)
        FROM extension_health_reports JOIN sidecar_boots USING (boot)";
    assert_eq!(fleet.value(own).await, "a 30 1, b 12 1");
    let row = "SELECT concat_ws(' ', last_success < last_failure, avg_latency_ms > 0,
            latency_count, circuit_breaker_failure_threshold, half_open_max_requests)
        FROM extension_health";
    assert_eq!(fleet.value(row).await, "t t 44 2 3");
}

#[tokio::test]
async fn each_sidecar_names_all_that_are_there() {
    let fleet = Fleet::with(&["e"]).await;
    let _a = fleet.started("a", OFTEN).await;
    let b = fleet.started("b", OFTEN).await;
    let named = async |ids: &[&str]| {
        for pod in ids {
            let subject = format!("beamline.registry.local.{pod}.stats");
            eventually("both are counted", DEADLINE, async || {
                let stats = fleet.rig.client.request(&subject, "").await.ok();
                let sidecars = stats["sidecars"].clone();
                match sidecars == json!({"total": ids.len(), "instance_ids": ids}) {
                    true => Ok(()),
                    false => Err(sidecars),
                }
            })
            .await;
        }
    };
    named(&["a", "b"]).await;
    stop(b).await;
    named(&["a"]).await;
}

#[tokio::test]
async fn a_shutdown_flushes_the_rest_and_a_restart_goes_on_from_there() {
    let fleet = Fleet::with(&["e"]).await;
    let _played = Played::start(&fleet, "e").await;
    for round in 1..=3 {
        let daemon = fleet.started("a", NEVER).await;
        fleet.call("a", "e", 7).await;
        assert_eq!(
            fleet.sums("e").await,
            (7 * (round - 1), 0),
            "not flushed yet"
        );
        stop(daemon).await;
        assert_eq!(fleet.sums("e").await, (7 * round, 0));
    }
}

#[tokio::test]
async fn an_outage_is_counted_and_afterwards_everything_arrives_once() {
    let fleet = Fleet::with(&["e"]).await;
    let _played = Played::start(&fleet, "e").await;
    let proxy = FaultProxy::start(fleet.rig.database.addr()).await;
    let through = fleet.rig.database.url_at(proxy.addr());
    let daemon = fleet.sidecar("a", OFTEN).database(&through).spawn().await;
    daemon.wait_ready().await;
    fleet.call("a", "e", 5).await;
    fleet.wait_sums("e", (5, 0)).await;

    proxy.cut().await;
    fleet.call("a", "e", 20).await;
    eventually("flush errors are counted", DEADLINE, async || {
        let errors = metric(&daemon, "extension_registry_flush_errors_total").await;
        errors.is_some_and(|errors| errors >= 2.0)
    })
    .await;
    let said = |daemon: &Daemon| {
        let log = daemon.log();
        let lines = log.iter().filter(|line| line.contains("health not saved"));
        lines.count()
    };
    eventually("it is logged", DEADLINE, async || said(&daemon) > 0).await;
    assert_eq!(said(&daemon), 1, "logged seldom");
    assert_eq!(fleet.sums("e").await, (5, 0));

    proxy.heal().await;
    fleet.call("a", "e", 3).await;
    fleet.wait_sums("e", (28, 0)).await;
    // A connection that dies between a flush and its answer: the flush is repeated, not its counts.
    for _ in 0..10 {
        fleet.call("a", "e", 3).await;
        proxy.kill_connections().await;
    }
    fleet.wait_sums("e", (58, 0)).await;
    stop(daemon).await;
    assert_eq!(fleet.sums("e").await, (58, 0));
}

#[tokio::test]
async fn a_database_that_is_late_gets_what_was_counted_before() {
    let fleet = Fleet::with(&["e"]).await;
    let _played = Played::start(&fleet, "e").await;
    let folder = tempfile::tempdir().unwrap();
    let fixture = json!({"id": "e", "type": "pre", "subject": "beamline.ext.e", "retry": 0});
    std::fs::write(folder.path().join("e.json"), fixture.to_string()).unwrap();
    let proxy = FaultProxy::start(fleet.rig.database.addr()).await;
    proxy.cut().await;
    let through = fleet.rig.database.url_at(proxy.addr());
    let daemon = fleet.sidecar("a", OFTEN).database(&through);
    let daemon = daemon.setting("SOURCE", "auto").fixtures(folder.path());
    let daemon = daemon.spawn().await;
    daemon.wait_ready().await;
    fleet.call("a", "e", 4).await;
    let order = json!({"id": "e", "action": "open"});
    let refused = fleet.ask("a", "circuit", &order).await;
    assert_eq!(refused.error(), (503, "database_unavailable".to_owned()));
    assert_eq!(fleet.state("a", "e").await, "closed", "nothing was done");

    proxy.heal().await;
    fleet.wait_sums("e", (4, 0)).await;
    stop(daemon).await;
}

#[tokio::test]
async fn an_extension_that_is_deleted_and_made_again_counts_from_zero() {
    let fleet = Fleet::with(&["e", "f"]).await;
    let _played = Played::start(&fleet, "e").await;
    let _a = fleet.started("a", OFTEN).await;
    fleet.call("a", "e", 9).await;
    fleet.wait_sums("e", (9, 0)).await;

    let sql = &fleet.rig.sql;
    sql.batch_execute("DELETE FROM extensions WHERE id = 'e'")
        .await
        .unwrap();
    eventually("the extension is gone", DEADLINE, async || {
        let reply = fleet.ask("a", "lookup", &json!({"id": "e"})).await;
        reply.header("Nats-Service-Error-Code") == Some("404")
    })
    .await;
    sql.batch_execute(&insert("e")).await.unwrap();
    let set = "UPDATE extensions SET timeout_ms = 10000";
    sql.batch_execute(set).await.unwrap();
    fleet.rig.wait_timeout_ms("e", 10_000).await;
    fleet.call("a", "e", 2).await;
    fleet.wait_sums("e", (2, 0)).await;
}

//! What an operator orders at one sidecar holds for all, and for those to come.

use super::*;
use crate::harness::FaultProxy;

fn order(action: &str) -> Value {
    json!({"id": "e", "action": action})
}

#[tokio::test]
async fn an_override_is_seen_by_all_survives_a_restart_and_ends_by_reset() {
    let fleet = Fleet::with(&["e"]).await;
    let played = Played::start(&fleet, "e").await;
    let a = fleet.started("a", NEVER).await;
    let _b = fleet.started("b", NEVER).await;
    let reply = fleet.order("a", &order("open")).await;
    assert_eq!(
        (&reply["id"], &reply["version"], &reply["state"]),
        (&json!("e"), &json!("v1"), &json!("open"))
    );
    assert_eq!(
        (&reply["forced"], &reply["retry_at"]),
        (&json!(true), &Value::Null)
    );
    assert_eq!(
        fleet.state("a", "e").await,
        "open",
        "at once at the one that answered"
    );
    fleet.wait_state("b", "e", "open").await;
    fleet.call("b", "e", 1).await;
    assert_eq!(played.answered(), 0, "no call passes");

    stop(a).await;
    let _a = fleet.started("a", NEVER).await;
    assert_eq!(
        fleet.state("a", "e").await,
        "open",
        "from the first answer on"
    );

    let reply = fleet.order("b", &order("reset")).await;
    assert_eq!(
        (&reply["state"], &reply["forced"]),
        (&json!("closed"), &json!(false))
    );
    fleet.wait_state("a", "e", "closed").await;
    fleet.call("a", "e", 1).await;
    assert_eq!(played.answered(), 1);
}

#[tokio::test]
async fn a_circuit_held_closed_does_not_open_anywhere() {
    let fleet = Fleet::with(&["e", "other"]).await;
    let played = Played::start(&fleet, "e").await;
    let _a = fleet.started("a", NEVER).await;
    let b = fleet.started("b", NEVER).await;
    played.fail(true);
    fleet.call("b", "e", 2).await;
    assert_eq!(fleet.state("b", "e").await, "open");
    fleet.order("a", &order("close")).await;
    fleet.wait_state("b", "e", "closed").await;
    for sidecar in ["a", "b"] {
        fleet.call(sidecar, "e", 10).await;
        assert_eq!(fleet.state(sidecar, "e").await, "closed");
    }
    assert_eq!(played.answered(), 22);

    // A reset that a sidecar finds at its start is older than anything it could reset.
    fleet.order("a", &order("reset")).await;
    stop(b).await;
    let _b = fleet.started("b", NEVER).await;
    fleet.call("b", "e", 2).await;
    assert_eq!(fleet.state("b", "e").await, "open");
    fleet
        .rig
        .sql
        .batch_execute("NOTIFY beamline_registry, 'override'")
        .await
        .unwrap();
    fleet
        .order("a", &json!({"id": "other", "action": "open"}))
        .await;
    fleet.wait_state("b", "other", "open").await;
    assert_eq!(
        fleet.state("b", "e").await,
        "open",
        "looked at again, and left alone"
    );
}

#[tokio::test]
async fn an_override_ends_with_its_time() {
    let fleet = Fleet::with(&["e"]).await;
    let played = Played::start(&fleet, "e").await;
    let _a = fleet.started("a", OFTEN).await;
    let _b = fleet.started("b", OFTEN).await;
    let reply = fleet
        .order("a", &json!({"id": "e", "action": "open", "ttl_seconds": 5}))
        .await;
    assert_eq!(
        (&reply["state"], &reply["forced"]),
        (&json!("open"), &reply["retry_at"])
    );
    assert!(reply["retry_at"].as_str().unwrap() > reply["opened_at"].as_str().unwrap());
    for sidecar in ["a", "b"] {
        fleet.wait_state(sidecar, "e", "closed").await;
        fleet.call(sidecar, "e", 1).await;
    }
    assert_eq!(played.answered(), 2);
    let state = "SELECT circuit_breaker_state FROM extension_health";
    fleet.wait_value(state, "closed").await;
}

#[tokio::test]
async fn an_override_that_vanishes_ends() {
    let fleet = Fleet::with(&["e"]).await;
    let _a = fleet.started("a", NEVER).await;
    fleet.order("a", &order("open")).await;
    let delete = "DELETE FROM circuit_overrides; NOTIFY beamline_registry, 'override'";
    fleet.rig.sql.batch_execute(delete).await.unwrap();
    fleet.wait_state("a", "e", "closed").await;
}

#[tokio::test]
async fn a_version_that_comes_later_is_as_it_was_ordered() {
    let fleet = Fleet::with(&["e", "other"]).await;
    let _a = fleet.started("a", NEVER).await;
    let sql = &fleet.rig.sql;
    let ordered = "INSERT INTO circuit_overrides
            (extension_id, version, action, change, set_by, actor_source)
        VALUES ('e', 'v2', 'open', gen_random_uuid(), 'test', 'database');
        NOTIFY beamline_registry, 'override'";
    sql.batch_execute(ordered).await.unwrap();
    fleet
        .order("a", &json!({"id": "other", "action": "open"}))
        .await;
    let renamed = "UPDATE extensions SET version = 'v2' WHERE id = 'e'";
    sql.batch_execute(renamed).await.unwrap();
    fleet.wait_state("a", "e", "open").await;
    // Gone and back, it is a new circuit, and still under the override.
    let gone = "UPDATE extensions SET version = 'v3' WHERE id = 'e'";
    sql.batch_execute(gone).await.unwrap();
    fleet.wait_state("a", "e", "closed").await;
    sql.batch_execute(renamed).await.unwrap();
    fleet.wait_state("a", "e", "open").await;
}

#[tokio::test]
async fn an_order_is_audited_with_its_actor() {
    let fleet = Fleet::with(&["e"]).await;
    let _a = fleet.started("a", NEVER).await;
    let client = &fleet.rig.client;
    let plain = "beamline.registry.circuit";
    let body = |actor: Option<&str>| {
        let mut body = json!({"id": "e", "action": "close", "reason": "migration"});
        if let Some(actor) = actor {
            body["actor"] = actor.into();
        }
        body.to_string()
    };
    let mut header = HeaderMap::new();
    header.insert("Beamline-Actor", "bob");
    let named = "beamline.registry.as.alice.circuit";
    for (subject, headers, field) in [
        (named, header.clone(), Some("carol")),
        (plain, header, Some("carol")),
        (plain, HeaderMap::new(), Some("carol")),
        (plain, HeaderMap::new(), None),
    ] {
        let reply = client.request_with_headers(subject, headers, body(field));
        reply.await.ok();
    }
    let entries = "SELECT string_agg(concat_ws(' ', action, changed_by, actor_source,
            changes -> 'new' ->> 'action', changes -> 'new' ->> 'reason'), ', ' ORDER BY id)
        FROM extension_audit_log WHERE action = 'circuit_override'";
    assert_eq!(
        fleet.value(entries).await,
        "circuit_override alice subject close migration, \
         circuit_override bob header close migration, \
         circuit_override carol field close migration, \
         circuit_override anonymous none close migration"
    );
}

#[tokio::test]
async fn without_the_database_an_order_is_refused_and_does_nothing() {
    let fleet = Fleet::with(&["e"]).await;
    let proxy = FaultProxy::start(fleet.rig.database.addr()).await;
    let through = fleet.rig.database.url_at(proxy.addr());
    let daemon = fleet.sidecar("a", NEVER).database(&through).spawn().await;
    daemon.wait_ready().await;
    proxy.cut().await;
    let refused = fleet.ask("a", "circuit", &order("open")).await;
    assert_eq!(refused.error(), (503, "database_unavailable".to_owned()));
    assert_eq!(fleet.state("a", "e").await, "closed");
    // What is ordered elsewhere meanwhile is found when the listener is back.
    let ordered = "INSERT INTO circuit_overrides
            (extension_id, version, action, change, set_by, actor_source)
        VALUES ('e', 'v1', 'open', gen_random_uuid(), 'test', 'database')";
    fleet.rig.sql.batch_execute(ordered).await.unwrap();
    proxy.heal().await;
    fleet.wait_state("a", "e", "open").await;
}

#[tokio::test]
async fn behind_a_lock_an_order_is_refused_and_says_so() {
    let fleet = Fleet::with(&["e"]).await;
    let _a = fleet.started("a", NEVER).await;
    let lock = "BEGIN; LOCK TABLE circuit_overrides IN ACCESS EXCLUSIVE MODE";
    fleet.rig.sql.batch_execute(lock).await.unwrap();
    let refused = fleet.ask("a", "circuit", &order("open")).await;
    assert_eq!(refused.error(), (503, "database_unavailable".to_owned()));
    let details = refused.details();
    assert_eq!(details["reason"], "locked");
    let blocked_by = details["blocked_by"].as_str().unwrap();
    assert!(blocked_by.starts_with("pid "), "{blocked_by}");
    fleet.rig.sql.batch_execute("ROLLBACK").await.unwrap();
    assert_eq!(fleet.state("a", "e").await, "closed");
    fleet.order("a", &order("open")).await;
}

/// CASES.md D16.
#[tokio::test]
async fn an_override_outlives_enable_wherever_either_is_ordered() {
    let fleet = Fleet::with(&["e"]).await;
    let played = Played::start(&fleet, "e").await;
    let _one = fleet.started("one", NEVER).await;
    let two = fleet.started("two", NEVER).await;
    fleet.order("two", &order("open")).await;
    let e = json!({"id": "e"});
    // Nothing to change; back in service; and by an update.
    for (sidecar, verb, body) in [
        ("one", "enable", e.clone()),
        ("two", "disable", e.clone()),
        ("one", "enable", e.clone()),
        ("one", "update", json!({"id": "e", "enabled": false})),
        ("two", "update", json!({"id": "e", "enabled": true})),
    ] {
        let done = fleet.ask(sidecar, verb, &body).await;
        let revision = done.ok()["revision"].clone();
        for at in ["one", "two"] {
            let seen = json!({"min_revision": revision, "wait_ms": 10_000});
            let circuits = fleet.ask(at, "circuits", &seen).await.ok();
            let circuit = &circuits["circuits"][0];
            let stands = (&circuit["state"], &circuit["forced"]);
            assert_eq!(
                stands,
                (&json!("open"), &json!(true)),
                "{at}: {verb} at {sidecar}"
            );
        }
    }
    fleet.order("one", &order("close")).await;
    played.fail(true);
    let mut revision = Value::Null;
    for verb in ["enable", "disable", "enable"] {
        let done = fleet.ask("one", verb, &e).await.ok();
        revision = done["revision"].clone();
    }
    for at in ["one", "two"] {
        // It serves again, and the last order has come.
        let seen = json!({"id": "e", "min_revision": revision, "wait_ms": 10_000});
        fleet.ask(at, "lookup", &seen).await.ok();
        fleet.wait_state(at, "e", "closed").await;
        fleet.call(at, "e", 5).await;
        assert_eq!(fleet.state(at, "e").await, "closed", "held closed at {at}");
    }
    stop(two).await;
    let _two = fleet.started("two", NEVER).await;
    fleet.call("two", "e", 5).await;
    assert_eq!(fleet.state("two", "e").await, "closed");
}

/// CASES.md D16: what no override holds is reset at every sidecar.
#[tokio::test]
async fn enable_closes_the_circuits_of_the_whole_fleet() {
    let fleet = Fleet::with(&["e"]).await;
    let played = Played::start(&fleet, "e").await;
    let _one = fleet.started("one", NEVER).await;
    let _two = fleet.started("two", NEVER).await;
    played.fail(true);
    for at in ["one", "two"] {
        fleet.call(at, "e", 2).await;
        assert_eq!(fleet.state(at, "e").await, "open");
    }
    let enabled = fleet.ask("one", "enable", &json!({"id": "e"})).await.ok();
    assert_eq!(fleet.state("one", "e").await, "closed", "before the answer");
    fleet.wait_state("two", "e", "closed").await;
    // It was no change of the record, and what calls find out afterwards stands.
    assert_eq!(enabled["revision"], 2);
    fleet.call("one", "e", 2).await;
    let other = json!({"id": "e", "action": "reset", "version": "v1"});
    assert_eq!(fleet.state("one", "e").await, "open");
    fleet.order("two", &other).await;
    fleet.wait_state("one", "e", "closed").await;
}

/// One that was disabled and enabled again while a sidecar saw nothing is reset there all the same.
#[tokio::test]
async fn enable_closes_circuits_where_nobody_saw_it_disabled() {
    let fleet = Fleet::with(&["e"]).await;
    let played = Played::start(&fleet, "e").await;
    let _one = fleet.started("one", NEVER).await;
    let proxy = FaultProxy::start(fleet.rig.database.addr()).await;
    let through = fleet.rig.database.url_at(proxy.addr());
    let two = fleet.sidecar("two", NEVER).database(&through).spawn().await;
    two.wait_ready().await;
    played.fail(true);
    for which in [json!({"id": "e"}), json!({"ids": ["e"]})] {
        fleet.call("two", "e", 2).await;
        assert_eq!(fleet.state("two", "e").await, "open");
        proxy.cut().await;
        for verb in ["disable", "enable"] {
            fleet.ask("one", verb, &which).await.ok();
        }
        proxy.heal().await;
        fleet.wait_state("two", "e", "closed").await;
    }
}

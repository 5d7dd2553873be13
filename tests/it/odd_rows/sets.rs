//! One bad row among those that a sidecar reads as a set.

use super::*;
use crate::harness::daemon::{field, message};

/// An override as an operator would write it by hand.
fn forced(id: &str, version: &str, until: &str) -> String {
    format!(
        "INSERT INTO circuit_overrides
             (extension_id, version, action, change, until, set_by, actor_source)
         VALUES ('{id}', '{version}', 'open', gen_random_uuid(), {until}, 'test', 'database');"
    )
}

async fn wait_state(rig: &Rig, sidecar: &str, id: &str, wanted: &str) {
    let what = format!("{id} is {wanted} at {sidecar}");
    eventually(&what, DEADLINE, async || {
        let found = ask(rig, sidecar, "lookup", &json!({ "id": id })).await.ok();
        let state = found["circuit_breaker_state"].clone();
        if state == wanted { Ok(()) } else { Err(state) }
    })
    .await;
}

/// CASES.md D5.
#[tokio::test]
async fn an_override_for_ever_holds_for_ever_and_a_bad_one_costs_itself() {
    let rig = Rig::start().await;
    let ids = ["far", "infinite", "endless", "over", "sound"];
    add(&rig, &ids, &[]).await;
    let (one, two) = tokio::join!(sidecar(&rig, "one"), sidecar(&rig, "two"));
    run(
        &rig.sql,
        &[
            forced("far", "v1", "'12026-01-01'"),
            forced("infinite", "v1", "'infinity'"),
            forced("endless", "v1", "NULL"),
            forced("over", "v1", "'-infinity'"),
            forced("no id", "v1", "NULL"),
            forced("sound", "no version", "'infinity'"),
            forced("sound", "v77", "NULL"),
            forced("nobody", "v1", "'12026-01-01'"),
            forced("sound", "v1", "now() + interval '1 hour'"),
            "NOTIFY beamline_registry, 'override'".to_owned(),
        ]
        .concat(),
    )
    .await;
    for name in ["one", "two"] {
        for id in ["far", "infinite", "endless", "sound"] {
            wait_state(&rig, name, id, "open").await;
        }
        wait_state(&rig, name, "over", "closed").await;
        let circuits = ask(&rig, name, "circuits", &json!({})).await.ok();
        let row = |id: &str| {
            let rows = circuits["circuits"].as_array().unwrap();
            rows.iter().find(|row| row["id"] == id).unwrap().clone()
        };
        for id in ["far", "infinite", "endless"] {
            let row = row(id);
            assert_eq!(
                (&row["forced"], &row["retry_at"]),
                (&json!(true), &Value::Null)
            );
        }
        assert_eq!(row("sound")["forced"], row("sound")["retry_at"]);
        assert_eq!(
            quarantined(&rig, name).await,
            [
                (
                    "circuit_overrides/no id/v1".to_owned(),
                    "`extension_id` must match [A-Za-z0-9][A-Za-z0-9_-]{0,127}".to_owned()
                ),
                (
                    "circuit_overrides/sound/no version".to_owned(),
                    "`version` must match [A-Za-z0-9][A-Za-z0-9._-]{0,63}".to_owned()
                ),
            ]
        );
    }
    for daemon in [&one, &two] {
        daemon
            .wait_log("the fault", |entry| {
                let origin = field(entry, "origin")?.as_str()?;
                (message(entry).is_some() && origin == "circuit_overrides/no id/v1").then_some(())
            })
            .await;
        let told = daemon
            .log()
            .iter()
            .filter(|line| line.contains("circuit_overrides/no id"))
            .count();
        assert_eq!(told, 1, "once: {:#?}", daemon.log());
    }

    two.sigterm();
    assert_eq!(two.wait_exit(DEADLINE).await, 0);
    let _two = sidecar(&rig, "two").await;
    for id in ["far", "infinite", "endless", "sound"] {
        wait_state(&rig, "two", id, "open").await;
    }
    let repaired = "DELETE FROM circuit_overrides WHERE extension_id <> 'far';
        NOTIFY beamline_registry, 'override'";
    run(&rig.sql, repaired).await;
    for name in ["one", "two"] {
        wait_state(&rig, name, "sound", "closed").await;
        assert_eq!(
            ask(&rig, name, "lookup", &json!({"id": "far"})).await.ok()["circuit_breaker_state"],
            "open"
        );
        eventually("nothing is skipped any more", DEADLINE, async || {
            quarantined(&rig, name).await.is_empty()
        })
        .await;
    }
}

/// CASES.md D5: what a start takes over, and what the others counted.
#[tokio::test]
async fn a_start_takes_over_what_can_be_used() {
    let rig = Rig::start().await;
    add(&rig, &["a", "held", "no id"], &[]).await;
    let boots = "INSERT INTO sidecar_boots (boot, instance_id, flush_interval, sequence, flushed_at)
            VALUES ('00000000-0000-0000-0000-000000000001', '', interval '1 hour', 1, now()),
                ('00000000-0000-0000-0000-000000000002', 'x', interval '-178000000 years', 1, now()),
                ('00000000-0000-0000-0000-000000000003', 'y', interval '178000000 years', 1,
                    'infinity');
        INSERT INTO extension_circuit_reports
            (boot, extension_id, version, state, opened_at, retry_at, half_open_requests)
        SELECT boot, id, version, 'open', '-infinity', 'infinity', 2147483647
            FROM sidecar_boots, (VALUES ('held', 'v1'), ('held', 'no version'), ('no id', 'v1'))
                AS held (id, version);
        INSERT INTO extension_health (extension_id, success_count, failure_count, last_success)
            VALUES ('no id', 1, 1, 'infinity'), ('held', NULL, -5, '12026-01-01')";
    run(&rig.sql, boots).await;
    let _a = Player::start(&rig.nats.url(), "a").await;
    let _one = sidecar(&rig, "one").await;
    wait_state(&rig, "one", "held", "open").await;
    wait_flushed(&rig, "one").await;
    let health = ask(&rig, "one", "health", &json!({"id": "held"}))
        .await
        .ok();
    let figures = &health["health"];
    assert_eq!(
        (
            &figures["success_count"],
            &figures["failure_count"],
            &figures["last_success"]
        ),
        (&json!(0), &json!(0), &Value::Null)
    );
    let origins: Vec<_> = quarantined(&rig, "one")
        .await
        .into_iter()
        .map(|it| it.0)
        .collect();
    assert_eq!(
        origins,
        [
            "extension_circuit_reports/held/no version",
            "extension_circuit_reports/no id/v1",
            "extension_health/no id",
            "extensions/no id",
        ]
    );
}

/// What sidecars have applied already is edited by hand: a running one agrees with one that starts.
#[tokio::test]
async fn an_override_that_is_edited_holds_as_it_is_then() {
    let rig = Rig::start().await;
    add(&rig, &["a"], &[]).await;
    let names = ["one", "two"];
    let _sidecars = tokio::join!(sidecar(&rig, names[0]), sidecar(&rig, names[1]));
    let order = json!({"id": "a", "action": "open", "ttl_seconds": 3600});
    ask(&rig, names[0], "circuit", &order).await.ok();
    for name in names {
        wait_state(&rig, name, "a", "open").await;
    }
    let for_ever = "UPDATE circuit_overrides SET until = 'infinity'";
    run(&rig.sql, for_ever).await;
    for name in names {
        eventually(&format!("for ever at {name}"), DEADLINE, async || {
            let circuits = ask(&rig, name, "circuits", &json!({})).await.ok();
            let row = circuits["circuits"][0].clone();
            let same = row["forced"] == true && row["retry_at"].is_null();
            if same { Ok(()) } else { Err(row) }
        })
        .await;
    }
    run(&rig.sql, "UPDATE circuit_overrides SET action = 'close'").await;
    for name in names {
        wait_state(&rig, name, "a", "closed").await;
    }
}

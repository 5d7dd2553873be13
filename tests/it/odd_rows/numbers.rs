//! Numbers that nothing can be added to, and claims that nobody can have made.

use futures_util::future::join_all;

use super::*;
use crate::events_seen::EventsSeen;

/// CASES.md D5.
#[tokio::test]
async fn counts_out_of_range_cost_no_other_extension_its_flush() {
    let rig = Rig::start().await;
    add(&rig, &["a", "full", "below"], &[]).await;
    let url = rig.nats.url();
    let (_a, _full, _below) = tokio::join!(
        Player::start(&url, "a"),
        Player::start(&url, "full"),
        Player::start(&url, "below")
    );
    run(
        &rig.sql,
        "INSERT INTO extension_health (extension_id, success_count, failure_count, latency_count,
             latency_total_us)
         VALUES ('full', 9223372036854775807, 9223372036854775807, 9223372036854775807,
                 9223372036854775807),
             ('below', -9223372036854775808, -1, -9223372036854775808, -1)",
    )
    .await;
    let (_one, _two) = tokio::join!(sidecar(&rig, "one"), sidecar(&rig, "two"));
    for name in ["one", "two"] {
        for id in ["full", "below"] {
            ask(&rig, name, "invoke", &json!({"id": id, "payload": {}}))
                .await
                .ok();
        }
        wait_flushed(&rig, name).await;
    }
    eventually(
        "what was below zero counts from zero",
        DEADLINE,
        async || {
            let counts = "SELECT string_agg(concat_ws(' ', extension_id, success_count), ', '
            ORDER BY extension_id) FROM extension_health WHERE extension_id <> 'a'";
            let counts = value(&rig.sql, counts).await;
            let right = counts == "below 2, full 9223372036854775807";
            if right { Ok(()) } else { Err(counts) }
        },
    )
    .await;
    // So does what this sidecar's own part is less than.
    let own = "UPDATE extension_health_reports
        SET success_count = -9223372036854775808, latency_total_us = 9223372036854775807";
    run(&rig.sql, own).await;
    for name in ["one", "two"] {
        wait_flushed(&rig, name).await;
        for id in ["a", "full", "below"] {
            ask(&rig, name, "health", &json!({ "id": id })).await.ok();
        }
    }
}

#[tokio::test]
async fn attempts_out_of_range_keep_no_other_rollout_from_being_halted() {
    let rig = Rig::start().await;
    add(&rig, &["full", "failing"], &[]).await;
    run(
        &rig.sql,
        r#"INSERT INTO extension_versions (id, version, subject, rollout)
           SELECT id, 'v2', 'beamline.ext.nobody',
               '{"by": "tenant_id", "percent": 100, "halt": {"min_requests": 10}}'
           FROM extensions;
           INSERT INTO rollout_attempts (batch, place, extension_id, version, revision, counted_at,
               success_count, failure_count)
           SELECT gen_random_uuid(), n, 'full', 'v' || n % 2 + 1, 1000, now(),
               9223372036854775807, -9223372036854775808
           FROM generate_series(1, 4) AS n"#,
    )
    .await;
    let builder = rig.daemon().setting("INSTANCE_ID", "one");
    let builder = builder
        .setting("CIRCUIT_BREAKER_ENABLED", false)
        .setting("HEALTH_BASED_ROUTING_ENABLED", false)
        .setting("HEALTH_FLUSH_INTERVAL_SECONDS", "100ms");
    let _one = ready(builder).await;
    let share = async |id: &str| {
        let sql = format!("SELECT rollout ->> 'percent' FROM extension_versions WHERE id = '{id}'");
        value(&rig.sql, &sql).await
    };
    eventually("it has no share any more", DEADLINE, async || {
        for id in ["full", "failing"] {
            let call = json!({"id": id, "payload": {}, "context": {"tenant_id": "t"}});
            ask(&rig, "one", "invoke", &call).await;
        }
        let left = share("failing").await;
        if left == "0" { Ok(()) } else { Err(left) }
    })
    .await;
    assert_eq!(share("full").await, "100");
}

/// CASES.md D5: the number of a flush, and who holds the probes.
#[tokio::test]
async fn a_boot_whose_row_is_wrong_goes_on_as_another() {
    let rig = Rig::start().await;
    add(&rig, &["a"], &[]).await;
    let _a = Player::start(&rig.nats.url(), "a").await;
    let _one = sidecar(&rig, "one").await;
    for wrong in [
        "sequence = 9223372036854775807",
        "sequence = -9223372036854775808",
        "held_back = ARRAY[NULL, 'no id', 'nobody']::text[]",
        "folded_at = 'infinity'",
        "flushed_at = '-infinity', flush_interval = interval '-178000000 years'",
    ] {
        wait_flushed(&rig, "one").await;
        run(&rig.sql, &format!("UPDATE sidecar_boots SET {wrong}")).await;
        wait_flushed(&rig, "one").await;
    }
    wait_flushed(&rig, "one").await;
}

/// CASES.md D5.
#[tokio::test]
async fn a_claim_that_nobody_can_have_made_stops_no_events() {
    let rig = Rig::start().await;
    add(&rig, &["a"], &[]).await;
    let events = EventsSeen::start(&rig.nats).await;
    let one = sidecar(&rig, "one").await;
    for (turn, revision) in ["9223372036854775807", "-9223372036854775808"]
        .into_iter()
        .enumerate()
    {
        run(
            &rig.sql,
            &format!("UPDATE event_claims SET revision = {revision}"),
        )
        .await;
        eventually("events go on", DEADLINE, async || {
            run(&rig.sql, "UPDATE extensions SET retry = (retry + 1) % 5").await;
            events.about("a").len() > turn
        })
        .await;
    }
    run(&rig.sql, "DELETE FROM event_claims").await;
    run(&rig.sql, "UPDATE extensions SET retry = (retry + 1) % 5").await;
    one.wait_line("what to do", |line| {
        line.contains("event_claims has lost its row").then_some(())
    })
    .await;
}

/// CASES.md B12: who waits for a lock takes no connection that others need.
#[tokio::test]
async fn reads_of_the_audit_leave_connections_to_the_rest() {
    let rig = Rig::start().await;
    add(&rig, &["a"], &[]).await;
    let _a = Player::start(&rig.nats.url(), "a").await;
    let _one = sidecar(&rig, "one").await;
    wait_flushed(&rig, "one").await;
    let locked = rig.database.connect().await;
    run(
        &locked,
        "BEGIN; LOCK TABLE extension_audit_log IN ACCESS EXCLUSIVE MODE",
    )
    .await;
    let empty = json!({});
    let reads = join_all((0..16).map(|_| ask(&rig, "one", "audit", &empty)));
    let work = async {
        for _ in 0..3 {
            wait_flushed(&rig, "one").await;
        }
        ask(&rig, "one", "reload", &empty).await.ok();
        run(&locked, "ROLLBACK").await;
    };
    let (replies, ()) = tokio::join!(reads, work);
    for reply in replies {
        // Those that waited for too long say so.
        if reply.header("Nats-Service-Error-Code").is_some() {
            assert_eq!(reply.error(), (503, "database_unavailable".to_owned()));
        }
    }
}

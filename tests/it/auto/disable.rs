//! An open circuit takes its extension out of service, for everybody and not more than allowed.

use std::time::{Duration, Instant};

use beamline_registry::domain::ids::ExtensionId;
use beamline_registry::service::health_store::{Flush, HealthReports, Report};

use super::*;
use crate::events_seen::{EventsSeen, assert_about};
use crate::harness::FaultProxy;
use crate::health_store::{report, store};
use crate::rig::metric;
use crate::schema::revision;

const SWITCHED: [&str; 2] = ["auto_disabled", "auto_enabled"];
const KEPT: &str = "not disabled automatically";

#[tokio::test]
async fn what_fails_leaves_service_and_returns_once_for_the_whole_fleet() {
    let rig = Rig::start().await;
    add(&rig, &["alone", "b"], &[]).await;
    add(&rig, &["backed"], &[("fallback", r#"'["b"]'"#)]).await;
    let events = EventsSeen::start(&rig.nats).await;
    let url = rig.nats.url();
    let enabling = |name| disabling(&rig, name).setting("AUTO_ENABLE_ON_CIRCUIT_CLOSE", true);
    let (one, two) = tokio::join!(ready(enabling("pod-1")), ready(enabling("pod-2")));
    let (alone, backed, _b) = tokio::join!(
        Player::start(&url, "alone"),
        Player::start(&url, "backed"),
        Player::start(&url, "b")
    );
    alone.fail(500);
    backed.fail(500);

    for _ in 0..3 {
        for pod in ["pod-1", "pod-2"] {
            tokio::join!(invoke(&rig, pod, "alone"), invoke(&rig, pod, "backed"));
        }
    }
    for pod in ["pod-1", "pod-2"] {
        wait_reason(&rig, pod, "alone", Some("auto_disabled")).await;
        // Out of service, it is no trial's turn either: only the fallback answers.
        eventually("the machine has switched it", DEADLINE, async || {
            automatic(&rig, "backed").await == "auto_disabled"
        })
        .await;
        let now = revision(&rig.sql).await;
        let seen = json!({"id": "backed", "min_revision": now, "wait_ms": 10_000});
        let subject = format!("beamline.registry.local.{pod}.lookup");
        let seen = rig.client.request_json(&subject, &seen).await;
        assert_ne!(error_code(&seen), Some("412"), "{pod} has not seen it");
        let reply = invoke(&rig, pod, "backed").await;
        reply.ok();
        assert_eq!(reply.header("Beamline-Extension-Id"), Some("b"));
        assert_eq!(reply.header("Beamline-Fallback-From"), Some("backed"));
    }

    alone.recover();
    backed.recover();
    for pod in ["pod-1", "pod-2"] {
        for id in ["alone", "backed"] {
            eventually("it answers itself", DEADLINE, async || {
                let reply = invoke(&rig, pod, id).await;
                let own = reply.header("Beamline-Extension-Id") == Some(id);
                if own { Ok(()) } else { Err(reply) }
            })
            .await;
            let found = lookup(&rig, pod, id).await.ok();
            assert_eq!(found["circuit_breaker_state"], "closed", "as good as new");
        }
    }

    for id in ["alone", "backed"] {
        assert_eq!(automatic(&rig, id).await, "auto_disabled auto_enabled");
        events.wait(id, &SWITCHED, 2).await;
    }
    // Whoever might have told it a second time has told this after it.
    run(&rig.sql, "UPDATE extensions SET retry = 1 WHERE id = 'b'").await;
    events.wait("b", &["extension_updated"], 1).await;
    let epoch = value(&rig.sql, "SELECT epoch FROM registry_revision").await;
    for id in ["alone", "backed"] {
        let told = events.wait(id, &SWITCHED, 2).await;
        let kinds: Vec<_> = told.iter().map(|(kind, _)| kind.as_str()).collect();
        assert_eq!(kinds, SWITCHED);
        for (kind, event) in &told {
            assert_about(event, kind, id);
            assert_eq!(event["data"]["changed"], json!(["auto_disabled"]));
            let revision = &event["data"]["revision"];
            assert_eq!(event["id"], format!("{epoch}-{revision}-1"));
        }
        let reason = &told[0].1["data"]["reason"];
        let why = ["reason", "version", "circuit", "last_error"].map(|name| &reason[name]);
        assert_eq!(
            why,
            ["circuit_opened", "v1", "consecutive_failures", "error"]
        );
        assert_eq!(reason["failure_count"], 3);
        assert_eq!(reason["health"]["success_count"], 0);
        assert_eq!(reason["health"]["success_rate"], 0.0);
        assert_eq!(told[1].1["data"]["reason"]["reason"], "probe_answered");
    }
    let mut disabled = 0.0;
    for daemon in [&one, &two] {
        disabled += metric(daemon, "extension_health_auto_disabled_total")
            .await
            .unwrap();
    }
    assert!((disabled - 2.0).abs() < f64::EPSILON, "{disabled}");
}

/// It restores the circuit as it was when the extension was taken out of service.
#[tokio::test]
async fn what_is_enabled_again_is_called_by_a_sidecar_that_restarted_meanwhile() {
    let rig = Rig::start().await;
    add(&rig, &["a"], &[]).await;
    let lasting = || {
        let builder = disabling(&rig, "pod-1");
        builder
            .setting("CIRCUIT_BREAKER_TIMEOUT_SECONDS", 300)
            .setting("CIRCUIT_BREAKER_MAX_TIMEOUT_SECONDS", 300)
    };
    let daemon = ready(lasting()).await;
    for _ in 0..3 {
        invoke(&rig, "pod-1", "a").await;
    }
    wait_reason(&rig, "pod-1", "a", Some("auto_disabled")).await;
    daemon.sigterm();
    assert_eq!(daemon.wait_exit(DEADLINE).await, 0);
    let held = "SELECT count(*) FROM extension_circuit_reports";
    assert_eq!(value(&rig.sql, held).await, "1");

    let _restarted = ready(lasting()).await;
    wait_reason(&rig, "pod-1", "a", Some("auto_disabled")).await;
    let _player = Player::start(&rig.nats.url(), "a").await;
    let enable = "SELECT registry_auto_enable('a', NULL, '{}', 'pod-2')";
    run(&rig.sql, enable).await;
    wait_reason(&rig, "pod-1", "a", None).await;
    eventually("it is called", DEADLINE, async || {
        let reply = invoke(&rig, "pod-1", "a").await;
        if error_code(&reply).is_none() {
            Ok(())
        } else {
            Err(reply)
        }
    })
    .await;
}

#[tokio::test]
async fn many_that_fail_at_once_leave_service_up_to_the_cap() {
    let rig = Rig::start().await;
    let ids: Vec<_> = (1..=20).map(|n| format!("e{n}")).collect();
    let ids: Vec<_> = ids.iter().map(String::as_str).collect();
    add(&rig, &ids, &[]).await;
    let capped = |name| {
        let builder = disabling(&rig, name).setting("AUTO_DISABLE_MAX_PERCENT", 25);
        builder
            .setting("CIRCUIT_BREAKER_TIMEOUT_SECONDS", 60)
            .setting("CIRCUIT_BREAKER_MAX_TIMEOUT_SECONDS", 60)
    };
    let (one, two) = tokio::join!(ready(capped("pod-1")), ready(capped("pod-2")));
    // Nobody plays twelve of them; who is there answers.
    let mut players = Vec::new();
    for id in &ids[12..] {
        players.push(Player::start(&rig.nats.url(), id).await);
    }
    let calls = ["pod-1", "pod-2"].map(|pod| {
        let (rig, ids) = (&rig, &ids);
        async move {
            for _ in 0..3 {
                futures_util::future::join_all(ids.iter().map(|id| invoke(rig, pod, id))).await;
            }
        }
    });
    futures_util::future::join_all(calls).await;

    let disabled = "SELECT count(*) FROM extensions WHERE auto_disabled";
    eventually("the cap is reached", DEADLINE, async || {
        value(&rig.sql, disabled).await == "5"
    })
    .await;
    let rows = rig
        .sql
        .query("SELECT id FROM extensions WHERE auto_disabled", &[]);
    let out: Vec<String> = rows.await.unwrap().iter().map(|row| row.get(0)).collect();
    let kept = ids[..12]
        .iter()
        .filter(|id| !out.iter().any(|it| it == *id));
    for id in kept {
        eventually("both have asked and been refused", DEADLINE, async || {
            logged(&one, KEPT, id) == 1 && logged(&two, KEPT, id) == 1
        })
        .await;
    }
    assert_eq!(value(&rig.sql, disabled).await, "5");
    let ever = "SELECT count(*) FROM extension_audit_log WHERE action = 'auto_disabled'";
    assert_eq!(value(&rig.sql, ever).await, "5");
    assert!(ids[12..].iter().all(|id| !out.iter().any(|it| it == id)));
}

#[tokio::test]
async fn what_another_sidecar_has_just_seen_alive_stays_until_its_next_opening() {
    let rig = Rig::start().await;
    add(&rig, &["a"], &[]).await;
    let elsewhere = store(&rig.database, "elsewhere");
    let interval = Duration::from_secs(5);
    let boot = elsewhere.register(interval).await.unwrap();
    let mut seen = report(ExtensionId::parse("a").unwrap(), 1, 0);
    seen.last_answer = Some(Instant::now());
    let flush = Flush {
        boot: &boot,
        sequence: 1,
        interval,
        reports: &[seen],
        circuits: &[],
    };
    elsewhere.flush(flush).await.unwrap();

    let builder = disabling(&rig, "pod-1").setting("HEALTH_FLUSH_INTERVAL_SECONDS", "1s");
    let daemon = ready(builder).await;
    for _ in 0..3 {
        invoke(&rig, "pod-1", "a").await;
    }
    eventually("it is kept", DEADLINE, async || {
        logged(&daemon, KEPT, "a") == 1
    })
    .await;
    assert_eq!(automatic(&rig, "a").await, "");

    let sql = "UPDATE extension_health_reports SET last_answer = now() - interval '61 s'";
    run(&rig.sql, sql).await;
    eventually("a trial fails, and it goes", DEADLINE, async || {
        invoke(&rig, "pod-1", "a").await;
        automatic(&rig, "a").await == "auto_disabled"
    })
    .await;
}

/// What it saw is only known once it is flushed.
#[tokio::test]
async fn what_another_sidecar_flushes_after_the_opening_keeps_it_in_service() {
    let rig = Rig::start().await;
    add(&rig, &["a"], &[]).await;
    let elsewhere = store(&rig.database, "elsewhere");
    let interval = Duration::from_secs(5);
    let boot = elsewhere.register(interval).await.unwrap();
    let flush = async |sequence, reports: &[Report]| {
        let flush = Flush {
            boot: &boot,
            sequence,
            interval,
            reports,
            circuits: &[],
        };
        elsewhere.flush(flush).await.unwrap();
    };
    flush(1, &[]).await;
    // How long the others' flushes are waited for: this interval, or half of the time that the circuit
    // stays open.
    let builder = disabling(&rig, "pod-1")
        .setting("HEALTH_FLUSH_INTERVAL_SECONDS", "6s")
        .setting("CIRCUIT_BREAKER_TIMEOUT_SECONDS", 60)
        .setting("CIRCUIT_BREAKER_MAX_TIMEOUT_SECONDS", 60);
    let daemon = ready(builder).await;
    let seen = report(ExtensionId::parse("a").unwrap(), 1, 0);
    for _ in 0..3 {
        invoke(&rig, "pod-1", "a").await;
    }
    eventually("its circuit opens", DEADLINE, async || {
        logged(&daemon, "circuit opened", "a") == 1
    })
    .await;
    flush(2, &[seen]).await;
    eventually("it is kept", DEADLINE, async || {
        logged(&daemon, KEPT, "a") == 1
    })
    .await;
    assert_eq!(automatic(&rig, "a").await, "");
}

/// Whoever may report can open one sidecar's circuit, and decides nothing for the fleet: neither that an
/// extension leaves service nor that a dead one stays.
#[tokio::test]
async fn what_routers_report_decides_nothing_for_the_fleet() {
    let rig = Rig::start().await;
    add(&rig, &["a"], &[]).await;
    let quick = |builder: Builder| builder.setting("HEALTH_FLUSH_INTERVAL_SECONDS", "100ms");
    let (one, _two) = tokio::join!(
        ready(quick(disabling(&rig, "pod-1"))),
        ready(quick(disabling(&rig, "pod-2")))
    );
    let report = async |pod: &str, outcome: &str| {
        let body = json!({"id": "a", "outcome": outcome});
        let subject = format!("beamline.registry.local.{pod}.report");
        rig.client.request_json(&subject, &body).await.ok();
    };
    for _ in 0..3 {
        report("pod-1", "failure").await;
    }
    eventually("its circuit opens", DEADLINE, async || {
        logged(&one, "circuit opened", "a") == 1
    })
    .await;
    // A failed trial of our own is no proof yet, and further reports are none at all.
    eventually("a trial", DEADLINE, async || {
        let reply = invoke(&rig, "pod-1", "a").await;
        reply.details()["reason"] != "circuit_open"
    })
    .await;
    tokio::time::sleep(Duration::from_millis(350)).await;
    let flushed = "SELECT failure_count >= 5 FROM extension_health WHERE extension_id = 'a'";
    eventually("they are flushed", DEADLINE, async || {
        report("pod-1", "failure").await;
        value(&rig.sql, flushed).await == "true"
    })
    .await;
    let shown =
        "SELECT circuit_breaker_state || ' ' || (SELECT count(*) FROM extension_circuit_reports)
        FROM extension_health WHERE extension_id = 'a'";
    assert_eq!(value(&rig.sql, shown).await, "closed 0");
    assert_eq!(automatic(&rig, "a").await, "");

    // Dead it is, and another sidecar hears that it is well.
    report("pod-2", "success").await;
    let heard = "SELECT success_count FROM extension_health WHERE extension_id = 'a'";
    eventually("that is flushed", DEADLINE, async || {
        value(&rig.sql, heard).await == "1"
    })
    .await;
    eventually("what our own calls show counts", DEADLINE, async || {
        invoke(&rig, "pod-1", "a").await;
        automatic(&rig, "a").await == "auto_disabled"
    })
    .await;
}

#[tokio::test]
async fn a_database_that_is_away_is_asked_again_while_the_circuit_is_open() {
    let rig = Rig::start().await;
    add(&rig, &["a"], &[]).await;
    let proxy = FaultProxy::start(rig.database.addr()).await;
    let builder = disabling(&rig, "pod-1")
        .database(&rig.database.url_at(proxy.addr()))
        .setting("CIRCUIT_BREAKER_TIMEOUT_SECONDS", 60)
        .setting("CIRCUIT_BREAKER_MAX_TIMEOUT_SECONDS", 60);
    let daemon = ready(builder).await;
    proxy.cut().await;
    for _ in 0..3 {
        invoke(&rig, "pod-1", "a").await;
    }
    let failed = |entry: &Value| (field(entry, "what")? == "auto-disabling").then_some(());
    daemon.wait_log("a failed attempt", failed).await;
    proxy.heal().await;
    wait_reason(&rig, "pod-1", "a", Some("auto_disabled")).await;
}

#[tokio::test]
async fn nothing_is_disabled_unless_it_is_asked_for() {
    let rig = Rig::start().await;
    add(&rig, &["a"], &[]).await;
    let daemon = ready(sidecar(&rig, "pod-1")).await;
    for _ in 0..3 {
        invoke(&rig, "pod-1", "a").await;
    }
    eventually("it opened", DEADLINE, async || {
        logged(&daemon, "circuit opened", "a") == 1
    })
    .await;
    daemon.sigterm();
    assert_eq!(daemon.wait_exit(DEADLINE).await, 0);
    assert_eq!(automatic(&rig, "a").await, "");
}

/// CASES.md D5: one that cannot be decided on costs itself only.
#[tokio::test]
async fn one_that_somebody_keeps_locked_holds_up_no_other() {
    let rig = Rig::start().await;
    add(&rig, &["a", "b", "c"], &[]).await;
    let _one = ready(disabling(&rig, "pod-1")).await;
    run(
        &rig.sql,
        "BEGIN; SELECT FROM extensions WHERE id = 'a' FOR UPDATE",
    )
    .await;
    // Nobody plays them; a comes first, and its circuit stays open.
    for id in ["a", "b", "c"] {
        for _ in 0..3 {
            invoke(&rig, "pod-1", id).await;
        }
    }
    for id in ["b", "c"] {
        wait_reason(&rig, "pod-1", id, Some("auto_disabled")).await;
    }
    assert_eq!(automatic(&rig, "a").await, "");
    run(&rig.sql, "ROLLBACK").await;
    wait_reason(&rig, "pod-1", "a", Some("auto_disabled")).await;
}

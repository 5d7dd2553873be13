//! How sure a halt is, and how soon: `just soak rollouts::figures`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::HeaderMap;
use beamline_registry::domain::halting::{failure_rate, least_failure_rate};
use beamline_registry::domain::health::Counts;
use tokio::task::JoinSet;
use tokio::time::interval;

use super::*;
use crate::harness::{Client, flood};

/// Attempts that were reported, of all extensions and versions.
const REPORTED: &str = "SELECT coalesce(sum(success_count + failure_count), 0)
    FROM rollout_attempts";

/// Extensions with a canary each.
const RUNS: usize = 200;
/// Of each run, by a tenant of its own each; a tenth is the canary's.
const CALLS: usize = 5_000;
/// In flight.
const IN_FLIGHT: usize = 128;
/// Of the calls of both versions fail.
const BOTH_FAIL: f64 = 0.03;

/// Fails by chance, one call independent of the others.
fn sometimes() -> Behaviour {
    Behaviour::each(|_, _| match rand::random_bool(BOTH_FAIL) {
        true => Behaviour::error(500),
        false => Behaviour::Echo,
    })
}

/// So many calls from number `first` on, of all extensions in turn; how many failed. Nothing but the
/// extension's own error is among them.
async fn calls(rig: &Rig, first: usize, count: usize) -> usize {
    let request = |number: usize| {
        let number = first + number;
        let (run, tenant) = (number % RUNS, number / RUNS);
        let body =
            format!(r#"{{"id":"r{run}","payload":{{}},"context":{{"tenant_id":"t{tenant}"}}}}"#);
        (HeaderMap::new(), body.into())
    };
    let mut failed = 0;
    let each = |_: usize, reply: Reply| {
        if let Some(code) = reply.header("Nats-Service-Error-Code") {
            assert_eq!(code, "500", "{reply:?}");
            assert_eq!(reply.header("Beamline-Extension-Error"), Some("1"));
            failed += 1;
        }
    };
    let (url, subject) = (rig.nats.url(), "beamline.registry.invoke");
    flood(&url, subject, (count, IN_FLIGHT), request, each).await;
    failed
}

async fn wait_reported(rig: &Rig, wanted: usize) {
    eventually("all attempts are reported", DEADLINE, async || {
        let reported = value(&rig.sql, REPORTED).await;
        if reported == wanted.to_string() {
            Ok(())
        } else {
            Err(reported)
        }
    })
    .await;
}

/// What was reported of each run: of the canary, and of the current version.
async fn figures(rig: &Rig) -> Vec<[Counts; 2]> {
    let sql = "SELECT extension_id, version, sum(success_count)::bigint,
            sum(failure_count)::bigint
        FROM rollout_attempts GROUP BY extension_id, version";
    let mut runs = BTreeMap::<String, [Counts; 2]>::new();
    for row in rig.sql.query(sql, &[]).await.unwrap() {
        let is_current = row.get::<_, String>(1) != "v2";
        let counts = &mut runs.entry(row.get(0)).or_default()[usize::from(is_current)];
        counts.successes = row.get::<_, i64>(2).cast_unsigned();
        counts.failures = row.get::<_, i64>(3).cast_unsigned();
    }
    runs.into_values().collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a million calls: just soak rollouts::figures"]
async fn two_hundred_canaries_as_good_as_the_current_version_are_never_halted() {
    let rig = Rig::start().await;
    let last = RUNS - 1;
    run(
        &rig.sql,
        &format!(
            "INSERT INTO extensions (id, type, subject, retry, timeout_ms)
             SELECT 'r' || n, 'pre', 'beamline.ext.current.r' || n, 0, 10000
             FROM generate_series(0, {last}) n"
        ),
    )
    .await;
    let rollout = r#"{"by":"tenant_id","percent":10,"halt":{}}"#;
    run(
        &rig.sql,
        &format!(
            "INSERT INTO extension_versions (id, version, subject, rollout)
             SELECT 'r' || n, 'v2', 'beamline.ext.canary.r' || n, '{rollout}'
             FROM generate_series(0, {last}) n"
        ),
    )
    .await;
    let events = EventsSeen::start(&rig.nats).await;
    let url = rig.nats.url();
    let _current = Extension::at(&url, "beamline.ext.current.*", sometimes()).await;
    let canary = Extension::at(&url, "beamline.ext.canary.*", sometimes()).await;
    let sidecar = sidecar(rig.daemon(), "pod-1")
        .setting("HEALTH_FLUSH_INTERVAL_SECONDS", 1)
        // So that every look compares all calls until then.
        .setting("CIRCUIT_BREAKER_WINDOW_SECONDS", 3600);
    let _daemon = ready(sidecar).await;

    let begun = Instant::now();
    let total = RUNS * CALLS;
    let failed = calls(&rig, 0, total).await;
    let took = begun.elapsed();
    wait_reported(&rig, total).await;
    let runs = figures(&rig).await;
    // What comes after them is reported when they have been judged.
    calls(&rig, total, RUNS).await;
    wait_reported(&rig, total + RUNS).await;

    let looks = "SELECT count(DISTINCT batch) FROM rollout_attempts";
    let looks = value(&rig.sql, looks).await;
    let rates = runs.iter().map(|[canary, current]| {
        let beyond = least_failure_rate(*canary).unwrap() - failure_rate(*current).unwrap();
        (failure_rate(*canary).unwrap(), beyond)
    });
    let (mut highest, mut nearest) = (0.0_f64, f64::MIN);
    for (rate, beyond) in rates {
        highest = highest.max(rate);
        nearest = nearest.max(beyond);
    }
    println!(
        "{} runs of {CALLS} calls in {took:?}, {} at the canaries, {failed} failed; {looks} looks; \
         in the end a canary fails {:.1} % at most, and its least rate is beyond the current one's \
         by {:.1} points at most (10 halt)",
        runs.len(),
        canary.count(),
        100.0 * highest,
        100.0 * nearest,
    );
    assert_eq!(runs.len(), RUNS);
    assert!(
        (total / 40..total / 25).contains(&failed),
        "{failed} of {total}"
    );
    assert!(
        (total / 12..total / 8).contains(&canary.count()),
        "{} of {total}",
        canary.count()
    );
    let shares = "SELECT count(*) FROM extension_versions WHERE rollout -> 'percent' = '10'";
    assert_eq!(value(&rig.sql, shares).await, RUNS.to_string());
    assert_eq!(halts(&rig).await, "0");
    assert_eq!(events.of_kind("rollout_halted").len(), 0);
}

const SIDECARS: usize = 10;
/// Calls per second, all sidecars together.
const RATE: u32 = 100;
const SPAN: Duration = Duration::from_secs(60);
const FLUSH: Duration = Duration::from_secs(2);
/// From how many calls on a canary may be halted.
const MINIMUM: usize = 50;

/// Offers calls of another tenant each to all sidecars in turn: how many, and how many failed.
async fn offer(rig: &Rig) -> (usize, usize) {
    let client = Arc::new(Client::connect(&rig.nats.url()).await);
    let (mut ticks, mut calls) = (interval(Duration::from_secs(1) / RATE), JoinSet::new());
    for number in 0..RATE as usize * SPAN.as_secs() as usize {
        ticks.tick().await;
        let client = Arc::clone(&client);
        let pod = 1 + number % SIDECARS;
        let context = json!({ "tenant_id": format!("t{number}") });
        let body = json!({"id": "x", "payload": {}, "context": context});
        calls.spawn(async move {
            let subject = format!("beamline.registry.local.pod-{pod}.invoke");
            let reply = client.request_json(&subject, &body).await;
            reply.header("Nats-Service-Error-Code").is_some()
        });
    }
    let failed = calls.join_all().await;
    let total = failed.len();
    (total, failed.into_iter().filter(|failed| *failed).count())
}

/// When a number that only grows has become `wanted`, to a few hundredths of a second.
async fn reached(what: &str, wanted: usize, mut now: impl AsyncFnMut() -> usize) -> Instant {
    eventually(what, DEADLINE, async || {
        let now = now().await;
        if now >= wanted { Ok(()) } else { Err(now) }
    })
    .await;
    Instant::now()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "ten sidecars for a minute: just soak rollouts::figures"]
async fn a_failing_canary_is_halted_within_two_flush_intervals() {
    let rig = rig().await;
    let rollout =
        format!(r#"{{"by":"tenant_id","percent":10,"halt":{{"min_requests":{MINIMUM}}}}}"#);
    let sql = format!("UPDATE extension_versions SET rollout = '{rollout}'");
    run(&rig.sql, &sql).await;
    let events = EventsSeen::start(&rig.nats).await;
    let mut daemons: Vec<Daemon> = Vec::new();
    for pod in 1..=SIDECARS {
        let flush = format!("{}s", FLUSH.as_secs());
        let sidecar = sidecar(rig.daemon(), &format!("pod-{pod}"))
            .setting("HEALTH_FLUSH_INTERVAL_SECONDS", flush);
        daemons.push(ready(sidecar).await);
    }
    let url = rig.nats.url();
    let _current = Extension::at(&url, "beamline.ext.x", Behaviour::Echo).await;
    // In turn: of fifty calls by chance one canary in seven shows too few failures to be sure.
    let three_of_ten = |number: usize, _: &_| match number % 10 {
        0..3 => Behaviour::error(500),
        _ => Behaviour::Echo,
    };
    let canary = Extension::at(&url, CANARY, Behaviour::each(three_of_ten)).await;

    let reported = format!("{REPORTED} WHERE version = 'v2'");
    let ((total, failed), called, flushed, halted) = tokio::join!(
        offer(&rig),
        reached("calls of the canary", MINIMUM, async || canary.count()),
        reached("reported calls of the canary", MINIMUM, async || {
            value(&rig.sql, &reported).await.parse::<usize>().unwrap()
        }),
        reached("the halt", 1, async || halts(&rig)
            .await
            .parse::<usize>()
            .unwrap()),
    );
    let after = |moment: Instant| halted.saturating_duration_since(moment);
    let intervals = |moment| after(moment).as_secs_f64() / FLUSH.as_secs_f64();
    println!(
        "{SIDECARS} sidecars: halted {:?} after call {MINIMUM} of the canary ({:.2} flush \
         intervals), {:?} after that was flushed ({:.2}); {failed} of {total} calls failed, {} \
         went to the canary",
        after(called),
        intervals(called),
        after(flushed),
        intervals(flushed),
        canary.count(),
    );
    assert!(intervals(called) <= 2.0, "{:?}", after(called));
    assert!(failed > 0 && failed * 100 <= total, "{failed} of {total}");
    assert_eq!(share(&rig).await, 0);
    events.wait("x", &["rollout_halted"], 1).await;
    assert_eq!(events.of_kind("rollout_halted").len(), 1);
    assert_eq!(halts(&rig).await, "1");
}

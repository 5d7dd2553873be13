//! Many at a time: every call and every report counts exactly once.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use super::{Behaviour, Extension, counts, health, invoke, service, serving};
use crate::harness::daemon::Builder;
use crate::harness::{DEADLINE, Daemon, eventually};
use crate::site::{Site, subject};

const TASKS: usize = 8;
const STEPS: usize = 1000;
/// The first two answer, the others fail.
const IDS: [&str; 4] = ["a", "b", "c", "d"];

/// What one step does: each task meets each of them with each extension.
#[derive(Clone, Copy, PartialEq)]
enum Step {
    Invoke,
    Report(&'static str),
    /// Without a reply.
    Tell(&'static str),
}

fn step(n: usize) -> Step {
    match n / IDS.len() % 4 {
        0 => Step::Invoke,
        1 => Step::Report("success"),
        2 => Step::Report("failure"),
        _ => Step::Tell("success"),
    }
}

async fn take(site: &Site, id: &str, step: Step) {
    let body = |outcome| json!({"id": id, "outcome": outcome, "latency_ms": 1.5});
    match step {
        Step::Invoke => drop(invoke(site, id).await),
        Step::Report(outcome) => {
            site.ask("report", &body(outcome)).await.ok();
        }
        Step::Tell(outcome) => {
            let payload = body(outcome).to_string().into();
            let nats = site.client.nats();
            nats.publish(subject("report"), payload).await.unwrap();
        }
    }
}

/// Runs all tasks, with listings beside them, and returns how many listings there were.
async fn run(site: &Site, invoke: Step) -> usize {
    let done = AtomicBool::new(false);
    let tasks = (0..TASKS).map(async |task| {
        for n in task..task + STEPS {
            let step = match step(n) {
                Step::Invoke => invoke,
                step => step,
            };
            take(site, IDS[n % IDS.len()], step).await;
        }
    });
    let watching = async {
        let mut listings = 0;
        while !done.load(Ordering::Relaxed) {
            for verb in ["circuits", "health"] {
                let page = site.send(verb, "").await.ok();
                let circuits = page["circuits"].as_array();
                circuits.into_iter().flatten().for_each(assert_whole);
                listings += 1;
            }
        }
        listings
    };
    let working = async {
        futures_util::future::join_all(tasks).await;
        done.store(true, Ordering::Relaxed);
    };
    tokio::join!(working, watching).1
}

/// A circuit is never half of one state and half of another.
fn assert_whole(circuit: &Value) {
    let (state, opened) = (
        circuit["state"].as_str().unwrap(),
        !circuit["opened_at"].is_null(),
    );
    assert_eq!(opened, state != "closed", "{circuit}");
    assert_eq!(!circuit["retry_at"].is_null(), state == "open", "{circuit}");
}

/// Successes and failures by id.
fn expected(invoke: Step) -> BTreeMap<&'static str, (u64, u64)> {
    let mut expected = BTreeMap::<_, (u64, u64)>::new();
    for n in (0..TASKS).flat_map(|task| task..task + STEPS) {
        let id = IDS[n % IDS.len()];
        let (successes, failures) = expected.entry(id).or_default();
        let succeeds = match step(n) {
            Step::Invoke => invoke == Step::Report("success") || ["a", "b"].contains(&id),
            Step::Report(outcome) | Step::Tell(outcome) => outcome == "success",
        };
        *(if succeeds { successes } else { failures }) += 1;
    }
    expected
}

/// Waits until as much is known as was sent; then it must be exactly that.
async fn assert_exact(site: &Site, expected: &BTreeMap<&str, (u64, u64)>) {
    for (id, expected) in expected {
        let known = eventually("all reports have arrived", DEADLINE, async || {
            let known = counts(&health(site, id).await);
            let all = known.0 + known.1 >= expected.0 + expected.1;
            if all { Ok(known) } else { Err(known) }
        })
        .await;
        assert_eq!(&known, expected, "{id}");
    }
}

async fn site(set: impl FnOnce(Builder) -> Builder) -> (Site, Daemon) {
    let extensions: Value = IDS.iter().map(|id| service("pre", id)).collect();
    serving(&extensions, set).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sums_are_what_was_sent() {
    let never = 1_000_000;
    let (site, daemon) = site(|with| {
        with.setting("CIRCUIT_BREAKER_FAILURE_THRESHOLD", never)
            .setting("CIRCUIT_BREAKER_MINIMUM_REQUESTS", never)
    })
    .await;
    let mut extensions = Vec::new();
    for id in IDS {
        let fine = ["a", "b"].contains(&id);
        let behaviour = if fine {
            Behaviour::Reply("{}")
        } else {
            Behaviour::Error(500)
        };
        extensions.push(Extension::start(&site, id, behaviour).await);
    }
    let listings = run(&site, Step::Invoke).await;
    assert!(listings > 0);
    assert_exact(&site, &expected(Step::Invoke)).await;
    let stats = site.send("stats", "").await.ok();
    let invocations = &stats["invocations"];
    let told = json!([
        invocations["success"],
        invocations["failure"],
        invocations["in_flight"]
    ]);
    let invoked = |ids: [usize; 2]| {
        let all = (0..TASKS).flat_map(|task| task..task + STEPS);
        let invoked = all.filter(|n| step(*n) == Step::Invoke);
        invoked.filter(|n| ids.contains(&(n % IDS.len()))).count()
    };
    assert_eq!(told, json!([invoked([0, 1]), invoked([2, 3]), 0]));
    let listed = site.send("circuits", "").await.ok();
    let circuits = listed["circuits"].as_array().unwrap();
    assert!(circuits.len() == 4 && circuits.iter().all(|circuit| circuit["state"] == "closed"));
    site.client.assert_one_reply_each().await;
    drop(daemon);
}

/// Circuits that open and close all the time: what is reported counts nevertheless.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sums_are_what_was_sent_while_circuits_move() {
    let (site, daemon) = site(|with| {
        with.setting("CIRCUIT_BREAKER_FAILURE_THRESHOLD", 1)
            .setting("CIRCUIT_BREAKER_TIMEOUT_SECONDS", "10ms")
            .setting("CIRCUIT_BREAKER_MAX_TIMEOUT_SECONDS", "10ms")
    })
    .await;
    let invoke = Step::Report("success");
    run(&site, invoke).await;
    assert_exact(&site, &expected(invoke)).await;
    let page = daemon.get("/metrics").await.body;
    let total = |name: &str, id: &str| {
        let name = format!("extension_circuit_breaker_{name}_total{{extension_id=\"{id}\"");
        let line = page.lines().find(|line| line.starts_with(&name)).unwrap();
        line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()
    };
    for (id, (_, reported)) in expected(invoke) {
        let (failures, recoveries) = (total("failures", id), total("recoveries", id));
        assert!(
            (1..=reported).contains(&failures),
            "{id}: {failures} of {reported}"
        );
        assert!(
            recoveries <= failures,
            "{id}: {recoveries} after {failures}"
        );
    }
}

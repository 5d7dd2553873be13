//! A million calls that nobody answers. Run in release: `just soak invoke::soak`.

use std::time::Instant;

use async_nats::HeaderMap;
use serde_json::json;

use super::record;
use crate::harness::{Behaviour, flood};
use crate::site::{Site, subject};

const CALLS: usize = 1_000_000;
const WARM_UP: usize = 100_000;
/// Calls in flight.
const WINDOW: usize = 512;
const LIMIT_KIB: u64 = 5 * 1024;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes"]
async fn a_million_timeouts_cost_no_memory() {
    let fields = json!({
        "metadata": {"max_in_flight": WINDOW}, "circuit_breaker": {"enabled": false},
    });
    let site = Site::with(&json!([record("x", fields)])).await;
    let daemon = site
        .start(site.daemon().setting("MAX_IN_FLIGHT", 2 * WINDOW))
        .await;
    let silent = site.play("x", Behaviour::silent()).await;
    time_out(&site, WARM_UP).await;
    let (before, start) = (resident_kib(daemon.pid()), Instant::now());
    for tenth in 1..=10 {
        time_out(&site, CALLS / 10).await;
        let (now, took) = (resident_kib(daemon.pid()), start.elapsed());
        eprintln!(
            "{} timeouts in {took:?}: {now} KiB, {before} KiB before",
            tenth * CALLS / 10
        );
    }
    let after = resident_kib(daemon.pid());
    let received = silent.count();
    assert!(received > CALLS / 2, "the calls were sent: {received}");
    assert!(
        after < before + LIMIT_KIB,
        "{before} KiB before, {after} KiB after"
    );
}

async fn time_out(site: &Site, calls: usize) {
    let request = |_| {
        let body = r#"{"id":"x","payload":{"text":"nobody answers"},"timeout_ms":20}"#;
        (HeaderMap::new(), body.into())
    };
    let load = (calls, WINDOW);
    flood(
        &site.nats.url(),
        &subject("invoke"),
        load,
        request,
        |_, reply| {
            assert_eq!(
                reply.header("Nats-Service-Error-Code"),
                Some("504"),
                "{reply:?}"
            );
        },
    )
    .await;
}

fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let figure = line.unwrap().trim().trim_end_matches(" kB");
    figure.parse().unwrap()
}

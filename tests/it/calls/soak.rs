//! A million timeouts. Run in release: `just soak calls::soak`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use beamline_registry::service::caller::{Call, CallError};
use futures_util::StreamExt;
use tokio::task::JoinSet;

use super::{Calling, Extension};
use crate::harness::NatsServer;

const SUBJECT: &str = "beamline.ext.pre.silent";
const CALLS: u64 = 1_000_000;
const WARM_UP: u64 = 100_000;
const CONCURRENT: u64 = 256;
const LIMIT_KIB: u64 = 5 * 1024;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes a minute"]
async fn a_million_timeouts_cost_no_memory() {
    let server = NatsServer::start().await;
    let mut silent = Extension::at(&server, SUBJECT).await;
    let received = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&received);
    let reading = tokio::spawn(async move {
        while silent.requests.next().await.is_some() {
            count.fetch_add(1, Ordering::Relaxed);
        }
    });
    let calling = Arc::new(Calling::ready(&server.url(), 4096).await);

    time_out(&calling, WARM_UP).await;
    let (before, start) = (resident_kib(), Instant::now());
    time_out(&calling, CALLS).await;
    let (after, took) = (resident_kib(), start.elapsed());
    let received = received.load(Ordering::Relaxed);
    eprintln!(
        "{CALLS} timeouts in {took:?}: {before} KiB before, {after} KiB after, {received} requests seen"
    );
    assert_eq!(calling.calls.pending(), 0);
    assert!(received > CALLS / 2, "the calls were sent: {received}");
    assert!(
        after < before + LIMIT_KIB,
        "{before} KiB before, {after} KiB after"
    );
    reading.abort();
}

async fn time_out(calling: &Arc<Calling>, calls: u64) {
    let mut tasks = JoinSet::new();
    for _ in 0..CONCURRENT {
        let calling = Arc::clone(calling);
        tasks.spawn(async move {
            for _ in 0..calls / CONCURRENT {
                let deadline = tokio::time::Instant::now() + Duration::from_millis(1);
                let error = match calling.call_until(SUBJECT, None, "{}", deadline) {
                    Ok(mut call) => call.next(deadline).await.unwrap_err(),
                    Err(error) => error,
                };
                // Overloaded: this machine did not take the request within the millisecond;
                // disconnected: nor a sign of life of the link within a moment.
                let expected = matches!(
                    error,
                    CallError::Timeout | CallError::Overloaded(_) | CallError::Disconnected
                );
                assert!(expected, "{error}");
            }
        });
    }
    tasks.join_all().await;
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let figure = line.unwrap().trim().trim_end_matches(" kB");
    figure.parse().unwrap()
}

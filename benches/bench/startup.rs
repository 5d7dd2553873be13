//! From the start of the process to `/readyz` saying 200, with the whole catalog in Postgres.

use std::time::{Duration, Instant};

use super::options::Options;
use super::records;
use super::report::{Asked, Report};
use super::samples::{median, ms};
use super::stage::Stage;
use crate::harness::{DEADLINE, http};

/// Starts the daemon once a round, and as often again.
pub(crate) async fn measure(stage: &Stage, options: &Options, report: &mut Report) {
    let mut times = Vec::new();
    for _ in 0..options.rounds * 2 {
        times.push(ms(start_to_ready(stage).await));
    }
    let what = format!("start to ready, {} extensions", records::CATALOG);
    report.line(
        what,
        Asked::AtMost(100.0),
        median(times.iter().copied()),
        "ms",
    );
    report.raw("startup_ms", times.into());
}

async fn start_to_ready(stage: &Stage) -> Duration {
    let begun = Instant::now();
    let daemon = stage.daemon().spawn().await;
    let addr = daemon.http_addr().await;
    loop {
        let ready = http::get(&addr, "/readyz").await;
        if ready.is_ok_and(|reply| reply.status == 200) {
            return begun.elapsed();
        }
        assert!(begun.elapsed() < DEADLINE, "not ready: {:#?}", daemon.log());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

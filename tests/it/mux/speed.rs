//! A call against the client library's own request, on the same connection and in the same run.
//! Run in release: `just soak mux::speed`.

use std::time::{Duration, Instant};

use futures_util::future::join_all;

use super::{Calling, Extension};
use crate::harness::NatsServer;

const SUBJECT: &str = "beamline.ext.pre.echo";
const ROUNDS: usize = 15;
const ROUND: u32 = 10_000;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
async fn a_call_costs_about_what_a_request_of_the_library_costs() {
    let server = NatsServer::start().await;
    let _echo = Extension::at(&server, SUBJECT).await.echo();
    let calling = Calling::ready(&server.url(), 4096).await;
    for in_flight in [1, 64] {
        let mut ratios: Vec<_> = Vec::new();
        let (mut calls, mut requests) = (Duration::MAX, Duration::MAX);
        for _ in 0..ROUNDS {
            let call = round(in_flight, async || {
                calling.ask(SUBJECT, "0123456789").await.unwrap();
            })
            .await;
            let request = round(in_flight, async || library_request(&calling).await).await;
            ratios.push(call.as_secs_f64() / request.as_secs_f64());
            calls = calls.min(call);
            requests = requests.min(request);
        }
        ratios.sort_by(f64::total_cmp);
        let median = ratios[ROUNDS / 2];
        eprintln!(
            "{in_flight} in flight: a call {:?}, a request {:?} (best rounds), median ratio {median:.3}",
            calls / ROUND,
            requests / ROUND,
        );
        assert!(median < 1.25, "ratio {median:.3}");
    }
}

/// The time for `ROUND` operations, `in_flight` at a time.
async fn round(in_flight: u32, operation: impl AsyncFn()) -> Duration {
    let start = Instant::now();
    let workers = (0..in_flight).map(|_| async {
        for _ in 0..ROUND / in_flight {
            operation().await;
        }
    });
    join_all(workers).await;
    start.elapsed()
}

#[expect(
    clippy::disallowed_methods,
    reason = "what the mux is measured against"
)]
async fn library_request(calling: &Calling) {
    let client = calling.lane.connection().client().clone();
    let request = client.request(SUBJECT, "0123456789".into());
    request.await.unwrap();
}

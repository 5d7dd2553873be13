//! What it costs to remember why extensions fail: two sidecars with 10,000 called extensions, at one of
//! them half of the extensions fail. Run in release: `just soak health::cost`.

use std::time::Instant;

use bytes::Bytes;

use super::*;
use crate::harness::flood;
use crate::site::subject;

const EXTENSIONS: usize = 10_000;
/// Of each extension: enough to open a circuit, and to fill what is remembered.
const CALLS: usize = 10;
/// Of lookups and of calls, in each of the rounds.
const REQUESTS: usize = 100_000;
const ROUNDS: usize = 5;
/// In flight.
const WINDOW: usize = 64;

/// Answers for all extensions: with an error where the caller asks for one.
async fn answer(site: &Site) -> JoinHandle<()> {
    let nats = async_nats::connect(site.nats.url()).await.unwrap();
    let mut calls = nats.subscribe("beamline.ext.>").await.unwrap();
    nats.flush().await.unwrap();
    tokio::spawn(async move {
        while let Some(call) = calls.next().await {
            let mut headers = HeaderMap::new();
            if call.payload.windows(4).any(|word| word == b"fail") {
                headers.insert("Nats-Service-Error-Code", "500");
                headers.insert("Nats-Service-Error", "model not loaded: out of memory");
            }
            let reply = call.reply.unwrap();
            let sent = nats.publish_with_headers(reply, headers, "{}".into());
            sent.await.unwrap();
        }
    })
}

fn body(n: usize, payload: &str) -> (HeaderMap, Bytes) {
    let body = format!(r#"{{"id":"e{n}","payload":{{"text":"{payload}"}}}}"#);
    (HeaderMap::new(), body.into())
}

/// Requests a second.
async fn rate(site: &Site, verb: &str) -> f64 {
    let begun = Instant::now();
    // Only the ones that are well.
    let request = |n: usize| {
        let n = n * 2 % EXTENSIONS;
        match verb.ends_with("lookup") {
            true => (HeaderMap::new(), format!(r#"{{"id":"e{n}"}}"#).into()),
            false => body(n, "fine"),
        }
    };
    let load = (REQUESTS, WINDOW);
    flood(
        &site.nats.url(),
        &subject(verb),
        load,
        request,
        |_, reply| {
            assert_eq!(reply.header("Nats-Service-Error-Code"), None, "{reply:?}");
        },
    )
    .await;
    REQUESTS as f64 / begun.elapsed().as_secs_f64()
}

fn resident_mb(daemon: &Daemon) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let figure = line.unwrap().trim().trim_end_matches(" kB");
    figure.parse::<f64>().unwrap() / 1000.0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn half_of_ten_thousand_extensions_fail() {
    let fixtures = (0..EXTENSIONS).map(|n| {
        let subject = format!("beamline.ext.e{n}");
        json!({"id": format!("e{n}"), "type": "pre", "subject": subject, "retry": 0})
    });
    let site = Site::with(&fixtures.collect()).await;
    let _answering = answer(&site).await;
    let mut daemons = Vec::new();
    for pod in ["well", "ill"] {
        let daemon = site.start(site.named(pod)).await;
        println!(
            "{pod}: {:.1} MB before the first call",
            resident_mb(&daemon)
        );
        daemons.push((pod, daemon));
    }
    for (pod, daemon) in &daemons {
        let ill = *pod == "ill";
        let request = |n: usize| {
            let fails = ill && n % 2 == 1;
            body(n % EXTENSIONS, if fails { "fail" } else { "fine" })
        };
        let load = (EXTENSIONS * CALLS, WINDOW);
        let invoke = subject(&format!("local.{pod}.invoke"));
        flood(&site.nats.url(), &invoke, load, request, |_, _| ()).await;
        println!("{pod}: {:.1} MB", resident_mb(daemon));
    }
    for (pod, daemon) in &daemons {
        let begun = Instant::now();
        let metrics = daemon.get("/metrics").await.body.len();
        let took = begun.elapsed();
        println!("{pod}: /metrics {:.1} MB in {took:?}", metrics as f64 / 1e6);
    }
    for round in 1..=ROUNDS {
        // Who is second has the server and the caches warm, or the machine tired.
        daemons.reverse();
        for verb in ["lookup", "invoke"] {
            for (pod, _) in &daemons {
                let rate = rate(&site, &format!("local.{pod}.{verb}")).await;
                println!("round {round}, {verb} at {pod}: {rate:.0}/s");
            }
        }
    }
    for (pod, daemon) in &daemons {
        println!("{pod}: {:.1} MB in the end", resident_mb(daemon));
    }
}

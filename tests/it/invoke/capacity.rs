//! Fifty sidecars and an extension whose capacity falls for half a minute: the fleet does not hold it
//! down. `just soak invoke::capacity`.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, interval, sleep_until};

use super::record;
use crate::harness::{Client, Daemon};
use crate::site::{Site, subject};

const SIDECARS: usize = 50;
/// Calls that the extension carries out in a second, when it is well.
const CAPACITY: u32 = 250;
/// Calls offered per second, all sidecars together: 0.8 of it.
const OFFERED: u32 = CAPACITY * 4 / 5;
const TIMEOUT: Duration = Duration::from_millis(500);
/// How long it has less.
const ILL: Duration = Duration::from_secs(30);
/// Before that, and after: the last ten seconds are looked at.
const WELL: Duration = Duration::from_secs(15);
/// After which everything has to be as before.
const RECOVERY: Duration = Duration::from_secs(5);
const WINDOW: Duration = Duration::from_secs(10);

/// An extension with one place, in which each call takes `1 / capacity` seconds. The others wait, and
/// those whose time is over are not begun.
struct Ward {
    client: async_nats::Client,
    /// Calls per second; 0: it answers nothing.
    capacity: Arc<AtomicU32>,
    /// When each attempt arrived.
    arrived: JoinHandle<Vec<Instant>>,
    serving: JoinHandle<()>,
}

impl Ward {
    async fn open(url: &str) -> Self {
        let client = async_nats::connect(url).await.unwrap();
        let mut calls = client.subscribe("beamline.ext.x.v1").await.unwrap();
        client.flush().await.unwrap();
        let capacity = Arc::new(AtomicU32::new(CAPACITY));
        let (queue, mut queued) = mpsc::channel::<(Instant, async_nats::Message)>(100_000);
        let arrived = tokio::spawn(async move {
            let mut arrived = Vec::new();
            // Its end is a message of our own without a reply subject.
            while let Some(call) = calls.next().await.filter(|call| call.reply.is_some()) {
                let now = Instant::now();
                arrived.push(now);
                queue.try_send((now, call)).unwrap();
            }
            arrived
        });
        let (of, answering) = (Arc::clone(&capacity), client.clone());
        let serving = tokio::spawn(async move {
            let mut free = Instant::now();
            while let Some((came, call)) = queued.recv().await {
                let per_second = of.load(Ordering::Relaxed);
                if came.elapsed() > TIMEOUT || per_second == 0 {
                    continue;
                }
                free = free.max(Instant::now() - Duration::from_millis(5))
                    + Duration::from_secs(1) / per_second;
                sleep_until(free).await;
                let reply = call.reply.unwrap();
                answering.publish(reply, "{}".into()).await.unwrap();
            }
        });
        Self {
            client,
            capacity,
            arrived,
            serving,
        }
    }

    /// When the attempts came, all of which are answered or over.
    async fn close(self) -> Vec<Instant> {
        let end = self.client.publish("beamline.ext.x.v1", "".into());
        end.await.unwrap();
        let arrived = self.arrived.await.unwrap();
        self.serving.await.unwrap();
        arrived
    }
}

/// When each call was offered, and whether it was answered.
type Calls = Vec<(Instant, bool)>;

/// Offers calls to all sidecars in turn for `time`.
async fn offer(site: &Site, time: Duration) -> Calls {
    let client = Arc::new(Client::connect(&site.nats.url()).await);
    let mut ticks = interval(Duration::from_secs(1) / OFFERED);
    let (begun, mut calls) = (Instant::now(), JoinSet::new());
    let mut sidecars = (0..SIDECARS).cycle();
    while begun.elapsed() < time {
        ticks.tick().await;
        let client = Arc::clone(&client);
        let invoke = subject(&format!("local.pod-{}.invoke", sidecars.next().unwrap()));
        calls.spawn(async move {
            let offered = Instant::now();
            let body = json!({"id": "x", "payload": {}});
            let reply = client.request_json(&invoke, &body).await;
            (offered, reply.header("Nats-Service-Error-Code").is_none())
        });
    }
    calls.join_all().await
}

async fn fleet(breaker: Value) -> (Site, Vec<Daemon>) {
    let fields = json!({"timeout_ms": 500, "retry": 2, "circuit_breaker": breaker});
    let site = Site::with(&json!([record("x", fields)])).await;
    let mut daemons = Vec::new();
    for pod in 0..SIDECARS {
        daemons.push(site.start(site.named(&format!("pod-{pod}"))).await);
    }
    (site, daemons)
}

/// The share of calls offered from `from` for `span` that were answered.
fn goodput(calls: &Calls, from: Instant, span: Duration) -> f64 {
    let window: Vec<_> = calls
        .iter()
        .filter(|(offered, _)| (from..from + span).contains(offered))
        .collect();
    let answered = window.iter().filter(|(_, answered)| *answered).count();
    answered as f64 / window.len() as f64
}

/// In no ten seconds more attempts than 1.2 times the calls, and ten a sidecar.
fn bounded(calls: &Calls, mut arrived: Vec<Instant>) -> usize {
    arrived.sort_unstable();
    let (mut window, mut most) = (VecDeque::new(), 0);
    for now in arrived {
        window.push_back(now);
        while now - window[0] > WINDOW {
            window.pop_front();
        }
        most = most.max(window.len());
    }
    // Whoever waits a timeout and a pause may come in the next window.
    let offered = usize::try_from(OFFERED).unwrap() * WINDOW.as_secs() as usize;
    assert!(calls.len() > offered);
    assert!(
        most <= offered * 6 / 5 + 10 * SIDECARS,
        "{most} attempts in ten seconds, {offered} offered"
    );
    most
}

async fn falls_and_returns(name: &str, breaker: Value) -> String {
    let (site, _daemons) = fleet(breaker).await;
    let ward = Ward::open(&site.nats.url()).await;
    let begun = Instant::now();
    let back = begun + WELL + ILL;
    let capacity = Arc::clone(&ward.capacity);
    let course = async {
        sleep_until(begun + WELL).await;
        capacity.store(CAPACITY * 3 / 10, Ordering::Relaxed);
        sleep_until(back).await;
        capacity.store(CAPACITY, Ordering::Relaxed);
    };
    let (calls, ()) = tokio::join!(offer(&site, WELL + ILL + WELL), course);
    let arrived = ward.close().await;
    let second = Duration::from_secs(1);
    let [before, ill, returned] = [
        (begun + second, WELL - second),
        (begun + WELL + RECOVERY, ILL - RECOVERY),
        (back + RECOVERY, WELL - RECOVERY),
    ]
    .map(|(from, span)| goodput(&calls, from, span));
    let by_second: Vec<_> = (0..WELL.as_secs())
        .map(|n| (goodput(&calls, back + second * n as u32, second) * 100.0).round())
        .collect();
    let most = bounded(&calls, arrived);
    assert!(before > 0.95, "{before}");
    assert!(returned >= 0.95, "{returned}");
    format!(
        "{name}: goodput {before:.3} before, {ill:.3} while it had 0.3, {returned:.3} from {RECOVERY:?} \
         after its return on (by second {by_second:?}), at most {most} attempts in ten seconds for \
         {} calls",
        10 * OFFERED
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "fifty sidecars for a minute: just soak invoke::capacity"]
async fn a_fleet_gives_what_has_recovered_its_calls_back() {
    for (name, breaker) in [
        ("circuits off", json!({"enabled": false})),
        (
            "circuits of two seconds",
            json!({"timeout_seconds": 2, "max_timeout_seconds": 2}),
        ),
    ] {
        println!("{}", falls_and_returns(name, breaker).await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "fifty sidecars for half a minute: just soak invoke::capacity"]
async fn a_fleet_spares_what_is_dead() {
    for breaker in [
        json!({"enabled": false}),
        json!({"timeout_seconds": 2, "max_timeout_seconds": 2}),
    ] {
        let (site, _daemons) = fleet(breaker).await;
        let ward = Ward::open(&site.nats.url()).await;
        ward.capacity.store(0, Ordering::Relaxed);
        let calls = offer(&site, WELL).await;
        assert!(calls.iter().all(|(_, answered)| !answered));
        let most = bounded(&calls, ward.close().await);
        println!(
            "dead: at most {most} attempts in ten seconds for {} calls",
            10 * OFFERED
        );
    }
}

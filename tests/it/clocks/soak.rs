//! STOP and CONT under load: 200 calls a second of extensions with short and long timeouts, streams
//! and probes beside them. Nobody is blamed, and what had arrived is delivered.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_nats::HeaderMap;
use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::task::AbortOnDropHandle;

use super::asleep;
use crate::events_seen::EventsSeen;
use crate::harness::{Answer, Behaviour, DEADLINE, Daemon, Extension, eventually, settled};
use crate::rig::Rig;

const RATE: u32 = 200;
/// Timeouts of the extensions, each of which answers after a moment. Beside the rest of the suite
/// they are longer: a machine whose cores are all busy keeps extensions waiting, too.
type Timeouts = [u64; 4];
const MOMENT: Duration = Duration::from_millis(40);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_few_stops_under_load_blame_nobody() {
    stops(&[200, 1800, 2800, 300, 3300], [1500, 2000, 2500, 5000]).await;
}

/// `just soak clocks::soak`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes"]
async fn fifty_stops_under_load_blame_nobody() {
    let pauses = [200, 8000, 350, 500, 800, 1200, 2000, 300, 4000, 650];
    let pauses: Vec<u64> = pauses.into_iter().cycle().take(50).collect();
    stops(&pauses, [300, 500, 2000, 5000]).await;
}

async fn stops(pauses_ms: &[u64], timeouts: Timeouts) {
    let rig = Rig::start().await;
    let mut players = Vec::new();
    for timeout in timeouts {
        add(&rig, &format!("e{timeout}"), timeout).await;
        let answer = Behaviour::Slow(MOMENT, Answer::new(r#"{"payload":{}}"#));
        let subject = format!("beamline.ext.e{timeout}");
        players.push(Extension::at(&rig.nats.url(), &subject, answer).await);
    }
    add(&rig, "streams", timeouts[1]).await;
    let _streams = Streamer::start(&rig.nats.url()).await;
    // Out of service and never answering: probed all the time.
    add(&rig, "probed", 300).await;
    rig.sql
        .batch_execute("UPDATE extensions SET auto_disabled = true WHERE id = 'probed'")
        .await
        .unwrap();
    let probed = Extension::at(
        &rig.nats.url(),
        "beamline.ext.probed",
        Behaviour::error(500),
    )
    .await;

    let events = EventsSeen::start(&rig.nats).await;
    let builder = rig.daemon().setting("AUTO_DISABLE_ON_CIRCUIT_OPEN", true);
    let builder = builder.setting("AUTO_DISABLE_MAX_PERCENT", 100);
    let builder = builder.setting("AUTO_ENABLE_ON_CIRCUIT_CLOSE", true);
    let builder = builder.setting("CIRCUIT_BREAKER_TIMEOUT_SECONDS", "500ms");
    let daemon = builder
        .setting("CIRCUIT_BREAKER_FAILURE_THRESHOLD", 3)
        .spawn()
        .await;
    daemon.wait_ready().await;

    let load = Load::start(&rig.nats.url(), timeouts).await;
    for pause in pauses_ms {
        let before = load.answered();
        eventually("calls are answered", DEADLINE, async || {
            load.answered() > before + 100
        })
        .await;
        asleep(&daemon, Duration::from_millis(*pause)).await;
    }
    let (sent, answers) = load.end().await;

    for timeout in timeouts {
        blameless(&rig, &format!("e{timeout}")).await;
    }
    blameless(&rig, "streams").await;
    for kind in ["circuit_opened", "auto_disabled", "health_degraded"] {
        let mut told = events.of_kind(kind);
        told.retain(|event| event["subject"] != "probed");
        assert_eq!(told, Vec::<Value>::new());
    }
    assert!(probed.count() > 0, "probes went on");
    assert_eq!(answers.total(), sent, "one answer each: {answers:?}");
    eprintln!("{sent} calls: {answers:?}");
    wait_each_told(&daemon, pauses_ms).await;
}

async fn add(rig: &Rig, id: &str, timeout_ms: u64) {
    let sql = format!(
        "INSERT INTO extensions (id, type, subject, retry, timeout_ms, metadata)
         VALUES ('{id}', 'pre', 'beamline.ext.{id}', 0, {timeout_ms}, '{{\"max_in_flight\": 4096}}')"
    );
    rig.sql.batch_execute(&sql).await.unwrap();
}

async fn blameless(rig: &Rig, id: &str) {
    let health = rig.ask("health", &json!({ "id": id })).await.ok();
    let figures = &health["health"];
    assert_eq!(figures["failure_count"], 0, "{id}: {figures}");
    assert_eq!(figures["circuit_breaker_state"], "closed", "{id}");
    assert!(
        figures["success_count"].as_u64() > Some(0),
        "{id}: {figures}"
    );
    assert!(rig.lookup(id).await.ok()["enabled"].as_bool().unwrap());
}

/// Pauses that follow each other closely share a line, which says how many they were.
async fn wait_each_told(daemon: &Daemon, pauses_ms: &[u64]) {
    eventually("each pause is told", DEADLINE, async || {
        let lines = daemon.log();
        let entries = lines
            .iter()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let told: u64 = entries.filter_map(|entry| entry["times"].as_u64()).sum();
        if told >= pauses_ms.len() as u64 {
            Ok(())
        } else {
            Err(told)
        }
    })
    .await;
}

/// Calls at a steady rate, all answers counted.
struct Load {
    answers: Arc<Answers>,
    sent: Arc<AtomicUsize>,
    offering: AbortOnDropHandle<()>,
    _taking: AbortOnDropHandle<()>,
}

#[derive(Debug, Default)]
struct Answers {
    good: AtomicUsize,
    /// 504: we slept, and nobody can say what would have come.
    late: AtomicUsize,
    /// Whatever else: overloaded behind the backlog, above all.
    other: AtomicUsize,
}

impl Answers {
    fn total(&self) -> usize {
        let counts = [&self.good, &self.late, &self.other];
        counts
            .map(|count| count.load(Ordering::Relaxed))
            .iter()
            .sum()
    }
}

impl Load {
    async fn start(url: &str, timeouts: Timeouts) -> Self {
        let options = async_nats::ConnectOptions::new().subscription_capacity(100_000);
        let client = options.connect(url).await.unwrap();
        let inbox = client.new_inbox();
        let mut replies = client.subscribe(format!("{inbox}.*")).await.unwrap();
        let (answers, sent) = (Arc::<Answers>::default(), Arc::<AtomicUsize>::default());
        let counted = Arc::clone(&answers);
        let taking = tokio::spawn(async move {
            while let Some(reply) = replies.next().await {
                let headers = reply.headers.unwrap_or_default();
                if headers
                    .get("Beamline-Stream")
                    .is_some_and(|it| it.as_str() == "chunk")
                {
                    continue;
                }
                let code = headers.get("Nats-Service-Error-Code").map(|it| it.as_str());
                let counter = match code {
                    None => &counted.good,
                    Some("504") => &counted.late,
                    Some(_) => &counted.other,
                };
                counter.fetch_add(1, Ordering::Relaxed);
            }
        });
        let offered = Arc::clone(&sent);
        let offering = tokio::spawn(async move {
            let mut ticks = interval(Duration::from_secs(1) / RATE);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            for number in 0usize.. {
                ticks.tick().await;
                let timeout = timeouts[number % timeouts.len()];
                let mut headers = HeaderMap::new();
                let id = match number % 10 {
                    9 => {
                        headers.insert("Beamline-Accept", "stream");
                        "streams".to_owned()
                    }
                    _ => format!("e{timeout}"),
                };
                let body = json!({"id": id, "payload": {}}).to_string();
                let (to, reply) = ("beamline.registry.invoke", format!("{inbox}.{number}"));
                let sent = client.publish_with_reply_and_headers(to, reply, headers, body.into());
                sent.await.unwrap();
                offered.fetch_add(1, Ordering::Relaxed);
            }
        });
        Self {
            answers,
            sent,
            offering: AbortOnDropHandle::new(offering),
            _taking: AbortOnDropHandle::new(taking),
        }
    }

    fn answered(&self) -> usize {
        self.answers.good.load(Ordering::Relaxed)
    }

    /// Ends the load and waits for the last answers.
    async fn end(mut self) -> (usize, Arc<Answers>) {
        self.offering.abort();
        let _cancelled = (&mut self.offering).await;
        let sent = self.sent.load(Ordering::Relaxed);
        eventually("all calls are answered", 2 * DEADLINE, async || {
            let total = self.answers.total();
            if total >= sent {
                Ok(())
            } else {
                Err((total, sent))
            }
        })
        .await;
        (sent, Arc::clone(&self.answers))
    }
}

/// An extension that answers in four pieces, with a moment between them.
struct Streamer {
    _playing: AbortOnDropHandle<()>,
}

impl Streamer {
    async fn start(url: &str) -> Self {
        let client = async_nats::connect(url).await.unwrap();
        let mut requests = client.subscribe("beamline.ext.streams").await.unwrap();
        settled(&client).await;
        let playing = tokio::spawn(async move {
            while let Some(request) = requests.next().await {
                let (to, client) = (request.reply.unwrap(), client.clone());
                tokio::spawn(async move {
                    let begun = Instant::now();
                    for piece in 0u32..4 {
                        tokio::time::sleep_until(begun + MOMENT * (piece + 1)).await;
                        let mut headers = HeaderMap::new();
                        let last = piece == 3;
                        headers.insert("Beamline-Stream", if last { "end" } else { "chunk" });
                        let body = if last { "" } else { "{}" };
                        let sent = client.publish_with_headers(to.clone(), headers, body.into());
                        sent.await.unwrap();
                    }
                });
            }
        });
        Self {
            _playing: AbortOnDropHandle::new(playing),
        }
    }
}

//! What a lane promises to whoever answers on it, against a real nats-server and the official client:
//!
//! - [`broken`]: no message can end it, nor can a handler that panics,
//! - [`servers`]: it finds another server, and a silent one is given up,
//! - [`draining`]: what the server had sent is answered,
//! - [`news`]: the limits that a server reports hold from the next message on.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use beamline_registry::adapters::nats::link::lane::{
    Companion, Handler, Lane, Start, Subscription, Turn,
};
use beamline_registry::adapters::nats::wire::operation::Message;
use beamline_registry::adapters::nats::wire::write;
use beamline_registry::config::{NatsAddress, NatsAuth, NatsSettings, SourceMode};
use beamline_registry::domain::subject::Subject;
use beamline_registry::service::observe::{Observation, Observer, Observers};
use beamline_registry::service::status::Status;
use bytes::Bytes;
use tokio::time::timeout;

use crate::harness::{Client, DEADLINE, NatsServer, eventually};

mod broken;
mod draining;
mod news;
mod servers;

/// Where the lane of these tests answers.
const SUBJECT: &str = "lane.echo";

/// Sends every payload back. `panic` makes it panic; a header block that cannot be read is `broken`.
struct Echo;

impl Handler<()> for Echo {
    fn message(&self, (): (), message: &Message<'_>, turn: &mut Turn) {
        let Some(reply) = message.reply else {
            return;
        };
        // Said in vain: what a handler has begun goes with it.
        write::publish(&mut turn.out, b"lane.nowhere", None, b"begun");
        assert_ne!(message.payload, b"panic", "as it is told");
        let body = match message.headers.read() {
            Ok(_) => message.payload,
            Err(_) => b"broken",
        };
        write::publish(&mut turn.out, reply, None, body);
    }

    fn panicked(&self, (): (), message: &Message<'_>, turn: &mut Turn) {
        if let Some(reply) = message.reply {
            write::publish(&mut turn.out, reply, None, b"panicked");
        }
    }
}

fn settings(urls: &[&str]) -> NatsSettings {
    let servers = urls.iter().map(|url| NatsAddress::parse(url).unwrap());
    NatsSettings {
        servers: servers.collect(),
        auth: NatsAuth::None,
        tls_ca: None,
        client_certificate: None,
        inbox_prefix: Subject::parse("_INBOX").unwrap(),
    }
}

/// What a lane has logged about servers.
#[derive(Default)]
struct Notices(Mutex<Vec<String>>);

impl Observer for Notices {
    fn observe(&self, observation: &Observation) {
        if let Observation::NatsNotice { notice, .. } = observation {
            self.0.lock().unwrap().push(notice.clone());
        }
    }
}

/// A lane that answers on [`SUBJECT`], not necessarily connected yet.
fn start(urls: &[&str]) -> Lane<()> {
    start_beside(Arc::new(()), urls, Observers::new(Vec::new()))
}

/// The same beside a companion, with observers.
fn start_beside(companion: Arc<dyn Companion>, urls: &[&str], observers: Observers) -> Lane<()> {
    start_with(Echo, companion, urls, observers)
}

/// The same with a handler of the test's own.
fn start_with(
    handler: impl Handler<()>,
    companion: Arc<dyn Companion>,
    urls: &[&str],
    observers: Observers,
) -> Lane<()> {
    let start = Start {
        settings: &settings(urls),
        instance_id: "test",
        status: &Arc::new(Status::new(SourceMode::Fixtures, DEADLINE)),
        observers: &observers,
    };
    let lane = start.lane("echo", Arc::default(), companion).unwrap();
    let subscription = Subscription {
        subject: SUBJECT.to_owned(),
        queue_group: Some("echoes".to_owned()),
        tag: (),
    };
    lane.serve(vec![subscription], Box::new(handler));
    lane
}

/// Waits until the server has seen the lane's subscriptions.
async fn ready(lane: &Lane<()>) {
    eventually("a round trip", DEADLINE, || async {
        lane.round_trip(Duration::from_secs(1)).await.then_some(())
    })
    .await;
}

fn soon() -> tokio::time::Instant {
    tokio::time::Instant::now() + DEADLINE
}

/// What the lane answers to `payload`.
async fn echoed(client: &Client, payload: impl Into<Bytes>) -> Bytes {
    client.request(SUBJECT, payload).await.payload
}

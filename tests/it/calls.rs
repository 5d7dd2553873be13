//! What calls over a lane promise to those who make them:
//!
//! - [`replies`]: every reply of a call, complete, in order, and to that call only,
//! - [`link`]: a link that is down is an error at once, not a timeout; it heals by itself,
//! - [`limits`]: what is too large, too many or not permitted is refused, and named,
//! - [`soak`]: a million timeouts cost no memory (ignored; run in release).

use std::sync::Arc;

use async_nats::{Message, Subscriber};
use beamline_registry::adapters::nats::calls::{CallUnderWay, Calls};
use beamline_registry::adapters::nats::link::lane::{Companion, Lane, Start};
use beamline_registry::adapters::nats::link::outbox::Outbox;
use beamline_registry::config::{NatsAddress, NatsAuth, NatsSettings, SourceMode};
use beamline_registry::domain::ids::{ExtensionId, VersionName};
use beamline_registry::domain::subject::Subject;
use beamline_registry::domain::traceparent::TraceHeaders;
use beamline_registry::service::budget::Budget;
use beamline_registry::service::caller::{Call, CallError, CallHeaders, Caller, Reply};
use beamline_registry::service::observe::Observers;
use beamline_registry::service::status::Status;
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use crate::harness::{DEADLINE, NatsServer};

mod limits;
mod link;
mod replies;
mod soak;

/// Calls with their connection.
struct Calling {
    calls: Arc<Calls>,
    lane: Lane<()>,
}

impl Calling {
    async fn start(url: &str, max_pending: u32) -> Self {
        Self::with(url, NatsAuth::None, max_pending)
    }

    fn with(url: &str, auth: NatsAuth, max_pending: u32) -> Self {
        let settings = NatsSettings {
            servers: vec![NatsAddress::parse(url).unwrap()],
            auth,
            tls_ca: None,
            client_certificate: None,
            inbox_prefix: Subject::parse("_INBOX").unwrap(),
        };
        let status = Arc::new(Status::new(SourceMode::Fixtures, DEADLINE));
        let observers = Observers::new(Vec::new());
        let outbox = Arc::<Outbox>::default();
        let calls = Arc::new(Calls::new(
            Arc::clone(&outbox),
            "_INBOX",
            max_pending,
            Budget::new(64 << 20),
            Handle::current(),
            observers.clone(),
            0,
        ));
        let companion = Arc::clone(&calls) as Arc<dyn Companion>;
        let start = Start {
            settings: &settings,
            instance_id: "test-1",
            status: &status,
            observers: &observers,
        };
        let lane = start.lane("calls", outbox, companion).unwrap();
        Self { calls, lane }
    }

    /// As [`start`](Self::start), with the link up and the subscription at the server.
    async fn ready(url: &str, max_pending: u32) -> Self {
        let calling = Self::start(url, max_pending).await;
        calling.round_trip().await;
        calling
    }

    async fn round_trip(&self) {
        let trip = timeout(DEADLINE, self.lane.confirmed());
        trip.await.expect("a round trip");
    }

    fn call(&self, subject: &str, payload: impl Into<Bytes>) -> Result<CallUnderWay, CallError> {
        self.call_until(subject, None, payload, Instant::now() + DEADLINE)
    }

    fn call_until(
        &self,
        subject: &str,
        trace: Option<TraceHeaders<'_>>,
        payload: impl Into<Bytes>,
        deadline: Instant,
    ) -> Result<CallUnderWay, CallError> {
        let (id, version) = (
            ExtensionId::parse("x").unwrap(),
            VersionName::parse("v1").unwrap(),
        );
        let headers = CallHeaders {
            trace,
            attempt: Some(1),
            id: &id,
            version: &version,
            left: DEADLINE,
            stream: false,
            call_id: None,
        };
        let subject = Subject::parse(subject).unwrap();
        self.calls
            .call(&subject, &headers, &payload.into(), deadline)
    }

    /// One call, one reply.
    async fn ask(&self, subject: &str, payload: impl Into<Bytes>) -> Result<Reply, CallError> {
        next(&mut self.call(subject, payload)?).await
    }
}

async fn next(call: &mut CallUnderWay) -> Result<Reply, CallError> {
    call.next(Instant::now() + DEADLINE).await
}

/// An extension: a subscription on a connection of its own.
struct Extension {
    client: async_nats::Client,
    requests: Subscriber,
}

impl Extension {
    async fn at(server: &NatsServer, subject: &'static str) -> Self {
        Self::over(async_nats::connect(server.url()).await.unwrap(), subject).await
    }

    async fn over(client: async_nats::Client, subject: &'static str) -> Self {
        let requests = client.subscribe(subject).await.unwrap();
        let extension = Self { client, requests };
        extension.sent().await;
        extension
    }

    /// The next request.
    async fn request(&mut self) -> Message {
        let request = timeout(DEADLINE, self.requests.next());
        request.await.expect("a request").unwrap()
    }

    async fn reply(&self, request: &Message, payload: impl Into<Bytes>) {
        let to = request.reply.clone().unwrap();
        self.client.publish(to, payload.into()).await.unwrap();
    }

    /// Returns when the server has seen everything sent before.
    async fn sent(&self) {
        let inbox = self.client.new_inbox();
        let mut echo = self.client.subscribe(inbox.clone()).await.unwrap();
        self.client.publish(inbox, Bytes::new()).await.unwrap();
        timeout(DEADLINE, echo.next()).await.expect("an echo");
    }

    /// Answers every request with its own payload until the handle is aborted.
    fn echo(mut self) -> JoinHandle<()> {
        tokio::spawn(async move {
            while let Some(request) = self.requests.next().await {
                let (to, payload) = (request.reply.unwrap(), request.payload);
                self.client.publish(to, payload).await.unwrap();
            }
        })
    }
}

/// Fails when `future` takes longer than an error that is known at once may take. A call that waits
/// takes [`DEADLINE`].
async fn at_once<T>(future: impl Future<Output = T>) -> T {
    timeout(DEADLINE / 2, future)
        .await
        .expect("an answer at once")
}

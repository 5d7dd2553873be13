//! All verbs without a loop of their own: each request is a task, their number is bounded.

use std::sync::Arc;
use std::time::Instant;

use async_nats::Message;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::endpoints::Endpoints;
use super::intake::Intake;
use super::replies::Responder;
use super::subjects::Route;
use super::verb::Verb;
use super::verbs::Verbs;
use crate::service::boundary::{answered, survived};
use crate::service::error::RegistryError;
use crate::service::observe::{Observation, Observers};
use crate::service::progress::MAX_WAITERS;

/// Requests worked on at a time; one more is answered `overloaded`. Reads that wait for a revision
/// have places beside these, so what they wait for is never kept out by them.
const MAX_CONCURRENT: usize = 1024;

/// Receives requests and hands each to a task.
#[derive(Debug)]
pub struct ControlServer {
    verbs: Arc<Verbs>,
    responder: Responder,
    endpoints: Arc<Endpoints>,
    workers: Handle,
    tasks: TaskTracker,
    permits: Arc<Semaphore>,
    observers: Observers,
    give_up: CancellationToken,
}

impl ControlServer {
    /// Answers on `responder`, working on the runtime `workers`; requests still unanswered when
    /// `give_up` is cancelled are answered `shutting_down`.
    pub fn new(
        verbs: Arc<Verbs>,
        responder: Responder,
        endpoints: Arc<Endpoints>,
        workers: Handle,
        tasks: TaskTracker,
        give_up: CancellationToken,
        observers: Observers,
    ) -> Self {
        Self {
            verbs,
            responder,
            endpoints,
            workers,
            tasks,
            permits: Arc::new(Semaphore::new(MAX_CONCURRENT + MAX_WAITERS)),
            observers,
            give_up,
        }
    }

    /// Answers requests until the intake is drained.
    pub async fn run(self, mut intake: Intake) {
        while let Some((route, message)) = intake.next().await {
            survived(&self.observers, self.accept(route, message)).await;
        }
    }

    async fn accept(&self, route: Route, message: Message) {
        let received = Instant::now();
        if route.verb == Verb::Report {
            return self.report(route, &message, received).await;
        }
        let Some(reply) = self.responder.reply_to(&message) else {
            return;
        };
        let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() else {
            self.observers.observe(&Observation::Overloaded);
            let outcome = Err(RegistryError::Overloaded);
            self.endpoints
                .record(route.verb, received.elapsed(), &outcome);
            return self.responder.send(reply, outcome).await;
        };
        let (verbs, responder) = (Arc::clone(&self.verbs), self.responder.clone());
        let (endpoints, give_up) = (Arc::clone(&self.endpoints), self.give_up.clone());
        let observers = self.observers.clone();
        self.tasks.spawn_on(
            async move {
                let max_bytes = responder.max_payload();
                let outcome = tokio::select! {
                    outcome = answered(&observers, verbs.answer(route, &message, max_bytes)) => outcome,
                    () = give_up.cancelled() => Err(given_up(route.verb)),
                };
                endpoints.record(route.verb, received.elapsed(), &outcome);
                responder.send(reply, outcome).await;
                drop(permit);
            },
            &self.workers,
        );
    }

    /// Enters a router's result, also where nobody waits for an answer. Done at once instead of in
    /// a task: it takes microseconds, and a router's results keep the order in which it sent them.
    async fn report(&self, route: Route, message: &Message, received: Instant) {
        let mut reply = None;
        if message.reply.is_some() {
            reply = self.responder.reply_to(message);
            if reply.is_none() {
                return;
            }
        }
        let max_bytes = self.responder.max_payload();
        let answer = self.verbs.answer(route, message, max_bytes);
        let outcome = answered(&self.observers, answer).await;
        self.endpoints
            .record(route.verb, received.elapsed(), &outcome);
        if let Some(reply) = reply {
            self.responder.send(reply, outcome).await;
        }
    }
}

/// A change goes on when nobody waits for it any more, as long as this process does.
fn given_up(verb: Verb) -> RegistryError {
    if matches!(verb, Verb::Write(_) | Verb::Circuit) {
        return RegistryError::OutcomeUnknown("this sidecar is shutting down".into());
    }
    RegistryError::ShuttingDown
}

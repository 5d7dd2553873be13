//! All verbs but lookups and calls: each request is a task, their number is bounded. Discovery
//! comes over the same connection.

use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::discovery::{Discovery, Question};
use super::link::lane::{Handler, Turn};
use super::replies::Answer;
use super::request::{Request, opened};
use super::respond::{Respond, hold, out};
use super::subjects::Route;
use super::verb::Verb;
use super::verbs::Verbs;
use super::wire::operation::Message;
use crate::documents;
use crate::documents::cancel::CancelArguments;
use crate::documents::change::Body;
use crate::documents::request::object_or_bare;
use crate::domain::overload::Overload;
use crate::service::boundary::answered;
use crate::service::budget::Budget;
use crate::service::error::RegistryError;
use crate::service::invoke::Cancellable;
use crate::service::progress::MAX_WAITERS;

/// Requests worked on at a time; one more is answered `overloaded`. Reads that wait for a revision
/// have places beside these, so what they wait for is never kept out by them.
const MAX_CONCURRENT: usize = 1024;
/// Bytes that such requests and the answers to reads hold at a time.
const MAX_BYTES: usize = 32 << 20;
/// Bytes that reads hold while they wait for a revision, lookups included.
const MAX_WAITING_BYTES: usize = 8 << 20;

/// What comes over the control connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// A request for a verb.
    Verb(Route),
    /// Who is there?
    Discovery(Question),
}

/// Hands each request to a task.
#[derive(Debug)]
pub struct ControlServer {
    /// The use cases.
    pub verbs: Arc<Verbs>,
    /// Calls under way.
    pub cancellable: Arc<Cancellable>,
    /// How answers are put.
    pub respond: Respond,
    /// Answers discovery.
    pub discovery: Discovery,
    /// Where the work is done.
    pub workers: Handle,
    /// Requests under way.
    pub tasks: TaskTracker,
    /// Their places, see [`places`].
    pub places: Arc<Semaphore>,
    /// The bytes they may hold.
    pub budgets: Budgets,
    /// Cancelled when the grace period of a shutdown is over.
    pub give_up: CancellationToken,
}

/// Whether a request may have changed something when it is given up.
fn changes(verb: Verb, payload: &[u8]) -> bool {
    match verb.writes() {
        true => !Body::read(verb, payload).is_ok_and(|body| body.is_dry_run()),
        false => verb == Verb::Circuit,
    }
}

/// Places for requests.
pub fn places() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(MAX_CONCURRENT + MAX_WAITERS))
}

/// Bytes for requests. As with places, what waits takes none of those that work needs.
#[derive(Debug, Clone)]
pub struct Budgets {
    /// Of requests that are worked on, and of answers.
    pub working: Arc<Budget>,
    /// Of reads that wait for a revision.
    pub waiting: Arc<Budget>,
}

impl Default for Budgets {
    fn default() -> Self {
        Self {
            working: Budget::new(MAX_BYTES),
            waiting: Budget::new(MAX_WAITING_BYTES),
        }
    }
}

impl Handler<Asked> for Arc<ControlServer> {
    fn message(&self, asked: Asked, message: &Message<'_>, turn: &mut Turn) {
        match asked {
            Asked::Verb(route) if route.verb == Verb::Report => self.report(route, message, turn),
            Asked::Verb(route) if route.verb == Verb::Cancel => self.cancel(route, message, turn),
            Asked::Verb(route) => self.request(route, message, turn),
            Asked::Discovery(question) => {
                if let Some(reply) = self.respond.reply_to(message) {
                    let outcome = Ok(Answer::plain(self.discovery.body(question)));
                    self.respond.append(&mut out(turn), reply, &outcome);
                }
            }
        }
    }

    fn panicked(&self, asked: Asked, message: &Message<'_>, turn: &mut Turn) {
        let verb = match asked {
            Asked::Verb(route) => Some(route.verb),
            Asked::Discovery(_) => None,
        };
        self.respond.panicked(verb, message, turn);
    }

    fn refused(&self, subject: &str) {
        self.respond.refused(subject);
    }
}

impl ControlServer {
    fn request(self: &Arc<Self>, route: Route, message: &Message<'_>, turn: &mut Turn) {
        let Some(reply) = self.respond.reply_to(message) else {
            return;
        };
        let received = turn.now;
        let begun = Request::read(route, message).and_then(|request| {
            let place = Arc::clone(&self.places).try_acquire_owned();
            let place = place.map_err(|_| Overload::Requests);
            let budget = match self.verbs.must_wait(route.verb, message.payload) {
                true => &self.budgets.waiting,
                false => &self.budgets.working,
            };
            let held = budget.take(message.size()).ok_or(Overload::Bytes);
            let held = place.and_then(|place| Ok((place, held?)));
            let held = held.map_err(RegistryError::Overloaded)?;
            Ok((request, held))
        });
        let (request, held) = match begun {
            Ok(begun) => begun,
            Err(error) => {
                return self.answer_now(route, &Err(error), Some(reply), turn);
            }
        };
        let (server, reply) = (Arc::clone(self), reply.to_vec());
        let answering = async move {
            let respond = &server.respond;
            let max_bytes = respond.outbox.max_payload();
            let answering = server.verbs.answer(route, &request, max_bytes);
            let mut outcome = tokio::select! {
                outcome = answered(respond.observers(), answering) => outcome,
                () = server.give_up.cancelled() => {
                    Err(RegistryError::unfinished(changes(route.verb, &request.payload)))
                }
            };
            // What changed something must not be told that nothing was done.
            let read = !route.verb.mutates();
            let answer = read.then(|| hold(&server.budgets.working, &mut outcome));
            let took = received.elapsed();
            respond.endpoints.record(route.verb, took, &outcome);
            respond.send(&reply, &outcome).await;
            drop((held, answer));
        };
        self.tasks.spawn_on(answering, &self.workers);
    }

    /// Counts an outcome, and answers it where an answer is asked for.
    fn answer_now(
        &self,
        route: Route,
        outcome: &Result<Answer, RegistryError>,
        reply: Option<&[u8]>,
        turn: &mut Turn,
    ) {
        let took = turn.now.elapsed();
        self.respond.endpoints.record(route.verb, took, outcome);
        if let Some(reply) = reply {
            self.respond.append(&mut out(turn), reply, outcome);
        }
    }

    /// Cancels a call, at once. Where every sidecar is asked, those that do not have it are silent.
    fn cancel(&self, route: Route, message: &Message<'_>, turn: &mut Turn) {
        let Some(reply) = self.respond.reply_to(message) else {
            return;
        };
        let cancelled = opened(route, message).and_then(|_| {
            let arguments: CancelArguments = object_or_bare(message.payload, "call")?;
            Ok(self.cancellable.cancel(arguments.call()?.as_str()))
        });
        if route.to_all && cancelled == Ok(0) {
            return;
        }
        let outcome = cancelled.map(|count| Answer::plain(documents::cancel::cancelled(count)));
        self.answer_now(route, &outcome, Some(reply), turn);
    }

    /// Enters a router's result, also when no answer is asked for. Done at once instead of in
    /// a task: it takes microseconds, and a router's results keep the order in which it sent them.
    fn report(&self, route: Route, message: &Message<'_>, turn: &mut Turn) {
        let allowed = |_| self.respond.reply_to(message);
        let reply = message.reply.and_then(allowed);
        if reply.is_none() && message.reply.is_some() {
            return;
        }
        let outcome = opened(route, message).and_then(|_| self.verbs.report(message.payload));
        self.answer_now(route, &outcome, reply, turn);
    }
}

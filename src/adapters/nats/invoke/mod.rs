//! Calls for routers: decoded and decided on the lane's thread, then waited for in a task that runs
//! there as well.
//!
//! It has a connection of its own, so that lookups are as fast beside a thousand calls as beside
//! none.

mod answer;
mod messenger;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use self::answer::First;
pub(super) use self::messenger::Messenger;
use super::calls::{CallUnderWay, Calls};
use super::link::lane::{Handler, Turn};
use super::replies::Answer;
use super::request::opened;
use super::respond::{Out, Respond, out};
use super::subjects::Route;
use super::verb::Verb;
use super::wire::operation::Message;
use super::wire::write::HeaderBlock;
use crate::documents;
use crate::documents::desk::Desk;
use crate::documents::invoke::{InvokeArguments, InvokeHeaders, TRACESTATE};
use crate::domain::call_id::CallId;
use crate::domain::overload::Overload;
use crate::service::boundary::{answered, survived};
use crate::service::budget::Held;
use crate::service::error::RegistryError;
use crate::service::invoke::{
    Accepted, Answered, CHUNK, END, Invoked, Invoker, Piece, Streaming, Trail,
};
use crate::service::observe::Observation;

/// Serves calls for routers.
#[derive(Debug)]
pub struct InvokeServer {
    /// The use case.
    pub invoker: Invoker<Arc<Calls>>,
    /// What makes the calls, and runs the tasks that wait for them.
    pub calls: Arc<Calls>,
    /// Explains what a call would do.
    pub desk: Arc<Desk>,
    /// How answers are put.
    pub respond: Respond,
    /// Calls under way.
    pub tasks: TaskTracker,
    /// Places for them; one more is answered `overloaded`.
    pub max_in_flight: usize,
    /// Places taken.
    pub in_flight: AtomicUsize,
    /// This sidecar.
    pub instance_id: String,
}

/// A request with what it holds until it is answered.
struct Job {
    place: Place,
    reply: Vec<u8>,
    received: Instant,
    /// What the call may be cancelled by.
    call_id: Option<CallId>,
    /// Whether the caller has had a message: only the first one names the call's id.
    begun: AtomicBool,
    /// A drain waits for it.
    _counted: TaskTrackerToken,
}

/// A place among the calls of this sidecar, and the bytes of the request; given back when dropped.
struct Place {
    server: Arc<InvokeServer>,
    _request: Held,
}

/// The last or only message of an answer.
enum Whole {
    Answered(Answered),
    End { first: Option<Trail>, sequence: u64 },
}

impl Handler<Route> for Arc<InvokeServer> {
    fn message(&self, route: Route, message: &Message<'_>, turn: &mut Turn) {
        let Some(reply) = self.respond.reply_to(message) else {
            return;
        };
        let received = Instant::from_std(turn.now);
        let Some(outcome) = self.begin(route, message, reply, received).transpose() else {
            return;
        };
        match &outcome {
            Ok(_) => self.respond.append(&mut out(turn), reply, &outcome),
            Err(error) => self.refuse(message, reply, error, turn),
        }
        self.count(received.elapsed(), &outcome);
    }

    fn panicked(&self, _route: Route, message: &Message<'_>, turn: &mut Turn) {
        self.respond.observers().observe(&Observation::Panicked);
        if let Some(reply) = self.respond.reply_to(message) {
            let error = RegistryError::Internal;
            self.refuse(message, reply, &error, turn);
            self.count(Duration::ZERO, &Err::<(), _>(error));
        }
    }

    fn refused(&self, subject: &str) {
        self.respond.refused(subject);
    }
}

impl InvokeServer {
    fn enter(self: &Arc<Self>, message: &Message<'_>) -> Result<Place, Overload> {
        let held = self.calls.budget.take(message.size());
        let place = Place {
            _request: held.ok_or(Overload::Bytes)?,
            server: Arc::clone(self),
        };
        let taken = self.in_flight.fetch_add(1, Ordering::AcqRel);
        (taken < self.max_in_flight)
            .then_some(place)
            .ok_or(Overload::Calls)
    }

    /// Begins a call, whose task will answer. One that is not to be made has its answer now.
    fn begin(
        self: &Arc<Self>,
        route: Route,
        message: &Message<'_>,
        reply: &[u8],
        received: Instant,
    ) -> Result<Option<Answer>, RegistryError> {
        let place = self.enter(message).map_err(RegistryError::Overloaded)?;
        let (headers, subject) = opened(route, message)?;
        let tracestate = headers.joined(TRACESTATE);
        let headers = InvokeHeaders::read(|name| match name {
            TRACESTATE => tracestate.as_deref(),
            name => headers.get(name),
        });
        let arguments = InvokeArguments::read(message.payload, route.id(subject))?;
        let mut invocation = arguments.invocation(&headers, received)?;
        if !arguments.dry_run() {
            let accepted = self.invoker.accept(&mut invocation)?;
            self.spawn(reply, received, place, accepted);
            return Ok(None);
        }
        let context = invocation.context.clone();
        let (reads, invoker) = (&self.desk.reads, &self.invoker);
        let explanation = reads.explain(invocation.id, invocation.version, context)?;
        let body = invoker.rehearse(&mut invocation, |plan, subject, headers| {
            documents::dry_run::rehearsed(&explanation, plan, subject, headers)
        })?;
        Ok(Some(Answer::plain(body)))
    }

    /// Answers a call that was not made; like any first message, with what it is known by.
    fn refuse(&self, message: &Message<'_>, reply: &[u8], error: &RegistryError, turn: &mut Turn) {
        let headers = message.headers.read().ok();
        let headers = headers.map(|headers| InvokeHeaders::read(|name| headers.get(name)));
        let call_id = headers.and_then(|headers| headers.known_as());
        let headers = |block: &mut HeaderBlock| {
            if let Some(id) = &call_id {
                answer::call_headers(block, id, &self.instance_id);
            }
        };
        self.respond
            .append_error(&mut out(turn), reply, error, headers);
    }

    fn spawn(&self, reply: &[u8], received: Instant, place: Place, accepted: Accepted) {
        let job = Job {
            reply: reply.to_vec(),
            received,
            call_id: accepted.call_id().cloned(),
            begun: AtomicBool::new(false),
            place,
            _counted: self.tasks.token(),
        };
        self.calls.spawn(async move {
            survived(job.server().respond.observers(), job.run(accepted)).await;
        });
    }

    fn count<T>(&self, took: Duration, outcome: &Result<T, RegistryError>) {
        self.respond.endpoints.record(Verb::Invoke, took, outcome);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.server.in_flight.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Job {
    fn server(&self) -> &InvokeServer {
        &self.place.server
    }

    async fn run(&self, accepted: Accepted) {
        let server = self.server();
        let observers = server.respond.observers();
        let invoked = answered(observers, server.invoker.call(accepted)).await;
        let outcome = match invoked {
            Ok(Invoked::Answer(answer)) => Ok(Whole::Answered(answer)),
            // Boxed: a stream is rare, and every call's task would have to hold room for it.
            Ok(Invoked::Stream(stream)) => {
                let relaying = Box::pin(self.relay(stream));
                answered(observers, relaying).await
            }
            Err(error) => Err(error),
        };
        self.finish(outcome).await;
    }

    /// Passes on a stream, message by message; its outcome is the one final message.
    async fn relay(
        &self,
        mut stream: Box<Streaming<CallUnderWay>>,
    ) -> Result<Whole, RegistryError> {
        let calls = &self.server().calls;
        let mut first = Some(stream.trail.clone());
        let audience = calls.watch(&self.reply, stream.canceller());
        for sequence in 1u64.. {
            match stream.next().await {
                Piece::Chunk(body) => {
                    let trail = first.take();
                    let headers = |block: &mut HeaderBlock| {
                        answer::stream(block, self.first(trail.as_ref()), CHUNK, sequence);
                    };
                    let back = calls.echo(&audience, sequence);
                    if let Err(error) = self.append(headers, &body, Some(&back)).await {
                        // A chunk is missing: what comes after it is of no use.
                        stream.give_up();
                        return Err(error);
                    }
                }
                Piece::End => return Ok(Whole::End { first, sequence }),
                Piece::Error(answered) => return Ok(Whole::Answered(answered)),
                Piece::Broken(error) => return Err(error),
            }
        }
        Err(RegistryError::Internal)
    }

    async fn finish(&self, outcome: Result<Whole, RegistryError>) {
        self.server().count(self.received.elapsed(), &outcome);
        let sent = match outcome {
            Ok(Whole::Answered(answered)) => {
                let headers = |block: &mut HeaderBlock| {
                    answer::headers(block, &answered, &self.server().instance_id);
                };
                self.append(headers, &answered.body, None).await
            }
            Ok(Whole::End { first, sequence }) => {
                let first = self.first(first.as_ref());
                let headers = |block: &mut HeaderBlock| answer::stream(block, first, END, sequence);
                self.append(headers, b"", None).await
            }
            Err(error) => Err(error),
        };
        if let Err(error) = sent {
            let respond = &self.server().respond;
            let append = |out: &mut Out<'_>| {
                respond.append_error(out, &self.reply, &error, |block| self.call_headers(block));
            };
            respond.submit(append).await;
        }
    }

    /// The headers of an error that is the first message.
    fn call_headers(&self, block: &mut HeaderBlock) {
        if let (Some(id), false) = (&self.call_id, self.begun.load(Ordering::Relaxed)) {
            answer::call_headers(block, id, &self.server().instance_id);
        }
    }

    /// The content of the first message.
    fn first<'t>(&'t self, trail: Option<&'t Trail>) -> Option<First<'t>> {
        Some((trail?, self.server().instance_id.as_str()))
    }

    /// Sends one message; `back` is its own reply subject.
    async fn append(
        &self,
        headers: impl Fn(&mut HeaderBlock),
        body: &[u8],
        back: Option<&[u8]>,
    ) -> Result<(), RegistryError> {
        let respond = &self.server().respond;
        let append =
            |out: &mut Out<'_>| respond.append_message(out, &self.reply, back, &headers, body);
        // What could not be sent was counted; an error could not be sent either.
        let sent = respond.submit(append).await;
        if let Some(Ok(())) = sent {
            self.begun.store(true, Ordering::Relaxed);
        }
        sent.unwrap_or(Err(RegistryError::Internal))
    }
}

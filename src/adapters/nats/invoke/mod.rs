//! The invocation loop: calls are made by tasks on the connection's own thread, a bounded number at a
//! time.
//!
//! It has a connection of its own, so that lookups are as fast beside a thousand calls as beside
//! none.

mod answer;
mod arguments;
mod workers;

use std::pin::{Pin, pin};
use std::sync::Arc;

use async_nats::{HeaderMap, Message, Subject};
use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use self::arguments::Arguments;
use self::workers::{Seat, Workers};
use super::actor::check_actor;
use super::endpoints::Endpoints;
use super::intake::Intake;
use super::mux::Mux;
use super::replies::Responder;
use super::subjects::Route;
use super::verb::Verb;
use crate::documents;
use crate::service::boundary::{answered, survived};
use crate::service::caller::Caller;
use crate::service::error::RegistryError;
use crate::service::invoke::{Invoked, Invoker, Piece, Streaming};
use crate::service::observe::{Observation, Observers};
use crate::service::read::Reads;

/// What the loop works with.
#[derive(Debug)]
pub struct InvokeServer {
    /// The use case.
    pub invoker: Invoker<Arc<Mux>>,
    /// Explains what a call would do.
    pub reads: Arc<Reads>,
    /// Where answers go.
    pub responder: Responder,
    /// Figures for discovery.
    pub endpoints: Arc<Endpoints>,
    /// Calls under way.
    pub tasks: TaskTracker,
    /// Places for them; one more is answered `overloaded`.
    pub places: Arc<Semaphore>,
    /// Who hears of it.
    pub observers: Observers,
    /// Cancelled when the grace period of a shutdown is over.
    pub give_up: CancellationToken,
}

/// The server and the tasks that work for it.
#[derive(Debug)]
struct Office {
    server: InvokeServer,
    workers: Workers<Job>,
}

/// A request with what it holds until it is answered.
#[derive(Debug)]
struct Job {
    request: Request,
    _place: OwnedSemaphorePermit,
    /// The drain waits for calls, not for tasks that wait for one.
    _counted: TaskTrackerToken,
}

impl InvokeServer {
    /// Makes calls until the intake is drained. Must run on the connection's own runtime.
    pub async fn run(self, mut intake: Intake) {
        let office = Arc::new(Office {
            server: self,
            workers: Workers::new(),
        });
        while let Some((route, message)) = intake.next().await {
            survived(&office.server.observers, office.accept(route, message)).await;
        }
        office.workers.close();
    }
}

impl Office {
    async fn accept(self: &Arc<Self>, route: Route, message: Message) {
        let (server, received) = (&self.server, Instant::now());
        let Some(reply) = server.responder.reply_to(&message) else {
            return;
        };
        let Ok(place) = Arc::clone(&server.places).try_acquire_owned() else {
            server.observers.observe(&Observation::Overloaded);
            let overloaded = Err(RegistryError::Overloaded);
            return server.finish(reply, received, overloaded).await;
        };
        let job = Job {
            request: Request {
                route,
                message,
                reply,
                received,
            },
            _place: place,
            _counted: server.tasks.token(),
        };
        if let Some(seat) = self.workers.hand_over(job) {
            tokio::spawn(Arc::clone(self).work(seat));
        }
    }

    async fn work(self: Arc<Self>, seat: Arc<Seat<Job>>) {
        // For all calls of this task: to begin and end this wait for each takes a lock each time.
        let mut give_up = pin!(self.server.give_up.cancelled());
        let mut first = true;
        while let Some(job) = self.workers.next(&seat, first).await {
            first = false;
            let answer = self.server.answer(&job.request, give_up.as_mut());
            survived(&self.server.observers, answer).await;
        }
    }
}

impl InvokeServer {
    async fn answer(&self, request: &Request, mut give_up: GiveUp<'_, '_>) {
        let (reply, received) = (request.reply.clone(), request.received);
        let invoked = tokio::select! {
            invoked = answered(&self.observers, self.invoke(request)) => invoked,
            () = &mut give_up => Err(RegistryError::ShuttingDown),
        };
        let outcome = match invoked {
            Ok(Answer::Whole(headers, body)) => Ok((headers, body)),
            Ok(Answer::Stream(stream)) => {
                // Boxed: a stream is rare, and every call's task would have to hold room for it.
                let relaying = Box::pin(self.relay(reply.clone(), stream, give_up));
                answered(&self.observers, relaying).await
            }
            Err(error) => Err(error),
        };
        self.finish(reply, received, outcome).await;
    }

    async fn invoke(&self, request: &Request) -> Result<Answer, RegistryError> {
        check_actor(request.route, &request.message.subject)?;
        let arguments = Arguments::read(request.route, &request.message, request.received)?;
        let mut invocation = arguments.invocation()?;
        if arguments.dry_run() {
            let context = invocation.context.clone();
            let explanation = self
                .reads
                .explain(invocation.id, invocation.version, context)?;
            let (plan, subject, headers) = self.invoker.rehearse(&mut invocation)?;
            let body = documents::dry_run::rehearsed(&explanation, &plan, &subject, &headers);
            return Ok(Answer::Whole(HeaderMap::new(), body));
        }
        Ok(match self.invoker.invoke(&mut invocation).await? {
            Invoked::Answer(answered) => Answer::Whole(answer::headers(&answered), answered.body),
            Invoked::Stream(stream) => Answer::Stream(Box::new(stream)),
        })
    }

    /// Passes on a stream, message by message; its outcome is the one final message.
    async fn relay(
        &self,
        reply: Subject,
        mut stream: Box<Streaming<<Arc<Mux> as Caller>::Call>>,
        mut give_up: GiveUp<'_, '_>,
    ) -> Result<(HeaderMap, Bytes), RegistryError> {
        let mut trail = Some(stream.trail.clone());
        for sequence in 1u64.. {
            let piece = tokio::select! {
                piece = stream.next() => piece,
                () = &mut give_up => Piece::Broken(RegistryError::ShuttingDown),
            };
            match piece {
                Piece::Chunk(body) => {
                    let headers = answer::chunk_headers(trail.take().as_ref(), sequence);
                    let sent = self.responder.send_piece(reply.clone(), headers, body);
                    if let Err(error) = sent.await {
                        // A chunk is missing: what comes after it is of no use.
                        stream.give_up();
                        return Err(error);
                    }
                }
                Piece::End => {
                    let headers = answer::end_headers(trail.take().as_ref(), sequence);
                    return Ok((headers, Bytes::new()));
                }
                Piece::Error(answered) => return Ok((answer::headers(&answered), answered.body)),
                Piece::Broken(error) => return Err(error),
            }
        }
        Err(RegistryError::Internal)
    }

    async fn finish(
        &self,
        reply: Subject,
        received: Instant,
        outcome: Result<(HeaderMap, Bytes), RegistryError>,
    ) {
        self.endpoints
            .record(Verb::Invoke, received.elapsed(), &outcome);
        self.responder.send_with(reply, outcome).await;
    }
}

/// Done when the grace period of a shutdown is over.
type GiveUp<'a, 't> = Pin<&'a mut WaitForCancellationFuture<'t>>;

/// A request to be answered.
#[derive(Debug)]
struct Request {
    route: Route,
    message: Message,
    reply: Subject,
    received: Instant,
}

/// What there is to answer with.
enum Answer {
    Whole(HeaderMap, Bytes),
    Stream(Box<Streaming<<Arc<Mux> as Caller>::Call>>),
}

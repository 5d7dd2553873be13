//! The invocation loop: each call is a task on the connection's own thread, their number is bounded.
//!
//! It has a connection of its own, so that lookups are as fast beside a thousand calls as beside
//! none.

mod answer;
mod arguments;

use std::sync::Arc;

use async_nats::{HeaderMap, Message, Subject};
use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::arguments::Arguments;
use super::actor::check_actor;
use super::endpoints::Endpoints;
use super::intake::Intake;
use super::mux::Mux;
use super::replies::Responder;
use super::subjects::Route;
use super::verb::Verb;
use crate::documents;
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

impl InvokeServer {
    /// Makes calls until the intake is drained. Must run on the connection's own runtime.
    pub async fn run(self, mut intake: Intake) {
        let server = Arc::new(self);
        while let Some((route, message)) = intake.next().await {
            server.accept(route, message).await;
        }
    }

    async fn accept(self: &Arc<Self>, route: Route, message: Message) {
        let received = Instant::now();
        let Some(reply) = self.responder.reply_to(&message) else {
            return;
        };
        match Arc::clone(&self.places).try_acquire_owned() {
            Ok(place) => {
                let server = Arc::clone(self);
                let request = Request {
                    route,
                    message,
                    reply,
                    received,
                };
                self.tasks.spawn(server.answer(request, place));
            }
            Err(_) => {
                self.observers.observe(&Observation::Overloaded);
                self.finish(reply, received, Err(RegistryError::Overloaded))
                    .await;
            }
        }
    }

    async fn answer(self: Arc<Self>, request: Request, _place: OwnedSemaphorePermit) {
        let Request {
            ref reply,
            received,
            ..
        } = request;
        let invoked = tokio::select! {
            invoked = self.invoke(&request) => invoked,
            () = self.give_up.cancelled() => Err(RegistryError::ShuttingDown),
        };
        let outcome = match invoked {
            Ok(Answer::Whole(headers, body)) => Ok((headers, body)),
            Ok(Answer::Stream(stream)) => {
                // Boxed: a stream is rare, and every call's task would have to hold room for it.
                return Box::pin(self.relay(reply.clone(), received, stream)).await;
            }
            Err(error) => Err(error),
        };
        self.finish(reply.clone(), received, outcome).await;
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

    /// Passes on a stream, message by message. It ends with exactly one final message.
    async fn relay(
        &self,
        reply: Subject,
        received: Instant,
        mut stream: Box<Streaming<<Arc<Mux> as Caller>::Call>>,
    ) {
        let mut trail = Some(stream.trail.clone());
        for sequence in 1u64.. {
            let piece = tokio::select! {
                piece = stream.next() => piece,
                () = self.give_up.cancelled() => Piece::Broken(RegistryError::ShuttingDown),
            };
            match piece {
                Piece::Chunk(body) => {
                    let headers = answer::chunk_headers(trail.take().as_ref(), sequence);
                    let sent = self.responder.send_piece(reply.clone(), headers, body);
                    if let Err(error) = sent.await {
                        // A chunk is missing: what comes after it is of no use.
                        stream.give_up();
                        return self.finish(reply, received, Err(error)).await;
                    }
                }
                Piece::End => {
                    let headers = answer::end_headers(trail.take().as_ref(), sequence);
                    return self
                        .finish(reply, received, Ok((headers, Bytes::new())))
                        .await;
                }
                Piece::Error(answered) => {
                    let answer = (answer::headers(&answered), answered.body);
                    return self.finish(reply, received, Ok(answer)).await;
                }
                Piece::Broken(error) => return self.finish(reply, received, Err(error)).await,
            }
        }
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

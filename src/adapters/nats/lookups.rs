//! The lookup loop: receive, decode, look up, publish.
//!
//! It runs on a thread of its own and awaits nothing between receipt and reply. Only a lookup that
//! asks for a revision not yet applied leaves the loop, into a task that waits for it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::{Message, Subject};
use bytes::Bytes;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::actor::check_actor;
use super::endpoints::Endpoints;
use super::headers;
use super::intake::Intake;
use super::payload::IdArguments;
use super::replies::{Answer, Responder};
use super::subjects::Route;
use super::verb::Verb;
use crate::documents;
use crate::domain::context::Context;
use crate::domain::ids::ExtensionId;
use crate::service::boundary::{answered, answered_now, survived};
use crate::service::error::RegistryError;
use crate::service::lookup::{Lookups, MAX_IDS};
use crate::service::observe::Observers;
use crate::service::progress::Progress;
use crate::service::spans::{OpenSpan, Spans, Work};

/// What the loop works with.
#[derive(Debug, Clone)]
pub struct LookupServer {
    /// The use case.
    pub lookups: Arc<Lookups>,
    /// Revisions as they are applied.
    pub progress: Progress,
    /// Where answers go.
    pub responder: Responder,
    /// Figures for discovery.
    pub endpoints: Arc<Endpoints>,
    /// Which lookups are recorded in traces.
    pub spans: Spans,
    /// Who hears of panics.
    pub observers: Observers,
    /// Lookups that wait for a revision.
    pub waiting: TaskTracker,
    /// Cancelled when the grace period of a shutdown is over.
    pub give_up: CancellationToken,
}

impl LookupServer {
    /// Answers lookups until the intake is drained.
    pub async fn run(self, mut intake: Intake) {
        while let Some((route, message)) = intake.next().await {
            survived(&self.observers, self.accept(route, message)).await;
        }
    }

    async fn accept(&self, route: Route, message: Message) {
        let received = Instant::now();
        let Some(reply) = self.responder.reply_to(&message) else {
            return;
        };
        let mut span = self.begin(&message, received);
        let now = answered_now(&self.observers, || {
            let lookup = Lookup::read(route, &message)?;
            if self.must_wait(&lookup) {
                return Ok(None);
            }
            lookup.describe(span.as_mut());
            self.answer(lookup).map(Some)
        });
        match now.transpose() {
            Some(outcome) => self.finish(reply, received, outcome, span).await,
            None => self.defer(message, route, reply, received, span),
        }
    }

    fn begin(&self, message: &Message, received: Instant) -> Option<OpenSpan> {
        if !self.spans.are_recorded() {
            return None;
        }
        let traceparent = headers::find(message.headers.as_ref(), "traceparent");
        self.spans.begin(Work::Lookup, traceparent, received)
    }

    fn must_wait(&self, lookup: &Lookup<'_>) -> bool {
        let min_revision = lookup.arguments.min_revision;
        min_revision.is_some_and(|wanted| wanted > self.progress.current())
    }

    /// Waits for the revision beside the loop. The message is decoded again there: its arguments
    /// borrow from it, and this path is rare.
    fn defer(
        &self,
        message: Message,
        route: Route,
        reply: Subject,
        received: Instant,
        span: Option<OpenSpan>,
    ) {
        let server = self.clone();
        self.waiting.spawn(async move {
            let outcome = tokio::select! {
                outcome = answered(&server.observers, server.answer_later(&message, route)) => outcome,
                () = server.give_up.cancelled() => Err(RegistryError::ShuttingDown),
            };
            server.finish(reply, received, outcome, span).await;
        });
    }

    async fn answer_later(&self, message: &Message, route: Route) -> Result<Answer, RegistryError> {
        let lookup = Lookup::read(route, message)?;
        let IdArguments {
            min_revision,
            wait_ms,
            ..
        } = lookup.arguments;
        self.progress.wait(min_revision, wait_ms).await?;
        self.answer(lookup)
    }

    fn answer(&self, lookup: Lookup<'_>) -> Result<Answer, RegistryError> {
        let Lookup { arguments, context } = lookup;
        match &arguments.ids {
            Some(ids) => self.answer_many(&arguments, ids, &context),
            None => self.answer_one(&arguments, context),
        }
    }

    fn answer_one(
        &self,
        arguments: &IdArguments<'_>,
        context: Context,
    ) -> Result<Answer, RegistryError> {
        // Read before the record, so that the answer is at least as new as it says.
        let revision = arguments.min_revision.map(|_| self.lookups.revision());
        let body: Bytes =
            self.lookups
                .one(arguments.id()?, arguments.version.as_deref(), context)?;
        Ok(Answer {
            revision,
            ..Answer::plain(body)
        })
    }

    fn answer_many(
        &self,
        arguments: &IdArguments<'_>,
        ids: &[std::borrow::Cow<'_, str>],
        context: &Context,
    ) -> Result<Answer, RegistryError> {
        if arguments.id.is_some() {
            return Err(RegistryError::field("ids", "cannot stand beside `id`"));
        }
        if arguments.version.is_some() {
            return Err(RegistryError::field("version", "needs one `id`"));
        }
        if ids.is_empty() || ids.len() > MAX_IDS {
            return Err(RegistryError::field(
                "ids",
                format!("must have 1 to {MAX_IDS} ids"),
            ));
        }
        let ids: Vec<&str> = ids.iter().map(AsRef::as_ref).collect();
        let many = self.lookups.many(&ids, context);
        let body = documents::lookup::many(&many, self.responder.max_payload());
        Ok(Answer::at(many.revision, body))
    }

    async fn finish(
        &self,
        reply: Subject,
        received: Instant,
        outcome: Result<Answer, RegistryError>,
        span: Option<OpenSpan>,
    ) {
        if let Some(span) = &span {
            span.end(outcome.as_ref().err().map(RegistryError::code));
        }
        let took: Duration = received.elapsed();
        self.lookups.meter.duration.record(took);
        self.endpoints.record(Verb::Lookup, took, &outcome);
        self.responder.send(reply, outcome).await;
    }
}

/// A lookup understood.
struct Lookup<'a> {
    arguments: IdArguments<'a>,
    context: Context,
}

impl<'a> Lookup<'a> {
    fn read(route: Route, message: &'a Message) -> Result<Self, RegistryError> {
        check_actor(route, &message.subject)?;
        let arguments = IdArguments::read(&message.payload, route.id(&message.subject))?;
        let context = arguments.context()?;
        Ok(Self { arguments, context })
    }

    /// Notes what it asks for: ids as such, anything else is the request's own.
    fn describe(&self, span: Option<&mut OpenSpan>) {
        let Some(span) = span else {
            return;
        };
        match (&self.arguments.ids, self.arguments.id()) {
            (Some(ids), _) => span.note("beamline.extension.count", ids.len()),
            (None, Ok(id)) => {
                if let Ok(id) = ExtensionId::parse(id) {
                    span.note("beamline.extension.id", id);
                }
            }
            (None, Err(_)) => {}
        }
    }
}

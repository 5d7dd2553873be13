//! Lookups: decoded, looked up and answered on the lane's thread, one after the other.
//!
//! The bytes of a prepared reply are copied once, under the catalog's guard, to where they leave.
//! Only a lookup that asks for a revision not yet applied leaves the thread, into a task that waits
//! for it.

use std::str;
use std::sync::Arc;
use std::time::{Duration, Instant};

use memchr::memchr;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::control::Budgets;
use super::link::lane::{Handler, Turn};
use super::replies::Answer;
use super::request::opened;
use super::respond::{Respond, hold, out};
use super::subjects::Route;
use super::verb::Verb;
use super::wire::operation::Message;
use super::wire::write;
use crate::documents;
use crate::documents::lookup::{Asked, LookupArguments};
use crate::domain::context::Context;
use crate::domain::ids::ExtensionId;
use crate::domain::overload::Overload;
use crate::service::boundary::answered;
use crate::service::budget::Held;
use crate::service::error::RegistryError;
use crate::service::lookup::{Lookups, named};
use crate::service::progress::Progress;
use crate::service::spans::{OpenSpan, Spans, Work};

/// What lookups are answered with.
#[derive(Debug, Clone)]
pub struct LookupServer {
    /// The use case.
    pub lookups: Arc<Lookups>,
    /// Revisions as they are applied.
    pub progress: Progress,
    /// How answers are put.
    pub respond: Respond,
    /// Which lookups are recorded in traces.
    pub spans: Spans,
    /// Where lookups wait for a revision.
    pub runtime: Handle,
    /// The bytes that such lookups, and their answers, may hold.
    pub budgets: Budgets,
    /// Lookups that wait for a revision.
    pub waiting: TaskTracker,
    /// Cancelled when the grace period of a shutdown is over.
    pub give_up: CancellationToken,
}

impl Handler<Route> for LookupServer {
    fn message(&self, route: Route, message: &Message<'_>, turn: &mut Turn) {
        let Some(reply) = self.respond.reply_to(message) else {
            return;
        };
        let received = turn.now;
        let mut span = self.begin(message, received);
        let outcome = match Lookup::read(route, message) {
            Ok(lookup) if self.must_wait(&lookup) => {
                match self.budgets.waiting.take(message.size()) {
                    Some(held) => {
                        return self.defer(message, held, route, reply, received, span);
                    }
                    None => Err(RegistryError::Overloaded(Overload::Bytes)),
                }
            }
            Ok(lookup) => {
                lookup.describe(span.as_mut());
                if self.answer_at_once(&lookup, reply, turn) {
                    // One reading of the clock for each lookup: its end is the next one's begin.
                    turn.now = Instant::now();
                    return self.count(turn.now - received, &Ok(()), span);
                }
                self.answer(lookup)
            }
            Err(error) => Err(error),
        };
        self.respond.append(&mut out(turn), reply, &outcome);
        turn.now = Instant::now();
        self.count(turn.now - received, &outcome, span);
    }

    fn foresee(&self, messages: &mut dyn Iterator<Item = (Route, Message<'_>)>) {
        let ids = messages.filter_map(|(route, message)| {
            let id = match route.has_id {
                true => message.subject.rsplit(|byte| *byte == b'.').next(),
                false => likely_id(message.payload),
            };
            str::from_utf8(id?).ok()
        });
        self.lookups.fetch(ids);
    }

    fn panicked(&self, _route: Route, message: &Message<'_>, turn: &mut Turn) {
        self.respond.panicked(Some(Verb::Lookup), message, turn);
    }

    fn refused(&self, subject: &str) {
        self.respond.refused(subject);
    }
}

impl LookupServer {
    fn begin(&self, message: &Message<'_>, received: Instant) -> Option<OpenSpan> {
        if !self.spans.are_recorded() {
            return None;
        }
        let headers = message.headers.read().unwrap_or_default();
        let traceparent = headers.get("traceparent");
        self.spans.begin(Work::Lookup, traceparent, received)
    }

    /// The most frequent lookup by far: one id, no version, nothing that could choose between two
    /// answers, no extra headers.
    fn answer_at_once(&self, lookup: &Lookup<'_>, reply: &[u8], turn: &mut Turn) -> bool {
        let arguments = &lookup.arguments;
        let (Some(id), None, None, None) = (
            arguments.id.as_deref(),
            &arguments.ids,
            &arguments.version,
            arguments.min_revision,
        ) else {
            return false;
        };
        let (max_payload, bytes) = (turn.max_payload, &mut turn.out);
        self.respond.is_plain()
            && self.lookups.at_once(id, |body| {
                let fits = body.len() <= max_payload;
                if fits {
                    write::publish(bytes, reply, None, body);
                }
                fits
            })
    }

    fn must_wait(&self, lookup: &Lookup<'_>) -> bool {
        let min_revision = lookup.arguments.min_revision;
        min_revision.is_some_and(|wanted| wanted > self.progress.current())
    }

    /// Waits for the revision elsewhere. The message is decoded again there: it lies in the lane's
    /// buffer, and this path is rare.
    fn defer(
        &self,
        message: &Message<'_>,
        held: Held,
        route: Route,
        reply: &[u8],
        received: Instant,
        span: Option<OpenSpan>,
    ) {
        let (server, reply, payload) = (self.clone(), reply.to_vec(), message.payload.to_vec());
        // Nothing is lost: it has been read as text.
        let subject = String::from_utf8_lossy(message.subject).into_owned();
        let answering = async move {
            let respond = &server.respond;
            let later = server.answer_later(route, &subject, &payload);
            let mut outcome = tokio::select! {
                outcome = answered(respond.observers(), later) => outcome,
                () = server.give_up.cancelled() => Err(RegistryError::ShuttingDown),
            };
            let answer = hold(&server.budgets.working, &mut outcome);
            respond.send(&reply, &outcome).await;
            server.count(received.elapsed(), &outcome, span);
            drop((held, answer));
        };
        self.waiting.spawn_on(answering, &self.runtime);
    }

    async fn answer_later(
        &self,
        route: Route,
        subject: &str,
        payload: &[u8],
    ) -> Result<Answer, RegistryError> {
        let lookup = Lookup::of(route, subject, payload)?;
        let (min_revision, wait_ms) = (lookup.arguments.min_revision, lookup.arguments.wait_ms);
        // No revision makes a valid request of it.
        if let Asked::One(id) = lookup.arguments.asked()? {
            ExtensionId::parse(id).map_err(|rule| RegistryError::field("id", rule))?;
        }
        self.progress.wait(min_revision, wait_ms).await?;
        self.answer(lookup)
    }

    fn answer(&self, lookup: Lookup<'_>) -> Result<Answer, RegistryError> {
        let Lookup { arguments, context } = lookup;
        match arguments.asked()? {
            Asked::One(id) => {
                // Read before the record, so that the answer is at least as new as it claims.
                let revision = arguments.min_revision.map(|_| self.lookups.revision());
                let version = arguments.version.as_deref();
                let body = self.lookups.one(id, version, context)?;
                Ok(Answer {
                    revision,
                    ..Answer::plain(body)
                })
            }
            Asked::Many(ids) => {
                let many = self.lookups.many(&ids, &context);
                let body = documents::lookup::many(&many, self.respond.outbox.max_payload());
                Ok(Answer::at(many.revision, body))
            }
        }
    }

    fn count<T>(&self, took: Duration, outcome: &Result<T, RegistryError>, span: Option<OpenSpan>) {
        if let Some(span) = &span {
            span.end(outcome.as_ref().err().map(RegistryError::code));
        }
        self.lookups.meter.duration.record(took);
        self.respond.endpoints.record(Verb::Lookup, took, outcome);
    }
}

/// The id in a payload as nearly all routers write it.
fn likely_id(payload: &[u8]) -> Option<&[u8]> {
    let rest = payload.strip_prefix(br#"{"id":""#)?;
    rest.get(..memchr(b'"', rest)?)
}

/// A lookup understood.
struct Lookup<'a> {
    arguments: LookupArguments<'a>,
    context: Context,
}

impl<'a> Lookup<'a> {
    /// Understands `message`. A lookup reads no header, but refuses a block that cannot be read.
    fn read(route: Route, message: &Message<'a>) -> Result<Self, RegistryError> {
        let (_, subject) = opened(route, message)?;
        Self::of(route, subject, message.payload)
    }

    fn of(route: Route, subject: &'a str, payload: &'a [u8]) -> Result<Self, RegistryError> {
        let arguments = LookupArguments::read(payload, route.id(subject))?;
        let context = arguments.context()?;
        named(arguments.version.as_deref())?;
        Ok(Self { arguments, context })
    }

    /// Notes what it asks for: ids as such, anything else is the request's own.
    fn describe(&self, span: Option<&mut OpenSpan>) {
        let Some(span) = span else {
            return;
        };
        let LookupArguments { id, ids, .. } = &self.arguments;
        if let Some(ids) = ids {
            span.note("beamline.extension.count", ids.len());
        } else if let Some(Ok(id)) = id.as_deref().map(ExtensionId::parse) {
            span.note("beamline.extension.id", id);
        }
    }
}

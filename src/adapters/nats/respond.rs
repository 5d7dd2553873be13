//! Answers on a lane of our own, appended to what leaves with the next write.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::endpoints::Endpoints;
use super::link::lane::Turn;
use super::link::outbox::Outbox;
use super::replies::{Answer, ReplyRules};
use super::verb::Verb;
use super::wire::operation::Message;
use super::wire::write::{self, HeaderBlock};
use crate::documents;
use crate::documents::headers::{REVISION, SOURCE, STALE_MS};
use crate::domain::overload::Overload;
use crate::service::budget::{Budget, Held};
use crate::service::clock::standstill::timeout;
use crate::service::error::RegistryError;
use crate::service::observe::{DropReason, Observation, Observers};
use crate::service::status::Status;

/// The number of the error code.
pub const ERROR_CODE: &str = "Nats-Service-Error-Code";
/// The fixed text of the error code.
pub const ERROR: &str = "Nats-Service-Error";

/// How long an answer waits for room to be sent.
const PATIENCE: Duration = Duration::from_secs(10);

/// Answers the requests of a lane.
#[derive(Debug, Clone)]
pub struct Respond {
    rules: Arc<ReplyRules>,
    status: Arc<Status>,
    /// Figures for discovery, of all lanes.
    pub endpoints: Arc<Endpoints>,
    /// Where answers go that are not at hand during the turn of their request.
    pub outbox: Arc<Outbox>,
}

/// Where an answer goes.
#[derive(Debug)]
pub struct Out<'o> {
    /// What leaves with the next write.
    pub bytes: &'o mut Vec<u8>,
    /// Scratch memory for a header block.
    pub headers: &'o mut HeaderBlock,
    /// The most bytes of a message that the server takes, headers included.
    pub max_payload: usize,
}

/// The end of the turn.
pub fn out(turn: &mut Turn) -> Out<'_> {
    Out {
        bytes: &mut turn.out,
        headers: &mut turn.headers,
        max_payload: turn.max_payload,
    }
}

impl Out<'_> {
    /// The most bytes of a body beside the headers there are.
    fn room(&self) -> usize {
        self.max_payload.saturating_sub(self.headers.wire_len())
    }
}

impl Respond {
    /// Answers where `rules` allow it, with the headers that `status` adds about the data.
    pub fn new(rules: ReplyRules, status: Arc<Status>) -> Self {
        Self {
            endpoints: Arc::new(Endpoints::new(rules.observers.clone())),
            outbox: Arc::default(),
            rules: Arc::new(rules),
            status,
        }
    }

    /// The same for the lane of `outbox`.
    pub fn over(&self, outbox: &Arc<Outbox>) -> Self {
        Self {
            outbox: Arc::clone(outbox),
            ..self.clone()
        }
    }

    /// Observers of what happens to requests.
    pub fn observers(&self) -> &Observers {
        &self.rules.observers
    }

    /// Where to answer `message`; `None`, counted, if nowhere.
    pub fn reply_to<'m>(&self, message: &Message<'m>) -> Option<&'m [u8]> {
        self.rules.allowed(message.reply)
    }

    /// The server did not permit what was sent to `subject`.
    pub fn refused(&self, subject: &str) {
        self.rules.refused(subject);
    }

    /// Answers a message over which its handler panicked; `verb` is what it asked for, if it is counted.
    pub fn panicked(&self, verb: Option<Verb>, message: &Message<'_>, turn: &mut Turn) {
        self.observers().observe(&Observation::Panicked);
        let Some(reply) = message.reply.and_then(|_| self.reply_to(message)) else {
            return;
        };
        let outcome = Err(RegistryError::Internal);
        self.append(&mut out(turn), reply, &outcome);
        if let Some(verb) = verb {
            self.endpoints.record(verb, Duration::ZERO, &outcome);
        }
    }

    /// Whether an answer needs no header. A header costs the server a parse.
    pub fn is_plain(&self) -> bool {
        self.status.annotations().is_none()
    }

    /// Appends the answer or the error.
    pub fn append(&self, out: &mut Out<'_>, reply: &[u8], outcome: &Result<Answer, RegistryError>) {
        match outcome {
            Ok(answer) => self.append_answer(out, reply, answer),
            Err(error) => self.append_error(out, reply, error, |_| {}),
        }
    }

    fn append_answer(&self, out: &mut Out<'_>, reply: &[u8], answer: &Answer) {
        let headers = |block: &mut HeaderBlock| {
            if let Some(revision) = answer.revision {
                block.push_number(REVISION, revision);
            }
        };
        if let Err(error) = self.append_message(out, reply, None, headers, &answer.body) {
            self.append_error(out, reply, &error, |_| {});
        }
    }

    /// Appends a message with the headers that `headers` adds; `back` is a reply subject of its own.
    ///
    /// # Errors
    /// It is larger than the server takes; nothing was appended.
    pub fn append_message(
        &self,
        out: &mut Out<'_>,
        reply: &[u8],
        back: Option<&[u8]>,
        headers: impl FnOnce(&mut HeaderBlock),
        body: &[u8],
    ) -> Result<(), RegistryError> {
        // The caller's may be as long as a server takes: without ours nobody hears that the receiver
        // is gone, and with it the connection would be.
        let back = back.filter(|back| reply.len() + back.len() <= write::MAX_SUBJECTS);
        self.annotate(out.headers);
        headers(out.headers);
        if out.headers.is_empty() && body.len() <= out.max_payload {
            write::publish(out.bytes, reply, back, body);
            return Ok(());
        }
        // The server counts the headers too, as they are on the wire.
        if out.headers.wire_len() + body.len() > out.max_payload {
            let (what, limit_bytes) = ("the reply", out.max_payload);
            return Err(RegistryError::PayloadTooLarge { what, limit_bytes });
        }
        write::publish_with_headers(out.bytes, reply, back, out.headers, body);
        Ok(())
    }

    /// Appends an error, with the headers that `headers` adds, or as much of it as the server takes.
    /// If that is nothing, it is counted: what the server does not take ends the connection.
    pub fn append_error(
        &self,
        out: &mut Out<'_>,
        reply: &[u8],
        error: &RegistryError,
        headers: impl FnOnce(&mut HeaderBlock),
    ) {
        self.annotate(out.headers);
        headers(out.headers);
        error_headers(out.headers, error);
        let body = error_body(error, out.room()).or_else(|| {
            out.headers.clear();
            error_headers(out.headers, error);
            error_body(error, out.room())
        });
        match body {
            Some(body) => {
                write::publish_with_headers(out.bytes, reply, None, out.headers, &body);
            }
            None => self.rules.drop_request(DropReason::PublishFailed, None),
        }
    }

    fn annotate(&self, headers: &mut HeaderBlock) {
        headers.clear();
        if let Some(annotations) = self.status.annotations() {
            if let Some(stale_ms) = annotations.stale_ms {
                headers.push_number(STALE_MS, stale_ms);
            }
            if annotations.fixtures {
                let _ = headers.push(SOURCE, "fixtures");
            }
        }
    }

    /// Sends an answer that was not at hand during the turn of its request; one that cannot be sent
    /// is counted.
    pub async fn send(&self, reply: &[u8], outcome: &Result<Answer, RegistryError>) {
        self.submit(|out| self.append(out, reply, outcome)).await;
    }

    /// Sends the answers that `append` adds like [`append`](Self::append), outside the turn of
    /// their request. Without a connection they wait for the next one. Where too much waits
    /// already, waits for room; an answer that finds none in time is lost and counted.
    pub async fn submit<T>(&self, append: impl Fn(&mut Out<'_>) -> T) -> Option<T> {
        let outbox = &self.outbox;
        let attempt = || {
            let sent = outbox.submit_or_keep(|bytes, headers| {
                append(&mut Out {
                    bytes,
                    headers,
                    // Asked here: until now the connection could become another.
                    max_payload: outbox.max_payload(),
                })
            });
            sent.ok()
        };
        if let Some(done) = attempt() {
            return Some(done);
        }
        let sending = async {
            loop {
                outbox.room().await;
                if let Some(done) = attempt() {
                    return done;
                }
            }
        };
        let sent = timeout(PATIENCE, sending).await.ok();
        if sent.is_none() {
            self.rules.drop_request(DropReason::PublishFailed, None);
        }
        sent
    }
}

/// The headers that every error has.
fn error_headers(headers: &mut HeaderBlock, error: &RegistryError) {
    headers.push_number(ERROR_CODE, error.number().into());
    // A fixed text, which any header can hold.
    let _ = headers.push(ERROR, error.title());
}

/// The most detailed body of at most `room` bytes.
fn error_body(error: &RegistryError, room: usize) -> Option<Bytes> {
    let whole = documents::error::error(error);
    if whole.len() <= room {
        return Some(whole);
    }
    let mut shorter = documents::error::shorter(error).into_iter();
    shorter.find(|body| body.len() <= room)
}

/// The bytes that an answer holds until it is sent. One that would be too much is refused: nothing was
/// done for it but reading.
pub fn hold(budget: &Arc<Budget>, outcome: &mut Result<Answer, RegistryError>) -> Option<Held> {
    let held = budget.take(outcome.as_ref().ok()?.body.len());
    if held.is_none() {
        *outcome = Err(RegistryError::Overloaded(Overload::Bytes));
    }
    held
}

#[cfg(test)]
#[path = "respond_tests.rs"]
mod tests;

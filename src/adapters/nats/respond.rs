//! Answers on a lane of our own, appended to what leaves with the next write.

use std::sync::Arc;

use super::link::outbox::Outbox;
use super::replies::{Answer, ERROR, ERROR_CODE, ReplyRules};
use super::wire::operation::Message;
use super::wire::write::{self, HeaderBlock};
use crate::documents;
use crate::documents::headers::{REVISION, SOURCE, STALE_MS};
use crate::service::error::RegistryError;
use crate::service::observe::DropReason;
use crate::service::status::Status;

/// Answers requests.
#[derive(Debug, Clone)]
pub struct Respond {
    rules: Arc<ReplyRules>,
    status: Arc<Status>,
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

impl Respond {
    /// Answers what `rules` allow, with what `status` has to say about the data.
    pub fn new(rules: Arc<ReplyRules>, status: Arc<Status>) -> Self {
        Self { rules, status }
    }

    /// Where to answer `message`; `None`, counted, if nowhere.
    pub fn reply_to<'m>(&self, message: &Message<'m>) -> Option<&'m [u8]> {
        self.rules.allowed(message.reply)
    }

    /// Whether an answer needs no header. A header costs the server a parse.
    pub fn is_plain(&self) -> bool {
        self.status.annotations().is_none()
    }

    /// Appends the answer or the error.
    pub fn append(&self, out: &mut Out<'_>, reply: &[u8], outcome: &Result<Answer, RegistryError>) {
        match outcome {
            Ok(answer) => self.append_answer(out, reply, answer),
            Err(error) => self.append_error(out, reply, error),
        }
    }

    fn append_answer(&self, out: &mut Out<'_>, reply: &[u8], answer: &Answer) {
        self.annotate(out.headers);
        if let Some(revision) = answer.revision {
            out.headers.push_number(REVISION, revision);
        }
        if out.headers.is_empty() && answer.body.len() <= out.max_payload {
            return write::publish(out.bytes, reply, None, &answer.body);
        }
        // The server counts the headers too, as they are on the wire.
        if out.headers.wire_len() + answer.body.len() > out.max_payload {
            let limit_bytes = out.max_payload;
            let what = "the reply";
            let error = RegistryError::PayloadTooLarge { what, limit_bytes };
            return self.append_error(out, reply, &error);
        }
        write::publish_with_headers(out.bytes, reply, None, out.headers, &answer.body);
    }

    fn append_error(&self, out: &mut Out<'_>, reply: &[u8], error: &RegistryError) {
        self.annotate(out.headers);
        out.headers.push_number(ERROR_CODE, error.number().into());
        // A fixed text, which any header can hold.
        let _ = out.headers.push(ERROR, error.title());
        let room = out.max_payload.saturating_sub(out.headers.wire_len());
        let mut body = documents::error::error(error);
        if body.len() > room {
            // Where not even the shortest fits, it is the server's to say so.
            let [shorter, shortest] = documents::error::shorter(error);
            body = if shorter.len() <= room {
                shorter
            } else {
                shortest
            };
        }
        write::publish_with_headers(out.bytes, reply, None, out.headers, &body);
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

    /// Sends an answer from another thread than the lane's; one that cannot be sent is counted.
    pub fn send(&self, outbox: &Outbox, reply: &[u8], outcome: &Result<Answer, RegistryError>) {
        let max_payload = outbox.max_payload();
        let mut headers = HeaderBlock::default();
        let sent = outbox.submit(|bytes| {
            let headers = &mut headers;
            let mut out = Out {
                bytes,
                headers,
                max_payload,
            };
            self.append(&mut out, reply, outcome);
        });
        if sent.is_err() {
            self.rules.drop_request(DropReason::PublishFailed, None);
        }
    }
}

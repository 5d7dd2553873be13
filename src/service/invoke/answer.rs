//! What a router gets back.

use std::time::Duration;

use bytes::Bytes;

use super::stream::STREAM;
use crate::domain::call_id::CallId;
use crate::domain::ids::{ExtensionId, InstanceId, VersionName};
use crate::domain::outcome::{Answer, Ended, Failure, Outcome};
use crate::domain::push_back::Hint;
use crate::domain::reply;
use crate::service::caller::Reply;
use crate::service::clock::wait_millis;

/// The number of an error's code, in a reply.
pub const ERROR_CODE: &str = "Nats-Service-Error-Code";
/// The text of an error, in a reply.
const ERROR_TEXT: &str = "Nats-Service-Error";
/// The code of an extension's error that named none.
const BAD_GATEWAY: &str = "502";

/// How an attempt ended that `reply` answers.
pub(super) fn ended(reply: &Reply) -> Ended<'_> {
    let error_code = reply.headers.get(ERROR_CODE);
    // Only an error can ask to be left alone.
    let hint = error_code.and_then(|_| Hint::read(|name| reply.headers.get(name)));
    Ended::Reply {
        error_code,
        hint,
        body: &reply.payload,
    }
}

/// The outcome of a reply that is an error, and whether it lacks a usable code; `None` of any other:
/// codes below 400 are no error, and without a code a piece of a stream may hold anything.
pub(super) fn error(reply: &Reply) -> Option<(Outcome, bool)> {
    let has = |name: &str| reply.headers.get(name).is_some();
    if has(STREAM) && !has(ERROR_CODE) {
        return None;
    }
    match ended(reply).classify() {
        (outcome, Answer::ErrorReply { lacks_code }) => Some((outcome, lacks_code)),
        _ => None,
    }
}

/// The extension's text for a failure: the one in the headers, and the one in the body where that
/// has more. A body that is not JSON is an error text only with the code of an error; without one
/// it may be a payload.
pub(super) fn said(reply: &Reply, failure: Failure) -> Option<String> {
    let has_code = reply.headers.get(ERROR_CODE).is_some();
    let text = reply.headers.get(ERROR_TEXT).map(str::trim);
    let text = text.filter(|text| has_code && !text.is_empty());
    let more = match failure {
        Failure::ErrorReply { .. } => reply::error_text(&reply.payload, has_code),
        _ => None,
    };
    match (text, more) {
        (Some(text), Some(more)) if !more.contains(text) && !text.contains(&more) => {
            Some(format!("{text}: {more}"))
        }
        (Some(text), Some(more)) => Some(more)
            .filter(|it| it.len() > text.len())
            .or(Some(text.to_owned())),
        (text, more) => more.or_else(|| text.map(str::to_owned)),
    }
}

/// An answer of the extension, byte for byte.
#[derive(Debug)]
pub struct Answered {
    /// The body.
    pub body: Bytes,
    /// Its own error text, if it is an error: boxed, as that is rare.
    pub error: Option<Box<ErrorHeaders>>,
    /// Which version answered, and why.
    pub trail: Trail,
}

/// The headers of an error that the extension itself replied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorHeaders {
    /// `Nats-Service-Error-Code`.
    pub code: String,
    /// `Nats-Service-Error`.
    pub text: String,
    /// How long it wants to be left alone, in milliseconds, where it pushed back.
    pub retry_after_ms: Option<u64>,
}

impl ErrorHeaders {
    /// The error of `reply`; 502 where it had no readable code. A `rest` is what it asked for by
    /// pushing back.
    pub(super) fn of(reply: Option<&Reply>, lacks_code: bool, rest: Option<Duration>) -> Self {
        let header = |name: &str| Some(reply?.headers.get(name)?.to_owned());
        let code = header(ERROR_CODE).filter(|_| !lacks_code);
        Self {
            code: code.unwrap_or_else(|| BAD_GATEWAY.to_owned()),
            text: header(ERROR_TEXT).unwrap_or_else(|| "extension error".to_owned()),
            retry_after_ms: rest.map(wait_millis),
        }
    }
}

/// Which version answered, and why.
#[derive(Debug, Clone)]
pub struct Trail {
    /// The extension that answered.
    pub id: ExtensionId,
    /// Its version.
    pub version: VersionName,
    /// Its instance, if it has any.
    pub instance: Option<InstanceId>,
    /// Attempts, the last one included.
    pub attempts: u32,
    /// From the start of the last attempt to the answer, or to its beginning.
    pub latency: Duration,
    /// The extension that was asked for, where a fallback answered.
    pub fallback_from: Option<ExtensionId>,
    /// What the call is known by, where it may be, or could have been, cancelled.
    pub call_id: Option<CallId>,
}

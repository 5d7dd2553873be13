//! What a router gets back.

use std::time::Duration;

use bytes::Bytes;

use crate::domain::ids::{ExtensionId, InstanceId, VersionName};
use crate::service::caller::Reply;

/// The number of an error's code, in a reply.
pub const ERROR_CODE: &str = "Nats-Service-Error-Code";
/// The text of an error, in a reply.
const ERROR_TEXT: &str = "Nats-Service-Error";
/// The code of an extension's error that named none.
const BAD_GATEWAY: &str = "502";

/// An answer of the extension, byte for byte.
#[derive(Debug)]
pub struct Answered {
    /// The body.
    pub body: Bytes,
    /// What it said about its own error, if it is one.
    pub error: Option<ErrorHeaders>,
    /// Who answered, and how it came to that.
    pub trail: Trail,
}

/// The headers of an error that the extension itself replied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorHeaders {
    /// `Nats-Service-Error-Code`.
    pub code: String,
    /// `Nats-Service-Error`.
    pub text: String,
}

impl ErrorHeaders {
    /// What `reply` said; 502 where it named no code that anyone could read.
    pub(super) fn of(reply: Option<&Reply>, lacks_code: bool) -> Self {
        let header = |name: &str| {
            reply
                .and_then(|reply| reply.headers.get(name))
                .map(str::to_owned)
        };
        let code = header(ERROR_CODE).filter(|_| !lacks_code);
        Self {
            code: code.unwrap_or_else(|| BAD_GATEWAY.to_owned()),
            text: header(ERROR_TEXT).unwrap_or_else(|| "extension error".to_owned()),
        }
    }
}

/// Who answered, and how it came to that.
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
    /// The extension that was asked for, where another stood in.
    pub fallback_from: Option<ExtensionId>,
}

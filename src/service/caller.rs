//! Port: calling an extension, and reading what it answers.

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use thiserror::Error;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::domain::call_id::CallId;
use crate::domain::header;
use crate::domain::ids::{ExtensionId, VersionName};
use crate::domain::overload::Overload;
use crate::domain::subject::Subject;
use crate::domain::traceparent::{TraceHeaders, TraceParent};

/// Calls extensions.
pub trait Caller: Send + Sync + 'static {
    /// A call under way.
    type Call: Call;

    /// Sends a request, or rather hands it over to be sent.
    ///
    /// # Errors
    /// Nothing is sent: the link is down, the deadline is over, or see [`CallError`].
    fn call(
        &self,
        subject: &Subject,
        headers: &CallHeaders<'_>,
        payload: &[u8],
        deadline: Instant,
    ) -> Result<Self::Call, CallError>;

    /// Whether a call could be sent now.
    fn is_connected(&self) -> bool;

    /// The most bytes that headers and payload of a call may have together.
    fn max_payload(&self) -> usize;

    /// Cancelled when this process is about to go: no call is sent or waited for any longer.
    fn giving_up(&self) -> &CancellationToken;
}

/// What a request carries besides its payload.
#[derive(Debug, Clone, Copy)]
pub struct CallHeaders<'a> {
    /// The place of the attempt in its caller's trace; probes belong to none.
    pub trace: Option<TraceHeaders<'a>>,
    /// Which attempt of its call it is, from 1; `None` for a probe.
    pub attempt: Option<u32>,
    /// The extension that is called.
    pub id: &'a ExtensionId,
    /// The version that is called.
    pub version: &'a VersionName,
    /// How long the answer is waited for.
    pub left: Duration,
    /// Whether it may come in pieces.
    pub stream: bool,
    /// What the call is known by, where it may be cancelled.
    pub call_id: Option<&'a CallId>,
}

/// The header with the milliseconds that the caller still waits, from receipt.
pub const DEADLINE_MS: &str = "Beamline-Deadline-Ms";
/// The header with the kinds of answers that the caller takes.
pub const ACCEPT: &str = "Beamline-Accept";
/// The header with what a call is known by.
pub const CALL_ID: &str = "Beamline-Call-Id";
/// The header with the number of an attempt, from 1.
pub const ATTEMPT: &str = "Beamline-Attempt";

impl CallHeaders<'_> {
    /// Gives each header to `push`, name and value.
    pub fn write(&self, push: &mut dyn FnMut(&'static str, &str)) {
        let mut digits = itoa::Buffer::new();
        if let Some(trace) = &self.trace {
            let mut text = [0; TraceParent::BYTES];
            push("traceparent", trace.traceparent.text(&mut text));
            if let Some(tracestate) = trace.tracestate {
                push("tracestate", tracestate);
            }
        }
        push(DEADLINE_MS, digits.format(self.left.as_millis()));
        push("Beamline-Extension-Id", self.id.as_str());
        push("Beamline-Version", self.version.as_str());
        match self.attempt {
            Some(attempt) => push(ATTEMPT, digits.format(attempt)),
            None => push("Beamline-Probe", "1"),
        }
        if self.stream {
            push(ACCEPT, "stream");
        }
        if let Some(id) = self.call_id {
            push(CALL_ID, id.as_str());
        }
    }
}

/// A call under way; dropping it forgets it, and replies that still come are ignored.
pub trait Call: Send + 'static {
    /// The next reply, waiting until `deadline` at most; replies come complete and in order.
    ///
    /// A timeout ends nothing: later replies can still be waited for. Any other error is final.
    /// May be cancelled without losing a reply.
    fn next(&mut self, deadline: Instant) -> impl Future<Output = Result<Reply, CallError>> + Send;
}

/// Why a call was not sent, or got no reply. `Display` is fit for logs; no request data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum CallError {
    /// No reply before the deadline.
    #[error("no reply in time")]
    Timeout,
    /// The subject has no subscriber.
    #[error("no subscriber on its subject")]
    NoResponders,
    /// Our own link is down, or broke while the call waited. It may have been carried out.
    #[error("our link to NATS is down")]
    Disconnected,
    /// The server does not let us publish to the subject, or not subscribe to the replies.
    #[error("the NATS server does not permit it")]
    PermissionDenied,
    /// Headers and payload exceed what the server accepts.
    #[error("larger than the NATS server accepts")]
    TooLarge,
    /// A header name or value that cannot be sent.
    #[error("a header cannot be sent")]
    InvalidHeader,
    /// Too many calls, a connection that took no request in time, or replies that came faster than
    /// they were read, so that some are lost.
    #[error("too much at a time: {}", .0.as_str())]
    Overloaded(Overload),
    /// The reply's headers cannot be read.
    #[error("the reply cannot be read")]
    BadReply,
    /// This process is about to go, and waits no longer.
    #[error("this sidecar is shutting down")]
    GivenUp,
    /// The call is over.
    #[error("the call is over")]
    Closed,
}

/// One message that answers a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Its headers.
    pub headers: Headers,
    /// Its body, byte for byte.
    pub payload: Bytes,
}

/// Headers of a message. A name may occur more than once and keeps the order of its values; names
/// are kept as they are, upper and lower case.
///
/// One text, a line each: an extension may send millions of small ones, which would take many times
/// their bytes one by one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers(String);

impl Headers {
    /// No headers.
    pub const fn new() -> Self {
        Self(String::new())
    }

    /// No headers, with room for `bytes` of them.
    pub fn with_capacity(bytes: usize) -> Self {
        Self(String::with_capacity(bytes))
    }

    /// Adds a header after those there are. As on the wire, a name has no colon, and neither name
    /// nor value a line break.
    pub fn push(&mut self, name: &str, value: &str) {
        for part in [name, ":", value, "\n"] {
            self.0.push_str(part);
        }
    }

    /// The first value of `name`: by its exact name, else ignoring ASCII case.
    pub fn get(&self, name: &str) -> Option<&str> {
        header::find(self.iter(), name)
    }

    /// All headers, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let lines = self.0.split_terminator('\n');
        lines.filter_map(|line| line.split_once(':'))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::traceparent::TraceSeed;

    #[test]
    fn headers_keep_order_and_repetitions() {
        let mut headers = Headers::new();
        assert!(headers.is_empty());
        for (name, value) in [("b", "1"), ("a", "2"), ("b", "3")] {
            headers.push(name, value);
        }
        let pairs: Vec<_> = headers.iter().collect();
        assert_eq!(pairs, [("b", "1"), ("a", "2"), ("b", "3")]);
        assert_eq!((headers.get("b"), headers.get("c")), (Some("1"), None));
        headers.push("c", "");
        headers.push("d", "x:y");
        assert_eq!(
            (headers.get("c"), headers.get("d")),
            (Some(""), Some("x:y"))
        );
    }

    #[test]
    fn calls_and_probes_say_what_they_are() {
        let (id, version) = (
            ExtensionId::parse("x").unwrap(),
            VersionName::parse("v1").unwrap(),
        );
        let seed = TraceSeed {
            trace_id: [0xab; 16],
            span_id: [0xcd; 8],
        };
        let call = CallHeaders {
            trace: Some(TraceHeaders::of_attempt(None, None, seed)),
            attempt: Some(2),
            id: &id,
            version: &version,
            left: Duration::from_millis(1500),
            stream: true,
            call_id: Some(&CallId::of(7)),
        };
        let written = |headers: CallHeaders<'_>| {
            let mut lines = Vec::new();
            headers.write(&mut |name, value| lines.push(format!("{name}: {value}")));
            lines
        };
        assert_eq!(
            written(call),
            [
                "traceparent: 00-abababababababababababababababab-cdcdcdcdcdcdcdcd-02",
                "Beamline-Deadline-Ms: 1500",
                "Beamline-Extension-Id: x",
                "Beamline-Version: v1",
                "Beamline-Attempt: 2",
                "Beamline-Accept: stream",
                "Beamline-Call-Id: 0000000000000007",
            ]
        );
        let (trace, attempt, stream, call_id) = (None, None, false, None);
        let probe = CallHeaders {
            trace,
            attempt,
            stream,
            call_id,
            ..call
        };
        assert_eq!(
            written(probe),
            [
                "Beamline-Deadline-Ms: 1500",
                "Beamline-Extension-Id: x",
                "Beamline-Version: v1",
                "Beamline-Probe: 1",
            ]
        );
    }

    #[test]
    fn a_name_is_found_exactly_or_else_in_any_case() {
        let mut headers = Headers::new();
        for (name, value) in [("x-a", "1"), ("X-A", "2"), ("X-A", "3"), ("X-AB", "4")] {
            headers.push(name, value);
        }
        assert_eq!(headers.get("x-a"), Some("1"));
        assert_eq!(headers.get("X-a"), Some("1"));
    }
}

//! What one attempt means for the extension, and what its caller gets: contract, section 3.2.
//!
//! Only failures count against an extension. What the caller did wrong, or what went wrong on this
//! side, is neutral: five oversized requests of one tenant must not cut an extension off for all.

use std::time::Duration;

use super::overload::Overload;
use super::push_back::Hint;
use super::reply;
use super::whole::whole;

/// An attempt that its deadline left less than this is neutral.
pub const SHORTEST_FAIR_TIME: Duration = Duration::from_millis(100);
/// Without history, an attempt with less than this fraction (one part in N) of its timeout is not
/// fair.
const FAIR_PART_OF_TIMEOUT: u32 = 5;

/// A standstill of this fraction (one part in N) of a wait explains that nothing arrived.
const TELLING_PART: u32 = 3;

/// Whether silence in a wait of `allowed` may be our own fault: this process stood still for
/// `stood_still` of it. Short standstills are frequent where CPU is scarce; an extension that is
/// silent through most of its timeout is silent all the same.
pub fn explains_silence(stood_still: Duration, allowed: Duration) -> bool {
    !stood_still.is_zero() && stood_still >= allowed / TELLING_PART
}

/// How one attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended<'a> {
    /// A reply came.
    Reply {
        /// The value of header `Nats-Service-Error-Code`.
        error_code: Option<&'a str>,
        /// When it asks to be called again, if it does.
        hint: Option<Hint>,
        /// The body.
        body: &'a [u8],
    },
    /// A reply came that cannot be read: its header block is malformed.
    Unreadable,
    /// No reply came within the extension's timeout.
    Timeout,
    /// NATS reported that there is no subscriber.
    NoResponders,
    /// The caller's deadline passed first.
    DeadlinePassed(Patience),
    /// No reply came, but this process stood still for too much of the time to know whether one
    /// would have; see [`explains_silence`].
    StoodStill {
        /// Whether the caller's deadline, not the extension's timeout, ended the wait.
        by_caller: bool,
    },
    /// Too large to be sent, by the extension's limits or the server's.
    TooLarge,
    /// Too much at once: nothing was sent, or the reply could not be kept.
    Overloaded(Overload),
    /// NATS does not let this sidecar publish to the extension's subject.
    PermissionViolation,
    /// This sidecar's own NATS link is or went down.
    Disconnected,
    /// This sidecar is about to go, and does not wait any longer.
    GivenUp,
}

/// What a caller's deadline left to an attempt, and what the extension may claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// Time from the start of the attempt to the deadline.
    pub allowed: Duration,
    /// The extension's rolling p99; `None` without history.
    pub p99: Option<Duration>,
    /// The extension's timeout.
    pub timeout: Duration,
}

impl Patience {
    /// Whether the extension had the time it usually needs, so that its silence is its own fault.
    pub fn was_fair(self) -> bool {
        let usual = self.p99.map(|p99| p99.max(SHORTEST_FAIR_TIME));
        self.allowed >= usual.unwrap_or(self.timeout / FAIR_PART_OF_TIMEOUT)
    }
}

/// What an attempt means for the extension.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It works. A validator's rejection is a success too.
    Success,
    /// It does not; circuit and health count it.
    Failure(Failure),
    /// Nothing; circuit and health do not move.
    Neutral(Neutral),
}

/// How an extension failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Failure {
    /// It did not answer in time, though it had a fair time to.
    Timeout,
    /// There was no subscriber.
    NoResponders,
    /// Its reply had no body and no error code.
    EmptyReply,
    /// Its reply was not JSON and had no error code.
    UndecodableReply,
    /// It replied an error.
    ErrorReply {
        /// The code, at least 500; `None` where only the body had the error, or the code was no
        /// number.
        code: Option<u32>,
    },
}

/// Why an attempt is neutral.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Neutral {
    /// The request was wrong: too large here, or 4xx by the extension. Counted apart.
    CallerFault,
    /// It pushed back as busy: a 429, or a 503 with a time to come back.
    PushedBack {
        /// How long it, or its instance, is to be left alone.
        rest: Option<Duration>,
    },
    /// Too many calls at once.
    Overloaded,
    /// Our own permissions.
    PermissionViolation,
    /// Our own link.
    Disconnected,
    /// The caller's deadline was too short to judge.
    ShortDeadline,
    /// This process stood still while it waited.
    StoodStill,
    /// This process ended before the wait did.
    GivenUp,
    /// The call was cancelled, or its caller was gone.
    Cancelled,
}

/// What the caller gets when the attempt is the last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// The reply, byte for byte.
    Reply,
    /// The extension's own error, byte for byte, with its `Nats-Service-Error*` headers and
    /// `Beamline-Extension-Error: 1`.
    ErrorReply {
        /// Whether the reply brought no usable code, so that 502 has to be put in its place.
        lacks_code: bool,
    },
    /// 502 `extension_error`.
    ExtensionError,
    /// 503 `extension_unavailable`, reason `no_responders`.
    NoResponders,
    /// 504 `extension_timeout`.
    ExtensionTimeout,
    /// 504 `deadline_exceeded`.
    DeadlineExceeded,
    /// 413 `payload_too_large`.
    PayloadTooLarge,
    /// 503 `overloaded`.
    Overloaded(Overload),
    /// 403 `forbidden`: the subject is not allowed to this sidecar.
    Forbidden,
    /// 503: the link is down, and an answer may never arrive.
    LinkDown,
    /// 503 `shutting_down`.
    ShuttingDown,
}

impl Ended<'_> {
    /// Whether its time was over, the caller's or its own: the extension may still be at work.
    pub fn ran_out_of_time(&self) -> bool {
        matches!(
            self,
            Self::Timeout | Self::DeadlinePassed(_) | Self::StoodStill { .. } | Self::GivenUp
        )
    }

    /// Classifies the attempt.
    pub fn classify(&self) -> (Outcome, Answer) {
        use Outcome::{Failure as Failed, Neutral as Indifferent};
        match *self {
            Self::Reply {
                error_code,
                hint,
                body,
            } => classify_reply(error_code, hint, body),
            Self::Unreadable => (Failed(Failure::UndecodableReply), Answer::ExtensionError),
            Self::Timeout => (Failed(Failure::Timeout), Answer::ExtensionTimeout),
            Self::NoResponders => (Failed(Failure::NoResponders), Answer::NoResponders),
            Self::DeadlinePassed(patience) if patience.was_fair() => {
                (Failed(Failure::Timeout), Answer::DeadlineExceeded)
            }
            Self::DeadlinePassed(_) => (
                Indifferent(Neutral::ShortDeadline),
                Answer::DeadlineExceeded,
            ),
            Self::StoodStill { by_caller } => {
                let answer = match by_caller {
                    true => Answer::DeadlineExceeded,
                    false => Answer::ExtensionTimeout,
                };
                (Indifferent(Neutral::StoodStill), answer)
            }
            Self::TooLarge => (Indifferent(Neutral::CallerFault), Answer::PayloadTooLarge),
            Self::Overloaded(why) => (Indifferent(Neutral::Overloaded), Answer::Overloaded(why)),
            Self::PermissionViolation => {
                (Indifferent(Neutral::PermissionViolation), Answer::Forbidden)
            }
            Self::Disconnected => (Indifferent(Neutral::Disconnected), Answer::LinkDown),
            Self::GivenUp => (Indifferent(Neutral::GivenUp), Answer::ShuttingDown),
        }
    }
}

impl Outcome {
    /// How long to rest after push-back.
    pub fn rest(self) -> Option<Duration> {
        match self {
            Self::Neutral(Neutral::PushedBack { rest }) => rest,
            _ => None,
        }
    }

    /// Whether it pushed back.
    pub fn is_pushed_back(self) -> bool {
        matches!(self, Self::Neutral(Neutral::PushedBack { .. }))
    }

    /// Whether the extension may have done what it was asked for.
    pub fn may_be_done(self) -> bool {
        match self {
            Self::Success => true,
            Self::Failure(failure) => failure != Failure::NoResponders,
            Self::Neutral(
                Neutral::CallerFault | Neutral::PushedBack { .. } | Neutral::PermissionViolation,
            ) => false,
            // Of overload: a reply may have been dropped.
            Self::Neutral(_) => true,
        }
    }
}

impl Failure {
    /// Whether the time the attempt took belongs into the extension's latency. The lack of a
    /// subscriber is known at once, and would make a dead extension look fast.
    pub fn has_latency(self) -> bool {
        self != Self::NoResponders
    }
}

/// A reply with an error code is an error whatever its body, which is often empty. Codes below 400
/// are no error by any convention: such a reply is judged by whether it can be read at all.
fn classify_reply(error_code: Option<&str>, hint: Option<Hint>, body: &[u8]) -> (Outcome, Answer) {
    let error_reply = |code: Option<u32>| {
        let lacks_code = code.is_none();
        let failure = Outcome::Failure(Failure::ErrorReply { code });
        (failure, Answer::ErrorReply { lacks_code })
    };
    if let Some(text) = error_code {
        match (whole(text.trim(), &(0..=u32::MAX)), hint) {
            (Ok(429), _) | (Ok(503), Some(_)) => {
                let rest = hint.and_then(|hint| hint.rest);
                let answer = Answer::ErrorReply { lacks_code: false };
                return (Outcome::Neutral(Neutral::PushedBack { rest }), answer);
            }
            (Ok(code @ 500..), _) => return error_reply(Some(code)),
            (Ok(400..500), _) => {
                let answer = Answer::ErrorReply { lacks_code: false };
                return (Outcome::Neutral(Neutral::CallerFault), answer);
            }
            (Ok(..400), _) => {}
            (Err(_), _) => return error_reply(None),
        }
    }
    let failed = |failure| (Outcome::Failure(failure), Answer::ExtensionError);
    match reply::inspect(body) {
        reply::Body::Empty => failed(Failure::EmptyReply),
        reply::Body::Undecodable => failed(Failure::UndecodableReply),
        reply::Body::Error if error_code.is_none() => error_reply(None),
        reply::Body::Error | reply::Body::Fine => (Outcome::Success, Answer::Reply),
    }
}

#[cfg(test)]
#[path = "outcome_tests.rs"]
mod tests;

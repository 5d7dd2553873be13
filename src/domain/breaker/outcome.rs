//! The outcome of an attempt, as far as a circuit is concerned.

/// The outcome of one attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The extension answered.
    Success,
    /// A router that calls the extension directly reported that it answered.
    ReportedSuccess,
    /// The extension is at fault.
    Failure(FailureKind),
    /// No sign of the extension's health: the caller's fault, overload, our own link.
    Neutral,
}

impl Outcome {
    /// Whether it was reported by a router, and no attempt of ours showed it.
    pub(super) fn is_hearsay(self) -> bool {
        matches!(
            self,
            Self::ReportedSuccess | Self::Failure(FailureKind::Reported)
        )
    }
}

/// How an extension failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// No reply within the timeout.
    Timeout,
    /// No subscriber.
    NoResponders,
    /// An empty or undecodable reply.
    BadReply,
    /// An error of its own: a code of 500 or above, or a body with an error.
    Error,
    /// A router that calls the extension directly reported it.
    Reported,
}

impl FailureKind {
    /// The kind as written in events and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::NoResponders => "no_responders",
            Self::BadReply => "bad_reply",
            Self::Error => "error",
            Self::Reported => "reported",
        }
    }
}

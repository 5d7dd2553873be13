//! The outcome of an attempt, as far as a circuit is concerned.

use crate::domain::words::words;

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

words! {
    /// How an extension failed.
    #[derive(Hash)]
    pub enum FailureKind {
        /// No reply within the timeout.
        Timeout = "timeout",
        /// No subscriber.
        NoResponders = "no_responders",
        /// An empty or undecodable reply.
        BadReply = "bad_reply",
        /// An error of its own: a code of 500 or above, or a body with an error.
        Error = "error",
        /// A router that calls the extension directly reported it.
        Reported = "reported",
    }
}

//! Replies: which subjects may be answered.

use std::sync::OnceLock;

use memchr::memchr2;

pub use crate::documents::desk::Answer;
use crate::domain::quote::quoted_within;
use crate::service::observe::{DropReason, Observation, Observers};

/// The most bytes that are shown of the first token of a reply subject.
const MAX_SHOWN_PREFIX: usize = 32;
/// Decides which requests can be answered. The caller chooses the reply subject: without a list the
/// daemon would publish anywhere, `$JS.API...` included.
#[derive(Debug)]
pub struct ReplyRules {
    prefixes: Vec<String>,
    /// What our own inbox begins with, once there is one.
    own: OnceLock<String>,
    observers: Observers,
}

impl ReplyRules {
    /// Answers subjects that begin with one of `prefixes`.
    pub fn new(prefixes: Vec<String>, observers: Observers) -> Self {
        Self {
            prefixes,
            own: OnceLock::new(),
            observers,
        }
    }

    /// Never answers subjects that begin with `own`: the registry would answer its own calls in an
    /// extension's stead. Only the first call counts.
    pub fn never(&self, own: &str) {
        self.own.get_or_init(|| own.to_owned());
    }

    /// The reply subject, if it may be answered; otherwise `None`, counted.
    pub(super) fn allowed<'r>(&self, reply: Option<&'r [u8]>) -> Option<&'r [u8]> {
        let Some(reply) = reply else {
            self.drop_request(DropReason::NoReply, None);
            return None;
        };
        let known = |prefix: &String| reply.starts_with(prefix.as_bytes());
        if self.prefixes.iter().any(known)
            && memchr2(b'*', b'>', reply).is_none()
            && !self.own.get().is_some_and(known)
        {
            return Some(reply);
        }
        let text = String::from_utf8_lossy(reply);
        let prefix = text.split('.').next().unwrap_or_default();
        let prefix = quoted_within(prefix, MAX_SHOWN_PREFIX);
        self.drop_request(DropReason::ReplyNotAllowed, Some(prefix));
        None
    }

    pub(super) fn drop_request(&self, reason: DropReason, reply_prefix: Option<String>) {
        self.observers.observe(&Observation::Dropped {
            reason,
            reply_prefix,
        });
    }
}

//! Replies: which subjects may be answered.

use memchr::memchr2;

use super::wire::write::MAX_SUBJECTS;
pub use crate::documents::desk::Answer;
use crate::domain::quote::quoted_within;
use crate::service::observe::{DropReason, Observation, Observers};

/// The most bytes that are shown of the first token of a reply subject.
const MAX_SHOWN_PREFIX: usize = 32;

/// Decides which requests can be answered. The caller chooses the reply subject: without a list the
/// daemon would publish anywhere, `$JS.API...` included.
#[derive(Debug)]
pub struct ReplyRules {
    /// What subjects begin with that are answered.
    pub prefixes: Vec<String>,
    /// What our own inbox begins with, which is never answered: the registry would answer its own calls
    /// in an extension's stead.
    pub own: String,
    /// Observers of requests that are not answered.
    pub observers: Observers,
}

impl ReplyRules {
    /// The reply subject, if it may be answered; otherwise `None`, counted.
    pub(super) fn allowed<'r>(&self, reply: Option<&'r [u8]>) -> Option<&'r [u8]> {
        let Some(reply) = reply else {
            self.drop_request(DropReason::NoReply, None);
            return None;
        };
        let known = |prefix: &String| reply.starts_with(prefix.as_bytes());
        if self.prefixes.iter().any(known)
            && memchr2(b'*', b'>', reply).is_none()
            && reply.len() <= MAX_SUBJECTS
            && !known(&self.own)
        {
            return Some(reply);
        }
        let text = String::from_utf8_lossy(reply);
        let prefix = text.split('.').next().unwrap_or_default();
        let prefix = quoted_within(prefix, MAX_SHOWN_PREFIX);
        self.drop_request(DropReason::ReplyNotAllowed, Some(prefix));
        None
    }

    /// The server did not permit what was sent to `subject`: an answer, if that is where answers go.
    pub(super) fn refused(&self, subject: &str) {
        if self.prefixes.iter().any(|it| subject.starts_with(it)) {
            self.drop_request(DropReason::PublishFailed, None);
        }
    }

    pub(super) fn drop_request(&self, reason: DropReason, reply_prefix: Option<String>) {
        self.observers.observe(&Observation::Dropped {
            reason,
            reply_prefix,
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::service::observe::Observer;

    #[derive(Default)]
    struct Drops(Mutex<Vec<DropReason>>);

    impl Observer for Drops {
        fn observe(&self, observation: &Observation) {
            if let Observation::Dropped { reason, .. } = observation {
                self.0.lock().unwrap().push(*reason);
            }
        }
    }

    /// A server closes a connection whose control line is too long.
    #[test]
    fn a_reply_subject_that_fits_no_control_line_is_not_answered() {
        let drops = Arc::new(Drops::default());
        let observers = Observers::new(vec![Box::new(Arc::clone(&drops))]);
        let rules = ReplyRules {
            prefixes: vec!["_INBOX.".to_owned()],
            own: "_INBOX.own.".to_owned(),
            observers,
        };
        let reply = format!("{:x<4060}", "_INBOX.");
        assert!(rules.allowed(Some(reply.as_bytes())).is_some());
        assert!(drops.0.lock().unwrap().is_empty());
        let longer = reply + "x";
        assert_eq!(rules.allowed(Some(longer.as_bytes())), None);
        assert_eq!(rules.allowed(Some(b"_INBOX.own.1")), None);
        assert_eq!(*drops.0.lock().unwrap(), [DropReason::ReplyNotAllowed; 2]);
        drops.0.lock().unwrap().clear();
        rules.refused("beamline.ext.a");
        rules.refused("_INBOX.a");
        assert_eq!(*drops.0.lock().unwrap(), [DropReason::PublishFailed]);
    }
}

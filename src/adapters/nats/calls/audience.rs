//! Whether a stream still has a receiver.
//!
//! Each chunk has a reply subject of our own: receivers have no use for it, but the server reports
//! there when a chunk had no receiver. Nothing else is accepted at that subject, whose secret names
//! one stream and no call.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::token;
use crate::domain::lock::locked;

/// How long no audience is tolerated: a caller that reconnects may miss chunks in between.
const ABSENCE: Duration = Duration::from_millis(250);

/// The audiences of all streams under way, by their secrets.
#[derive(Debug, Default)]
pub(super) struct Audiences(Mutex<HashMap<u64, Absence, foldhash::fast::RandomState>>);

/// The audience of one stream; forgotten on drop.
#[derive(Debug)]
pub struct Audience {
    all: Arc<Audiences>,
    secret: u64,
}

#[derive(Debug)]
struct Absence {
    /// Where the chunks are sent to.
    receiver: Box<[u8]>,
    /// The last chunk without a receiver, and when the first of that row came back.
    last: Option<(u64, Instant)>,
    gone: CancellationToken,
}

impl Audiences {
    /// Watches over a stream to `receiver`, and cancels `gone` when there is none any more.
    pub(super) fn watch(self: &Arc<Self>, receiver: &[u8], gone: CancellationToken) -> Audience {
        let secret = rand::random();
        let absence = Absence {
            receiver: receiver.into(),
            last: None,
            gone,
        };
        locked(&self.0).insert(secret, absence);
        Audience {
            all: Arc::clone(self),
            secret,
        }
    }

    /// The server lets us send nothing to `receiver`.
    pub(super) fn refused(&self, receiver: &str) {
        let all = locked(&self.0);
        for absence in all.values() {
            if *absence.receiver == *receiver.as_bytes() {
                absence.gone.cancel();
            }
        }
    }

    /// The chunk `sequence` had no receiver.
    pub(super) fn missed(&self, (secret, sequence): (u64, u64), now: Instant) {
        let mut all = locked(&self.0);
        let Some(absence) = all.get_mut(&secret) else {
            return;
        };
        let since = match absence.last {
            Some((before, since)) if before.checked_add(1) == Some(sequence) => since,
            _ => now,
        };
        absence.last = Some((sequence, since));
        if now.saturating_duration_since(since) >= ABSENCE {
            absence.gone.cancel();
        }
    }
}

impl Audience {
    /// The last token of the subject where the server reports that a chunk had no receiver.
    pub(super) fn token(&self, sequence: u64) -> [u8; token::CHUNK_LEN] {
        token::chunk(self.secret, sequence)
    }
}

impl Drop for Audience {
    fn drop(&mut self) {
        locked(&self.all.0).remove(&self.secret);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_misses_chunks_in_a_row_for_a_while_is_gone() {
        let start = Instant::now();
        for (missed, gone) in [
            (&[(1, 0), (2, 250)][..], true),
            (&[(1, 0), (2, 100), (3, 249)], false),
            (&[(1, 0), (2, 100), (3, 251)], true),
            (&[(1, 0), (3, 300)], false),
            (&[(1, 0), (3, 300), (4, 600)], true),
            (&[(1, 0)], false),
        ] {
            let audiences = Arc::new(Audiences::default());
            let (token, other) = (CancellationToken::new(), CancellationToken::new());
            let audience = audiences.watch(b"_INBOX.a", token.clone());
            let _other = audiences.watch(b"_INBOX.a", other.clone());
            for (sequence, ms) in missed {
                let told = token::parse_chunk(&audience.token(*sequence)).unwrap();
                audiences.missed(told, start + Duration::from_millis(*ms));
            }
            assert_eq!(token.is_cancelled(), gone, "{missed:?}");
            assert!(!other.is_cancelled(), "nobody else");
            drop(audience);
            assert_eq!(locked(&audiences.0).len(), 1);
        }
    }

    #[test]
    fn who_may_not_be_sent_to_is_gone() {
        let audiences = Arc::new(Audiences::default());
        let (token, other) = (CancellationToken::new(), CancellationToken::new());
        let _audience = audiences.watch(b"_INBOX.a", token.clone());
        let _other = audiences.watch(b"_INBOX.b", other.clone());
        audiences.refused("_INBOX.a");
        assert!(token.is_cancelled() && !other.is_cancelled());
    }
}

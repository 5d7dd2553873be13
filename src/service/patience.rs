//! Waiting for the reply of an extension: everything that may come in between is handled here, for
//! calls, streams and probes alike.
//!
//! Two things are not the extension's: an acknowledgement of JetStream, which is ignored, and time
//! in which this process stood still, which is added to the limit. What arrives meanwhile counts.

use std::time::Duration;

use tokio::time::Instant;

use super::caller::{Call, CallError, Reply};
use super::clock::Clock;
use super::observe::{Observation, Observers};
use crate::domain::acknowledgement;
use crate::domain::ids::ExtensionId;
use crate::domain::outcome::explains_silence;
use crate::domain::quote::quoted;

/// How often a wait is made longer, each time by its own length at most.
const EXTENSIONS: u32 = 3;
/// Acknowledgements that are passed over between two ends of a wait: every stream that stores the
/// subject sends one.
const MOST_ACKNOWLEDGEMENTS: u32 = 100;

/// From when to when a reply is waited for.
#[derive(Debug, Clone, Copy)]
pub struct Wait {
    /// When what is to be answered was sent.
    pub begun: Instant,
    /// When the extension's time is over, or the caller's.
    pub ends: Instant,
    /// When the caller no longer wants a reply: what is made up for ends there.
    pub deadline: Option<Instant>,
}

impl Wait {
    fn allowed(&self) -> Duration {
        self.ends.saturating_duration_since(self.begun)
    }
}

/// Why there is no reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoReply {
    /// None came, or none can come.
    Call(CallError),
    /// None came, and this process stood still for too much of the time to blame the extension.
    StoodStill,
}

/// The waiting side, the extension, and the observers of what is passed over.
#[derive(Debug, Clone, Copy)]
pub struct Patience<'a> {
    /// Knows what this process slept through.
    pub clock: Clock,
    /// Observers of acknowledgements.
    pub observers: &'a Observers,
    /// Whose reply it is to be.
    pub id: &'a ExtensionId,
}

impl Patience<'_> {
    /// The next reply of the extension. May be cancelled without losing a reply.
    ///
    /// # Errors
    /// There is none, in time or at all.
    pub async fn next(&self, call: &mut impl Call, wait: Wait) -> Result<Reply, NoReply> {
        let (mut from, mut until) = (wait.begun, wait.ends);
        for _ in 0..=EXTENSIONS {
            // Bounded: the time is never over where another one is always there already.
            for _ in 0..MOST_ACKNOWLEDGEMENTS {
                match call.next(until).await {
                    Ok(reply) if !self.passes_over(&reply) => return Ok(reply),
                    Ok(_) => {}
                    Err(CallError::Timeout) => break,
                    Err(error) => return Err(NoReply::Call(error)),
                }
            }
            let now = Instant::now();
            match self.made_up(wait, from, now) {
                Some(longer) => (from, until) = (now, longer),
                None => break,
            }
        }
        Err(self.silence(wait))
    }

    /// Until when to wait on at `now`, for what was lost since `from`; `None` when nothing was, or
    /// the caller waits no longer.
    fn made_up(&self, wait: Wait, from: Instant, now: Instant) -> Option<Instant> {
        let lost = self.clock.lost(from.into_std(), now.into_std());
        let longer = now + lost.min(wait.allowed());
        let deadline = wait.deadline.unwrap_or(longer);
        Some(longer.min(deadline)).filter(|until| *until > now)
    }

    /// Whose silence it was that a wait ended with.
    fn silence(&self, wait: Wait) -> NoReply {
        let (begun, now) = (wait.begun.into_std(), Instant::now().into_std());
        match explains_silence(self.clock.lost(begun, now), wait.allowed()) {
            true => NoReply::StoodStill,
            false => NoReply::Call(CallError::Timeout),
        }
    }

    fn passes_over(&self, reply: &Reply) -> bool {
        if !reply.headers.is_empty() {
            return false;
        }
        let Some(stream) = acknowledgement::stream(&reply.payload) else {
            return false;
        };
        self.observers.observe(&Observation::Acknowledged {
            id: self.id.clone(),
            stream: quoted(&stream),
        });
        true
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::service::caller::Headers;

    /// Has nothing but acknowledgements, and always another one.
    struct Acknowledged;

    impl Call for Acknowledged {
        async fn next(&mut self, _: Instant) -> Result<Reply, CallError> {
            Ok(Reply {
                headers: Headers::new(),
                payload: Bytes::from_static(br#"{"stream":"S","seq":1}"#),
            })
        }
    }

    #[tokio::test(start_paused = true)]
    async fn acknowledgements_without_end_are_silence() {
        let id = ExtensionId::parse("x").unwrap();
        let patience = Patience {
            clock: Clock::default(),
            observers: &Observers::new(Vec::new()),
            id: &id,
        };
        let begun = Instant::now();
        let wait = Wait {
            begun,
            ends: begun + Duration::from_secs(1),
            deadline: None,
        };
        let reply = patience.next(&mut Acknowledged, wait).await;
        assert_eq!(reply, Err(NoReply::Call(CallError::Timeout)));
    }
}

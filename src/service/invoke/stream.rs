//! Streamed answers: relayed as they come, judged at the end.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::answer::{self, Answered, ErrorHeaders, Trail};
use super::cancelling::Awaited;
use super::meter::Status;
use super::places::Seat;
use super::plan::Plan;
use super::record::{Pending, Recorder};
use crate::domain::outcome::{Failure, Neutral, Outcome};
use crate::service::caller::{Call, CallError, Reply};
use crate::service::error::{RegistryError, Unavailable};
use crate::service::patience::NoReply;

/// Set by an extension on every message of an answer in pieces.
pub const STREAM: &str = "Beamline-Stream";
/// Its value on the last, empty message.
pub const END: &str = "end";
/// Its value on every other one.
pub const CHUNK: &str = "chunk";

/// A stream of which the first message is here. Dropped before its end, as when the daemon gives
/// the call up, it is neutral.
#[derive(Debug)]
pub struct Streaming<S> {
    pub(super) call: S,
    /// A message that is here already.
    pub(super) ahead: Option<Reply>,
    pub(super) pending: Option<Pending>,
    /// From the begin of the attempt to the first message, where that was measured.
    pub(super) latency: Option<Duration>,
    /// When the attempt began.
    pub(super) begun: Instant,
    pub(super) plan: Arc<Plan>,
    pub(super) recorder: Recorder,
    /// What answers.
    pub trail: Trail,
    pub(super) awaited: Option<Awaited>,
    pub(super) _seat: Option<Seat>,
}

/// One message for the router.
#[derive(Debug)]
pub enum Piece {
    /// A chunk, byte for byte.
    Chunk(Bytes),
    /// The stream is complete.
    End,
    /// The extension ended it with an error of its own.
    Error(Answered),
    /// It broke off.
    Broken(RegistryError),
}

impl<S: Call> Streaming<S> {
    /// The next message; after anything but a chunk there is none.
    pub async fn next(&mut self) -> Piece {
        let now = Instant::now();
        let limits = self.plan.rules().stream;
        let (whole_ends, by_caller) = self.plan.within_deadline(self.begun + limits.total);
        let gap_ends = now + self.plan.gap();
        // The end of the whole is held against the whole, however little of it is left.
        let (begun, ends, by_caller) = match gap_ends < whole_ends {
            true => (now, gap_ends, false),
            // Of a wait that ends in the past it would seem that we had slept since.
            false => (self.begun, whole_ends.max(now), by_caller),
        };
        let reply = match self.ahead.take() {
            Some(reply) => Some(Ok(reply)),
            None if self.is_over(whole_ends, now) => Some(Err(NoReply::Call(CallError::Timeout))),
            None => {
                let cancel = self.canceller();
                let patience = self.recorder.patience();
                let wait = self.plan.wait(begun, ends);
                let next = patience.next(&mut self.call, wait);
                cancel.run_until_cancelled(next).await
            }
        };
        match reply {
            Some(Ok(reply)) => self.piece(&reply),
            Some(Err(error)) => self.broken(error, by_caller),
            None => {
                self.finish(Outcome::Neutral(Neutral::Cancelled), None);
                Piece::Broken(RegistryError::Cancelled)
            }
        }
    }

    /// Ends it for a caller that has no audience left.
    pub fn canceller(&self) -> CancellationToken {
        let known = self.plan.known.as_ref();
        known.map(|known| known.cancel.clone()).unwrap_or_default()
    }

    /// Whether it has had its time, however much still comes. What came while this process stood
    /// still is not late.
    fn is_over(&self, ends: Instant, now: Instant) -> bool {
        let lost = || {
            self.recorder
                .clock
                .lost(self.begun.into_std(), now.into_std())
        };
        now >= ends && now >= ends + lost()
    }

    /// Gives it up for a reason that is not the extension's.
    pub fn give_up(&mut self) {
        self.finish(Outcome::Neutral(Neutral::CallerFault), None);
    }

    fn answered(&mut self) {
        if let Some(awaited) = self.awaited.take() {
            awaited.answered();
        }
    }

    fn piece(&mut self, reply: &Reply) -> Piece {
        if let Some((outcome, lacks_code)) = answer::error(reply) {
            self.answered();
            self.finish(outcome, Some(reply));
            let headers = ErrorHeaders::of(Some(reply), lacks_code, outcome.rest());
            return Piece::Error(Answered {
                body: reply.payload.clone(),
                error: Some(Box::new(headers)),
                trail: self.trail.clone(),
            });
        }
        if reply.headers.get(STREAM) == Some(END) {
            self.answered();
            if reply.payload.is_empty() {
                self.finish(Outcome::Success, None);
                return Piece::End;
            }
            // The end is empty for routers: what an extension sends with it goes before it.
            self.ahead = Some(Reply {
                headers: reply.headers.clone(),
                payload: Bytes::new(),
            });
        }
        Piece::Chunk(reply.payload.clone())
    }

    /// A gap, or a whole, that took too long is the extension's failure, unless the caller's deadline came
    /// first: its first chunk was in time.
    fn broken(&mut self, error: NoReply, by_caller: bool) -> Piece {
        let id = self.trail.id.to_string();
        match error {
            NoReply::Call(CallError::Timeout | CallError::GivenUp) | NoReply::StoodStill => {
                if let Some(awaited) = self.awaited.take() {
                    awaited.late();
                }
            }
            // It goes on, unread.
            NoReply::Call(CallError::Overloaded(_) | CallError::BadReply) => {}
            NoReply::Call(_) => self.answered(),
        }
        let late = |id| match by_caller {
            true => RegistryError::DeadlineExceeded { id },
            false => RegistryError::ExtensionTimeout { id },
        };
        let (outcome, error) = match error {
            NoReply::StoodStill => (Outcome::Neutral(Neutral::StoodStill), late(id)),
            NoReply::Call(CallError::Timeout) => match by_caller {
                true => (Outcome::Neutral(Neutral::ShortDeadline), late(id)),
                false => (Outcome::Failure(Failure::Timeout), late(id)),
            },
            NoReply::Call(CallError::Overloaded(why)) => (
                Outcome::Neutral(Neutral::Overloaded),
                RegistryError::Overloaded(why),
            ),
            NoReply::Call(CallError::BadReply) => (
                Outcome::Failure(Failure::UndecodableReply),
                RegistryError::ExtensionError { id },
            ),
            NoReply::Call(CallError::GivenUp) => {
                (Outcome::Neutral(Neutral::GivenUp), RegistryError::GivenUp)
            }
            NoReply::Call(_) => {
                let why = Unavailable::LinkDown;
                let error = RegistryError::ExtensionUnavailable { id, why };
                (Outcome::Neutral(Neutral::Disconnected), error)
            }
        };
        self.finish(outcome, None);
        Piece::Broken(error)
    }

    /// Unless its extension has sent the end, it hears that the call was cancelled.
    fn finish(&mut self, outcome: Outcome, reply: Option<&Reply>) {
        drop(self.awaited.take());
        if let Some(pending) = self.pending.take() {
            let status = Status::of(outcome);
            let now = std::time::Instant::now();
            let received = self.plan.received.into_std();
            let took = self.recorder.clock.awake(received, now);
            self.recorder.called(status, took);
            self.plan.trace_end(status);
            // To the first chunk: the length of a stream is no sign of its speed.
            let (plan, latency) = (&self.plan, self.latency);
            self.recorder
                .record(plan, pending, outcome, reply, latency, now);
        }
    }
}

#[cfg(test)]
#[path = "stream_tests.rs"]
mod tests;

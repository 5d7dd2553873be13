//! The table of pending calls: a fixed number of slots, each with the replies not yet read.
//!
//! Every slot has a lock of its own, held for a few moves and never across an `await`. Memory is
//! bounded by the number of slots and by what replies may hold, not by how many calls ever timed
//! out: a slot is taken when a call begins and free again when its handle is dropped.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use super::token::Token;
use crate::domain::lock::locked;
use crate::domain::overload::Overload;
use crate::domain::subject::Subject;
use crate::service::caller::{CallError, Reply};

/// What one call may have unread, beyond one reply of any size.
const MAX_CALL_BYTES: usize = 8 << 20;
/// What a queued reply costs beside its text.
const REPLY_OVERHEAD_BYTES: usize = 128;
/// A slot keeps room for as many replies between calls; a stream's queue is given back.
const KEPT_REPLIES: usize = 4;

/// No wait has an end.
const NEVER: u64 = u64::MAX;

/// Calls that wait for replies.
#[derive(Debug)]
pub(super) struct Table {
    slots: Box<[Mutex<Slot>]>,
    /// Slots without a call; the one used last comes first, its memory is warm.
    free: Mutex<Vec<u32>>,
    /// Where the clock of `earliest_us` begins.
    origin: Instant,
    /// No wait ends before this, in microseconds since the origin.
    earliest_us: AtomicU64,
    /// Why no call can begin.
    refusal: Mutex<Option<CallError>>,
}

/// A wait for a reply that has an end.
#[derive(Debug, Clone, Copy)]
struct Wait {
    until: Instant,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting,
    /// Its time is over; the look of this number will show whether a reply is on its way.
    Looking(u64),
    /// There is none, for this reason.
    Over(CallError),
}

#[derive(Debug, Default)]
struct Slot {
    secret: u64,
    /// Where the call under way goes; `None` between calls.
    subject: Option<Subject>,
    replies: VecDeque<Reply>,
    queued_bytes: usize,
    wait: Option<Wait>,
    ended: Option<CallError>,
    waker: Option<Waker>,
}

impl Table {
    pub(super) fn new(slots: u32) -> Self {
        Self {
            slots: (0..slots).map(|_| Mutex::default()).collect(),
            free: Mutex::new((0..slots).rev().collect()),
            origin: Instant::now(),
            earliest_us: AtomicU64::new(NEVER),
            refusal: Mutex::new(None),
        }
    }

    /// How many calls are under way.
    pub(super) fn pending(&self) -> usize {
        self.slots.len() - locked(&self.free).len()
    }

    /// Takes a slot for a call to `subject` that will be waited for until `until`, or longer; the
    /// caller must [`release`](Self::release) it.
    pub(super) fn begin(&self, subject: &Subject, until: Instant) -> Result<Token, CallError> {
        let full = CallError::Overloaded(Overload::Requests);
        let index = locked(&self.free).pop().ok_or(full)?;
        let mut slot = locked(self.slots.get(index as usize).ok_or(full)?);
        slot.subject = Some(subject.clone());
        slot.secret = rand::random();
        let token = Token {
            slot: index,
            secret: slot.secret,
        };
        drop(slot);
        self.earliest_us
            .fetch_min(self.micros(until), Ordering::AcqRel);
        // Asked last: a refusal that comes later finds this call and ends it.
        let refusal = *locked(&self.refusal);
        match refusal {
            None => Ok(token),
            Some(error) => {
                self.release(token);
                Err(error)
            }
        }
    }

    /// Ends a call, however it went.
    pub(super) fn release(&self, token: Token) {
        let Some(mut slot) = self.find(token) else {
            return;
        };
        slot.subject = None;
        slot.replies.clear();
        slot.replies.shrink_to(KEPT_REPLIES);
        slot.queued_bytes = 0;
        slot.wait = None;
        slot.ended = None;
        slot.waker = None;
        drop(slot);
        locked(&self.free).push(token.slot);
    }

    /// Queues a reply; one to a call that is over is ignored. False if there is no room for it.
    pub(super) fn deliver(&self, token: Token, reply: Reply) -> bool {
        let Some(mut slot) = self.find(token) else {
            return true;
        };
        if slot.ended.is_some() {
            return true;
        }
        let bytes = cost(&reply);
        let full = slot.queued_bytes + bytes > MAX_CALL_BYTES && !slot.replies.is_empty();
        if full {
            // The reader gets what was queued, then this error: no reply is missing in silence.
            slot.ended = Some(CallError::Overloaded(Overload::Bytes));
        } else {
            slot.queued_bytes += bytes;
            slot.replies.push_back(reply);
        }
        wake(slot);
        !full
    }

    /// Ends the wait for replies to one call.
    pub(super) fn end(&self, token: Token, error: CallError) {
        if let Some(slot) = self.find(token) {
            end(slot, error);
        }
    }

    /// Ends the wait of every call whose subject is `chosen`.
    pub(super) fn end_where(&self, error: CallError, chosen: impl Fn(&Subject) -> bool) {
        for slot in &self.slots {
            let slot = locked(slot);
            if slot.subject.as_ref().is_some_and(&chosen) {
                end(slot, error);
            }
        }
    }

    /// Ends the wait of every call.
    pub(super) fn end_all(&self, error: CallError) {
        self.end_where(error, |_| true);
    }

    /// Ends calls to come with `error`: until [`accept`](Self::accept), where permissions are missing,
    /// else for good. Those that were sent may have been carried out: they end with `sent`.
    pub(super) fn refuse(&self, error: CallError, sent: CallError) {
        let mut refusal = locked(&self.refusal);
        if refusal.is_none_or(is_lifted) {
            *refusal = Some(error);
        }
        drop(refusal);
        self.end_all(sent);
    }

    /// Takes calls again.
    pub(super) fn accept(&self) {
        locked(&self.refusal).take_if(|error| is_lifted(*error));
    }

    /// The next reply to a call, or why there will be none; [`CallError::Timeout`] some time after
    /// `until`, see [`look`](Self::look).
    pub(super) fn poll_next(
        &self,
        token: Token,
        until: Instant,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Reply, CallError>> {
        let Some(mut slot) = self.find(token) else {
            return Poll::Ready(Err(CallError::Closed));
        };
        if let Some(reply) = slot.replies.pop_front() {
            let bytes = cost(&reply);
            slot.queued_bytes -= bytes;
            slot.wait = None;
            return Poll::Ready(Ok(reply));
        }
        if let Some(error) = slot.ended {
            return Poll::Ready(Err(error));
        }
        match slot.wait {
            Some(wait) if wait.until == until => {
                if let State::Over(error) = wait.state {
                    slot.wait = None;
                    return Poll::Ready(Err(error));
                }
            }
            _ => {
                let state = State::Waiting;
                slot.wait = Some(Wait { until, state });
                self.earliest_us
                    .fetch_min(self.micros(until), Ordering::AcqRel);
            }
        }
        match &mut slot.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            None => slot.waker = Some(cx.waker().clone()),
        }
        Poll::Pending
    }

    /// When the first wait ends, or a little before that.
    pub(super) fn earliest(&self) -> Option<Instant> {
        let earliest = self.earliest_us.load(Ordering::Acquire);
        (earliest != NEVER)
            .then(|| self.origin.checked_add(Duration::from_micros(earliest)))
            .flatten()
    }

    /// Marks the waits that are over at `now` for the look `number`, as an unread reply may have
    /// arrived. Returns when the first of them was over, if there is one.
    pub(super) fn look(&self, now: Instant, number: u64) -> Option<Instant> {
        self.earliest_us.store(NEVER, Ordering::Release);
        let (mut earliest, mut first) = (NEVER, None);
        for slot in &self.slots {
            let mut slot = locked(slot);
            let Some(wait) = &mut slot.wait else {
                continue;
            };
            if wait.state != State::Waiting {
                continue;
            }
            if wait.until <= now {
                wait.state = State::Looking(number);
                first = Some(first.map_or(wait.until, |first: Instant| first.min(wait.until)));
            } else {
                earliest = earliest.min(self.micros(wait.until));
            }
        }
        self.earliest_us.fetch_min(earliest, Ordering::AcqRel);
        first
    }

    /// The look `number` has shown that no reply is on its way, or could not find out: `error`.
    pub(super) fn looked(&self, number: u64, error: CallError) {
        for slot in &self.slots {
            let mut slot = locked(slot);
            match &mut slot.wait {
                Some(wait) if wait.state == State::Looking(number) => {
                    wait.state = State::Over(error);
                }
                _ => continue,
            }
            wake(slot);
        }
    }

    /// Rounded up: a wait does not end early.
    fn micros(&self, moment: Instant) -> u64 {
        let since = moment.saturating_duration_since(self.origin);
        u64::try_from(since.as_micros()).map_or(NEVER - 1, |micros| micros.saturating_add(1))
    }

    /// The slot of a call under way.
    fn find(&self, token: Token) -> Option<MutexGuard<'_, Slot>> {
        let slot = locked(self.slots.get(token.slot as usize)?);
        (slot.secret == token.secret && slot.subject.is_some()).then_some(slot)
    }
}

/// Whether another connection may be free of a refusal.
fn is_lifted(refusal: CallError) -> bool {
    refusal == CallError::PermissionDenied
}

/// The first end counts.
fn end(mut slot: MutexGuard<'_, Slot>, error: CallError) {
    slot.ended.get_or_insert(error);
    wake(slot);
}

/// Wakes the slot's reader after giving up its lock: the reader would only wait for it.
fn wake(mut slot: MutexGuard<'_, Slot>) {
    let waker = slot.waker.take();
    drop(slot);
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// What a reply takes, in bytes.
fn cost(reply: &Reply) -> usize {
    let headers = reply.headers.iter();
    let headers: usize = headers.map(|(name, value)| name.len() + value.len()).sum();
    REPLY_OVERHEAD_BYTES + headers + reply.payload.len()
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;

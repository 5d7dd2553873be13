//! The table of pending calls: a fixed number of slots, each with the replies not yet read.
//!
//! Every slot has a lock of its own, held for a few moves and never across an `await`. Memory is
//! bounded by the number of slots and by what streams may queue, not by how many calls ever timed
//! out: a slot is taken when a call begins and free again when its handle is dropped.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use super::token::Token;
use crate::domain::subject::Subject;
use crate::service::caller::{CallError, Reply};

/// What one call may have unread, beyond one reply of any size.
const MAX_CALL_BYTES: usize = 8 << 20;
/// What all calls together may have unread, beyond one reply of any size each.
const MAX_TOTAL_BYTES: usize = 64 << 20;
/// What a queued reply costs beside its text.
const REPLY_OVERHEAD_BYTES: usize = 128;
/// A slot keeps room for as many replies between calls; a stream's queue is given back.
const KEPT_REPLIES: usize = 4;

/// Calls that wait for replies.
#[derive(Debug)]
pub(super) struct Table {
    slots: Box<[Mutex<Slot>]>,
    /// Slots without a call; the one used last comes first, its memory is warm.
    free: Mutex<Vec<u32>>,
    queued_bytes: AtomicUsize,
    /// Why no call can begin.
    refusal: Mutex<Option<CallError>>,
}

#[derive(Debug, Default)]
struct Slot {
    secret: u64,
    /// Where the call under way goes; `None` between calls.
    subject: Option<Subject>,
    replies: VecDeque<Reply>,
    queued_bytes: usize,
    ended: Option<CallError>,
    waker: Option<Waker>,
}

impl Table {
    pub(super) fn new(slots: u32) -> Self {
        Self {
            slots: (0..slots).map(|_| Mutex::default()).collect(),
            free: Mutex::new((0..slots).rev().collect()),
            queued_bytes: AtomicUsize::new(0),
            refusal: Mutex::new(None),
        }
    }

    /// How many calls are under way.
    pub(super) fn pending(&self) -> usize {
        self.slots.len() - lock(&self.free).len()
    }

    /// Takes a slot for a call to `subject`; whoever gets it must [`release`](Self::release) it.
    pub(super) fn begin(&self, subject: &Subject) -> Result<Token, CallError> {
        let index = lock(&self.free).pop().ok_or(CallError::Overloaded)?;
        let slot = self.slots.get(index as usize);
        let mut slot = lock(slot.ok_or(CallError::Overloaded)?);
        slot.subject = Some(subject.clone());
        slot.secret = rand::random();
        let token = Token {
            slot: index,
            secret: slot.secret,
        };
        drop(slot);
        // Asked last: a refusal that comes later finds this call and ends it.
        let refusal = *lock(&self.refusal);
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
        self.queued_bytes
            .fetch_sub(slot.queued_bytes, Ordering::Relaxed);
        slot.subject = None;
        slot.replies.clear();
        slot.replies.shrink_to(KEPT_REPLIES);
        slot.queued_bytes = 0;
        slot.ended = None;
        slot.waker = None;
        drop(slot);
        lock(&self.free).push(token.slot);
    }

    /// Queues a reply; one to a call that is over is ignored.
    pub(super) fn deliver(&self, token: Token, reply: Reply) {
        let Some(mut slot) = self.find(token) else {
            return;
        };
        if slot.ended.is_some() {
            return;
        }
        let bytes = cost(&reply);
        let total = self.queued_bytes.load(Ordering::Relaxed);
        let full = slot.queued_bytes + bytes > MAX_CALL_BYTES || total + bytes > MAX_TOTAL_BYTES;
        if full && !slot.replies.is_empty() {
            // The reader gets what was queued, then this error: no reply is missing in silence.
            slot.ended = Some(CallError::Overloaded);
        } else {
            self.queued_bytes.fetch_add(bytes, Ordering::Relaxed);
            slot.queued_bytes += bytes;
            slot.replies.push_back(reply);
        }
        wake(slot);
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
            let slot = lock(slot);
            if slot.subject.as_ref().is_some_and(&chosen) {
                end(slot, error);
            }
        }
    }

    /// Ends the wait of every call.
    pub(super) fn end_all(&self, error: CallError) {
        self.end_where(error, |_| true);
    }

    /// Ends every call, and those to come, until [`accept`](Self::accept); `Closed` is for good.
    pub(super) fn refuse(&self, error: CallError) {
        let mut refusal = lock(&self.refusal);
        if *refusal != Some(CallError::Closed) {
            *refusal = Some(error);
        }
        drop(refusal);
        self.end_all(error);
    }

    /// Takes calls again.
    pub(super) fn accept(&self) {
        lock(&self.refusal).take_if(|error| *error != CallError::Closed);
    }

    /// The next reply to a call, or why there will be none.
    pub(super) fn poll_next(
        &self,
        token: Token,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Reply, CallError>> {
        let Some(mut slot) = self.find(token) else {
            return Poll::Ready(Err(CallError::Closed));
        };
        if let Some(reply) = slot.replies.pop_front() {
            let bytes = cost(&reply);
            slot.queued_bytes -= bytes;
            self.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
            return Poll::Ready(Ok(reply));
        }
        poll_ended(slot, cx).map(Err)
    }

    /// Why there will be no more replies, as soon as that is so; takes none.
    pub(super) fn poll_ended(&self, token: Token, cx: &mut Context<'_>) -> Poll<CallError> {
        match self.find(token) {
            Some(slot) => poll_ended(slot, cx),
            None => Poll::Ready(CallError::Closed),
        }
    }

    /// The slot of a call under way.
    fn find(&self, token: Token) -> Option<MutexGuard<'_, Slot>> {
        let slot = lock(self.slots.get(token.slot as usize)?);
        (slot.secret == token.secret && slot.subject.is_some()).then_some(slot)
    }
}

fn poll_ended(mut slot: MutexGuard<'_, Slot>, cx: &mut Context<'_>) -> Poll<CallError> {
    if let Some(error) = slot.ended {
        return Poll::Ready(error);
    }
    match &mut slot.waker {
        Some(waker) => waker.clone_from(cx.waker()),
        None => slot.waker = Some(cx.waker().clone()),
    }
    Poll::Pending
}

/// The first end counts.
fn end(mut slot: MutexGuard<'_, Slot>, error: CallError) {
    slot.ended.get_or_insert(error);
    wake(slot);
}

/// Wakes whoever reads the slot, without its lock: they would only wait for it.
fn wake(mut slot: MutexGuard<'_, Slot>) {
    let waker = slot.waker.take();
    drop(slot);
    if let Some(waker) = waker {
        waker.wake();
    }
}

fn cost(reply: &Reply) -> usize {
    let headers = reply.headers.iter();
    let headers: usize = headers.map(|(name, value)| name.len() + value.len()).sum();
    REPLY_OVERHEAD_BYTES + headers + reply.payload.len()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;

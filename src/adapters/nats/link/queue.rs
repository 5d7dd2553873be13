//! What waits to be sent over a connection, and why we asked for PONGs.

use std::collections::VecDeque;
use std::mem;
use std::net::TcpStream;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::time::Instant;

use memchr::memchr;
use thiserror::Error;
use tokio::sync::oneshot;

use crate::adapters::nats::wire::write::{self, HeaderBlock};

/// Bytes that may wait: a server that takes nothing for as long as this takes to fill is none.
const MAX_WAITING: usize = 8 << 20;

/// Why something was not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Unsent {
    /// There is no connection.
    #[error("there is no connection to NATS")]
    Down,
    /// Too much waits already.
    #[error("the queue to NATS is full")]
    Full,
}

#[derive(Debug, Default)]
pub(super) struct Queue {
    /// Set while there is a connection; shutting it down wakes its reader.
    pub(super) socket: Option<Arc<TcpStream>>,
    /// Whether the lane's subscriptions are to be there.
    pub(super) subscribed: bool,
    /// Whether a turn of the lane's thread is under way, at whose end `bytes` leave.
    pub(super) held: bool,
    pub(super) bytes: Vec<u8>,
    /// Whether somebody waits for room.
    pub(super) awaited: bool,
    /// Messages that wait for a connection.
    later: Vec<u8>,
    /// Where each of them ends.
    ends: Vec<usize>,
    /// For callers that need a header block.
    headers: HeaderBlock,
    /// Why our PINGs were sent, in their order, and when.
    pub(super) pings: VecDeque<(Ping, Instant)>,
}

/// Why a PING was sent.
#[derive(Debug)]
pub(super) enum Ping {
    /// A caller waits for the answer.
    RoundTrip(oneshot::Sender<()>),
    /// To see whether the server is still there.
    Sign,
    /// All subscriptions are made again: see [`Refusals`](super::refusals::Refusals).
    Subscriptions,
    /// On the way to another server: see [`Leaving`](super::reader::Leaving).
    Leaving,
    /// A companion of the lane asked, and gets to know the answer by this number.
    Companion(u64),
}

impl Queue {
    /// Appends a PING that is sent for `why`.
    pub(super) fn ping(&mut self, why: Ping) {
        write::ping(&mut self.bytes);
        self.pings.push_back((why, Instant::now()));
    }

    /// Whether something could be appended. If not, the next write that makes room is reported.
    pub(super) fn has_room_or_awaits(&mut self) -> bool {
        let waiting = match self.socket {
            Some(_) => &self.bytes,
            None => &self.later,
        };
        let has_room = waiting.len() < MAX_WAITING;
        self.awaited |= !has_room;
        has_room
    }

    /// Lets `write` append what is to be sent, with scratch memory for a header block.
    ///
    /// # Errors
    /// Too much waits already.
    pub(super) fn append<T>(
        &mut self,
        write: impl FnOnce(&mut Vec<u8>, &mut HeaderBlock) -> T,
    ) -> Result<T, Unsent> {
        whole(&mut self.bytes, &mut self.headers, write)
    }

    /// The same with one message for the next connection.
    ///
    /// # Errors
    /// Too much waits already.
    pub(super) fn keep<T>(
        &mut self,
        write: impl FnOnce(&mut Vec<u8>, &mut HeaderBlock) -> T,
    ) -> Result<T, Unsent> {
        let before = self.later.len();
        let written = whole(&mut self.later, &mut self.headers, write);
        if self.later.len() > before {
            self.ends.push(self.later.len());
        }
        written
    }

    /// Whether something is kept for a connection.
    pub(super) fn keeps(&self) -> bool {
        !self.later.is_empty()
    }

    /// Appends what was kept while there was no connection; the new one's server takes messages of
    /// `max_payload` bytes. Returns how many are lost, as too large for it.
    pub(super) fn append_kept(&mut self, max_payload: usize) -> usize {
        let (later, ends) = (mem::take(&mut self.later), mem::take(&mut self.ends));
        let (mut start, mut lost) = (0, 0);
        for end in ends {
            let message = later.get(start..end).unwrap_or_default();
            if size(message) <= max_payload {
                self.bytes.extend_from_slice(message);
            } else {
                lost += 1;
            }
            start = end;
        }
        lost
    }
}

/// Bytes of headers and body of a message on the wire: what is between its control line and the line
/// break at its end.
fn size(message: &[u8]) -> usize {
    let line = memchr(b'\n', message).map_or(0, |end| end + 1);
    message.len().saturating_sub(line + b"\r\n".len())
}

/// Lets `write` append to `bytes`, unless too much waits there. Where it panics nothing was appended: a
/// part of an operation would be the end of the connection.
fn whole<T>(
    bytes: &mut Vec<u8>,
    headers: &mut HeaderBlock,
    write: impl FnOnce(&mut Vec<u8>, &mut HeaderBlock) -> T,
) -> Result<T, Unsent> {
    let before = bytes.len();
    if before >= MAX_WAITING {
        return Err(Unsent::Full);
    }
    let written = catch_unwind(AssertUnwindSafe(|| write(bytes, headers)));
    Ok(written.unwrap_or_else(|panic| {
        bytes.truncate(before);
        resume_unwind(panic)
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_panics_half_way_leaves_nothing_behind() {
        let mut queue = Queue::default();
        let whole = b"PUB a 0\r\n\r\n";
        queue.append(|out, _| out.extend_from_slice(whole)).unwrap();
        let half = AssertUnwindSafe(|| {
            queue.append(|out, _| {
                out.extend_from_slice(b"PUB a 5\r\nhal");
                panic!("a bug");
            })
        });
        assert!(catch_unwind(half).is_err());
        assert_eq!(queue.bytes, whole);
    }

    #[test]
    fn what_was_kept_goes_to_a_server_that_takes_it() {
        let mut queue = Queue::default();
        let mut headers = HeaderBlock::default();
        headers.push("A", "1").unwrap();
        for size in [0, 18, 19, 10_000, 3] {
            let body = vec![b'\n'; size];
            queue
                .keep(|out, _| write::publish(out, b"a", None, &body))
                .unwrap();
            queue
                .keep(|out, _| write::publish_with_headers(out, b"a", None, &headers, &body))
                .unwrap();
            queue.keep(|_, _| ()).unwrap();
        }
        let kept = queue.later.clone();
        assert!(queue.keeps());
        assert_eq!(queue.append_kept(36), 3, "19 with headers, and 10,000");
        assert!(!queue.keeps());
        assert_eq!(queue.append_kept(36), 0, "only once");
        let sent = String::from_utf8(mem::take(&mut queue.bytes)).unwrap();
        let lines = sent.lines().filter(|line| line.contains("PUB"));
        let lines: Vec<_> = lines.collect();
        let expected = [
            "PUB a 0",
            "HPUB a 18 18",
            "PUB a 18",
            "HPUB a 18 36",
            "PUB a 19",
            "PUB a 3",
            "HPUB a 18 21",
        ];
        assert_eq!(lines, expected);
        assert!(kept.len() > sent.len());
    }

    #[test]
    fn what_waits_is_bounded() {
        let large = vec![b'x'; MAX_WAITING / 4];
        let mut queue = Queue::default();
        for _ in 0..4 {
            queue
                .append(|out, _| out.extend_from_slice(&large))
                .unwrap();
            queue.keep(|out, _| out.extend_from_slice(&large)).unwrap();
        }
        assert_eq!(queue.append(|_, _| ()), Err(Unsent::Full));
        assert_eq!(queue.keep(|_, _| ()), Err(Unsent::Full));
    }
}

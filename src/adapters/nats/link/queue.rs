//! What waits to be sent over a connection, and why we asked for PONGs.

use std::collections::VecDeque;
use std::net::TcpStream;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::time::Instant;

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
    /// What waits for a connection.
    pub(super) later: Vec<u8>,
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
    /// On the way to another server: see [`Leaving`](super::reader::Leaving).
    Leaving,
    /// A companion of the lane asked, under this number.
    Companion(u64),
}

/// What a PONG means to the lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answered {
    /// Nothing.
    Nothing,
    /// The connection is a step nearer to being left.
    Leave,
    /// The companion gets to know, by the number that it gave.
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
        if self.bytes.len() >= MAX_WAITING {
            return Err(Unsent::Full);
        }
        Ok(whole(&mut self.bytes, &mut self.headers, write))
    }

    /// The same for the next connection.
    ///
    /// # Errors
    /// Too much waits already.
    pub(super) fn keep<T>(
        &mut self,
        write: impl FnOnce(&mut Vec<u8>, &mut HeaderBlock) -> T,
    ) -> Result<T, Unsent> {
        if self.later.len() >= MAX_WAITING {
            return Err(Unsent::Full);
        }
        Ok(whole(&mut self.later, &mut self.headers, write))
    }
}

/// Lets `write` append to `bytes`. Where it panics nothing was appended: a part of an operation would
/// be the end of the connection.
fn whole<T>(
    bytes: &mut Vec<u8>,
    headers: &mut HeaderBlock,
    write: impl FnOnce(&mut Vec<u8>, &mut HeaderBlock) -> T,
) -> T {
    let before = bytes.len();
    match catch_unwind(AssertUnwindSafe(|| write(bytes, headers))) {
        Ok(written) => written,
        Err(panic) => {
            bytes.truncate(before);
            resume_unwind(panic)
        }
    }
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

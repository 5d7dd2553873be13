//! The reading half of a connection: waits for bytes, and knows how long.

use std::io::{self, Read};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::buffer::Buffer;
use super::lane::Companion;
use super::outbox::{Outbox, Ping};
use super::refusals::Refusals;
use crate::adapters::nats::wire::session::{Lost, Session, TICK, Tick};

/// The shortest wait for bytes: a wait of zero would have no end.
const SHORTEST: Duration = Duration::from_millis(1);
/// How long requests are still taken from a server that is about to go, while what was begun keeps us
/// there: a sidecar may be the only one.
const SERVE_FOR: Duration = Duration::from_secs(4);
/// How long what was begun may keep us there in all: by default such a server closes no connection
/// within its first ten seconds.
const LEAVE_WITHIN: Duration = Duration::from_secs(9);

/// The reading half.
pub(super) struct Reader<'s> {
    socket: &'s TcpStream,
    secured: bool,
    /// What was read and has to be decrypted.
    raw: Vec<u8>,
    pub(super) buffer: Buffer,
    pub(super) session: Session,
    pub(super) refusals: Refusals,
    /// When the last bytes came, or the last wait for some ended.
    pub(super) now: Instant,
    ticked: Instant,
    /// How long to wait for bytes: the socket's read timeout.
    patience: Duration,
    /// Whether the last wait ended without any.
    quiet: bool,
    /// Whether the server has ended the stream: there are no more.
    ended: bool,
    pub(super) leaving: Option<Leaving>,
}

/// How far it is with leaving a server that is about to go.
#[derive(Debug, Clone, Copy)]
pub(super) enum Leaving {
    /// The server has announced it then; what was begun is being finished, and what comes is served.
    Announced(Instant),
    /// The subscriptions are being ended.
    Asked(Instant),
    /// They are ended; what was begun is being finished.
    Unsubscribed(Instant),
    /// Everything is sent, and the server is asked to confirm it: what a socket still holds when it
    /// is closed may be lost.
    Said,
    /// It has.
    Heard,
}

impl<'s> Reader<'s> {
    /// Reads what comes for `session`, on from what came with its greeting.
    pub(super) fn new(
        socket: &'s TcpStream,
        secured: bool,
        buffer: Buffer,
        session: Session,
    ) -> Self {
        let now = Instant::now();
        Self {
            socket,
            secured,
            raw: Vec::new(),
            buffer,
            session,
            refusals: Refusals::default(),
            now,
            ticked: now,
            patience: TICK,
            quiet: false,
            ended: false,
            leaving: None,
        }
    }

    /// Waits for bytes, at most for one [`TICK`]; false when none will come any more.
    pub(super) fn fill(&mut self, outbox: &Outbox) -> bool {
        if self.ended {
            return false;
        }
        let mut socket = self.socket;
        let read = if self.secured {
            self.raw.resize(64 * 1024, 0);
            socket.read(&mut self.raw)
        } else {
            socket.read(self.buffer.space())
        };
        self.now = Instant::now();
        self.quiet = false;
        let read = match read {
            Ok(read) if read > 0 => read,
            Err(error) if is_quiet(error.kind()) => {
                self.quiet = true;
                return true;
            }
            Ok(_) | Err(_) => return false,
        };
        self.session.heard(self.now);
        if !self.secured {
            self.buffer.filled(read);
            return true;
        }
        let raw = self.raw.get(..read).unwrap_or_default();
        let decrypted = outbox.with_writer(|writer| writer.decrypt(raw, &mut self.buffer));
        let Some(Ok(open)) = decrypted else {
            return false;
        };
        // What came before the end is dealt with first: it may say why.
        self.ended = !open;
        true
    }

    /// Waits for bytes until `next` at most, and one [`TICK`] at most. A wait that ends too early does
    /// no harm, so a busy socket's is only ever made shorter.
    pub(super) fn wait_until(&mut self, next: Option<Instant>) {
        let wanted = match next {
            Some(next) => next
                .saturating_duration_since(self.now)
                .clamp(SHORTEST, TICK),
            None => TICK,
        };
        // A failure means a broken socket, which the next read reports.
        let change = wanted < self.patience || (self.quiet && wanted != self.patience);
        if change && self.socket.set_read_timeout(Some(wanted)).is_ok() {
            self.patience = wanted;
        }
    }

    /// The server has answered the last PING before leaving.
    pub(super) fn leaves(&mut self) {
        self.leaving = match self.leaving {
            Some(Leaving::Asked(since)) => Some(Leaving::Unsubscribed(since)),
            Some(Leaving::Said) => Some(Leaving::Heard),
            other => other,
        };
    }

    /// Whether a server that is about to shut down can be left, as nothing waits for it any more.
    /// `outbox` asks it, and `unsubscribe` appends the ends of the subscriptions to requests.
    pub(super) fn may_leave(
        &mut self,
        companion: &dyn Companion,
        outbox: &Arc<Outbox>,
        unsubscribe: impl FnOnce(&mut Vec<u8>, bool),
    ) -> bool {
        let now = self.now;
        let is_kept =
            |since, limit| now.saturating_duration_since(since) < limit && companion.is_busy();
        // Without a connection there is nothing to leave.
        match self.leaving {
            Some(Leaving::Announced(since)) if !is_kept(since, SERVE_FOR) => {
                self.leaving = Some(Leaving::Asked(since));
                let _ = outbox.ask(Ping::Leaving, unsubscribe);
            }
            Some(Leaving::Unsubscribed(since)) if !is_kept(since, LEAVE_WITHIN) => {
                self.leaving = Some(Leaving::Said);
                let _ = outbox.ask(Ping::Leaving, |_, _| {});
            }
            _ => {}
        }
        matches!(self.leaving, Some(Leaving::Heard))
    }

    /// Looks at the time, once a [`TICK`].
    pub(super) fn tick(&mut self) -> Result<Tick, Lost> {
        if self.now.saturating_duration_since(self.ticked) < TICK {
            return Ok(Tick::Fine);
        }
        self.ticked = self.now;
        self.session.tick(self.now)
    }
}

fn is_quiet(error: io::ErrorKind) -> bool {
    use io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    matches!(error, WouldBlock | TimedOut | Interrupted)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    struct Calls {
        under_way: bool,
    }

    impl Companion for Calls {
        fn is_busy(&self) -> bool {
            self.under_way
        }
    }

    /// How many seconds after the announcement requests are no longer taken, and the server is left.
    fn leaves(calls: &Calls) -> (u64, u64) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let announced = Instant::now();
        let session = Session::new(false, announced);
        let mut reader = Reader::new(&socket, false, Buffer::new(), session);
        reader.leaving = Some(Leaving::Announced(announced));
        let (outbox, mut unsubscribed) = (Arc::default(), None);
        for second in 0..60 {
            reader.now = announced + Duration::from_secs(second);
            // One call for each step; each PING is answered at once.
            for _ in 0..3 {
                if reader.may_leave(calls, &outbox, |_, _| {}) {
                    return (unsubscribed.unwrap(), second);
                }
                if let Some(Leaving::Asked(_)) = reader.leaving {
                    unsubscribed = Some(second);
                }
                reader.leaves();
            }
        }
        panic!("{:?}", reader.leaving);
    }

    #[test]
    fn calls_under_way_keep_us_within_the_grace_of_a_server_that_goes() {
        assert_eq!(leaves(&Calls { under_way: false }), (0, 0));
        assert_eq!(leaves(&Calls { under_way: true }), (4, 9));
    }
}

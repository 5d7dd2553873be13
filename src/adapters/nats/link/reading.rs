//! The thread of a lane.
//!
//! A turn reads what is there, hands each message to the [`Handler`](super::lane::Handler), which
//! appends its answer to the turn's buffer, and sends all answers with one write. The thread blocks
//! in `read`: where one request is under way at a time, a readiness call would cost what all else
//! saves. A timeout of the read is the lane's clock.

use std::io::{self, Read};
use std::net::TcpStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use rand::RngExt;

use super::buffer::Buffer;
use super::dial::{Connection, dial};
use super::lane::{Served, Shared, Turn};
use super::outbox::{Outbox, Ping};
use crate::adapters::nats::wire::operation::{Message, Parsed, parse};
use crate::adapters::nats::wire::servers::Servers;
use crate::adapters::nats::wire::session::{Lost, Session, Step, TICK, Tick};
use crate::adapters::nats::wire::write::HeaderBlock;
use crate::config::{NatsAddress, NatsSettings};
use crate::service::observe::Observation;

/// Answers of one turn are sent when they are so many bytes, and the turn goes on.
const SEND_AT: usize = 256 * 1024;
/// Before a thread that has panicked goes on: whatever it was may be there still.
const RECOVERY: Duration = Duration::from_millis(100);

/// The thread's own part.
pub(super) struct Running<T> {
    pub(super) shared: Arc<Shared<T>>,
    pub(super) settings: NatsSettings,
    pub(super) servers: Servers,
    /// What servers list us as.
    pub(super) client_name: String,
}

/// How a connection ended.
enum End {
    /// The server closed it, or the way to it broke.
    Broken,
    Lost(Lost),
    /// The server is about to go, and everything it had sent is answered.
    Left,
}

impl<T: Copy + Send + Sync + 'static> Running<T> {
    /// Keeps a connection until the lane is closed. A bug costs the connection, and not the lane.
    pub(super) fn run(&mut self) {
        self.servers
            .shuffle(|below| rand::rng().random_range(0..below.max(1)));
        while !self.stopped() {
            if catch_unwind(AssertUnwindSafe(|| self.keep_connected())).is_err() {
                self.shared.outbox.close();
                self.up(false);
                self.notice("the thread of this connection panicked; it begins again".to_owned());
                thread::park_timeout(RECOVERY);
            }
        }
    }

    fn keep_connected(&mut self) {
        while !self.stopped() {
            let pause = self.servers.pause(rand::random());
            if !pause.is_zero() {
                thread::park_timeout(pause);
            }
            let Some(address) = self.servers.advance() else {
                return;
            };
            let demand_tls = self.servers.demand_tls();
            let place = address.to_string();
            match dial(&self.settings, address, demand_tls, &self.client_name) {
                Ok(connection) => self.use_up(connection),
                Err(error) => self.notice(format!("{place}: {error}")),
            }
        }
    }

    fn stopped(&self) -> bool {
        self.shared.stop.load(Ordering::Acquire)
    }

    /// One connection, until it ends.
    fn use_up(&mut self, connection: Connection) {
        let Connection {
            socket,
            writer,
            session,
            buffer,
            address,
        } = connection;
        self.servers.connected();
        self.servers.learn(&session.info().connect_urls, &address);
        let shared = Arc::clone(&self.shared);
        shared.outbox.accepts(session.max_payload());
        let secured = writer.is_secured();
        shared.outbox.open(writer, |lines| {
            if let Some(served) = shared.served.get() {
                served.subscribe(lines);
            }
        });
        self.up(true);
        let mut reader = Reader {
            socket: &socket,
            secured,
            raw: Vec::new(),
            buffer,
            session,
            now: Instant::now(),
            ticked: Instant::now(),
            leaving: false,
        };
        let end = self.read(&mut reader, &address);
        shared.outbox.close();
        self.up(false);
        match end {
            End::Lost(lost) => self.notice(format!("{address}: {lost}")),
            End::Broken | End::Left => {}
        }
    }

    fn up(&self, up: bool) {
        let connection = self.shared.name;
        self.shared.up.send_replace(up);
        self.shared.status.nats_link(connection, up);
        if !up && self.stopped() {
            // Our own doing: nobody needs to hear of it, least of all after the last word.
            return;
        }
        self.shared
            .observers
            .observe(&Observation::NatsUp { connection, up });
    }

    fn notice(&self, notice: String) {
        if !self.stopped() {
            let connection = self.shared.name;
            let notice = Observation::NatsNotice { connection, notice };
            self.shared.observers.observe(&notice);
        }
    }

    fn read(&mut self, reader: &mut Reader<'_>, address: &NatsAddress) -> End {
        let shared = Arc::clone(&self.shared);
        let mut turn = Turn {
            now: reader.now,
            out: Vec::new(),
            headers: HeaderBlock::default(),
            max_payload: reader.session.max_payload(),
        };
        loop {
            match reader.fill(&shared.outbox) {
                Ok(true) => {}
                Ok(false) | Err(_) => return End::Broken,
            }
            turn.now = reader.now;
            let took = self.turn(reader, address, &mut turn);
            shared.outbox.send(&mut turn.out);
            match took {
                // Only now: the answers to all that came before a PONG are sent.
                Ok(pongs) => {
                    if (0..pongs).any(|_| shared.outbox.answered()) {
                        return End::Left;
                    }
                }
                Err(lost) => return End::Lost(lost),
            }
            match reader.tick() {
                Ok(Tick::Fine) => {}
                // Not sent, it is asked again in a moment, or the connection is gone.
                Ok(Tick::Ask) => drop(shared.outbox.ask(Ping::Sign, |_| {})),
                Err(lost) => return End::Lost(lost),
            }
        }
    }

    /// Takes everything that has arrived; how many PONGs there were.
    fn turn(
        &mut self,
        reader: &mut Reader<'_>,
        address: &NatsAddress,
        turn: &mut Turn,
    ) -> Result<usize, Lost> {
        let shared = Arc::clone(&self.shared);
        let served = shared.served.get();
        let mut pongs = 0;
        loop {
            let max_message = reader.session.max_message();
            let (operation, taken) = match parse(reader.buffer.unread(), max_message)? {
                Parsed::Whole(operation, taken) => (operation, taken),
                Parsed::Part(whole) => {
                    reader.buffer.expect(whole);
                    return Ok(pongs);
                }
            };
            match reader.session.take(operation, &mut turn.out)? {
                Step::Message(message) => deliver(served, &message, turn),
                Step::Pong => pongs += 1,
                Step::Informed => self.informed(reader, address, turn),
                Step::Refused(refusal) => self.notice(refusal.text()),
                Step::Nothing | Step::Greeted { .. } | Step::Established => {}
            }
            reader.buffer.take(taken);
            if turn.out.len() >= SEND_AT {
                shared.outbox.send(&mut turn.out);
            }
        }
    }
}

impl<T: Copy + Send + Sync + 'static> Running<T> {
    /// The server has said something new about itself or its cluster.
    fn informed(&mut self, reader: &mut Reader<'_>, address: &NatsAddress, turn: &mut Turn) {
        let (shared, info) = (&self.shared, reader.session.info());
        self.servers.learn(&info.connect_urls, address);
        turn.max_payload = reader.session.max_payload();
        shared.outbox.accepts(turn.max_payload);
        if !info.ldm || reader.leaving {
            return;
        }
        self.notice(format!("{address}: lame duck mode"));
        // Another server takes over before this one closes, and what it has sent is answered first.
        // Where there is no other, the last moment counts.
        if self.servers.has_another(address) {
            reader.leaving = true;
            // Without a connection there is nothing to leave.
            let _ = shared
                .outbox
                .ask(Ping::Leaving, |lines| shared.unsubscribe(lines));
        }
    }
}

/// A handler that panics costs its own message, and what it had begun to say about that.
fn deliver<T: Copy + 'static>(served: Option<&Served<T>>, message: &Message<'_>, turn: &mut Turn) {
    let Some((served, tag)) = served.and_then(|served| Some((served, served.of(message.sid)?.tag)))
    else {
        return;
    };
    let before = turn.out.len();
    let work = AssertUnwindSafe(|| served.handler.message(tag, message, turn));
    if catch_unwind(work).is_err() {
        turn.out.truncate(before);
        let _ = catch_unwind(AssertUnwindSafe(|| {
            served.handler.panicked(tag, message, turn)
        }));
    }
}

/// The reading half.
struct Reader<'s> {
    socket: &'s TcpStream,
    secured: bool,
    /// What was read and has to be decrypted.
    raw: Vec<u8>,
    buffer: Buffer,
    session: Session,
    /// When the last bytes came, or the last wait for some ended.
    now: Instant,
    ticked: Instant,
    leaving: bool,
}

impl Reader<'_> {
    /// Waits for bytes, at most for one [`TICK`]; false when none will come any more.
    fn fill(&mut self, outbox: &Outbox) -> io::Result<bool> {
        let mut socket = self.socket;
        let read = if self.secured {
            self.raw.resize(64 * 1024, 0);
            socket.read(&mut self.raw)
        } else {
            socket.read(self.buffer.space())
        };
        self.now = Instant::now();
        let read = match read {
            Ok(0) => return Ok(false),
            Ok(read) => read,
            Err(error) if is_quiet(error.kind()) => return Ok(true),
            Err(error) => return Err(error),
        };
        self.session.heard(self.now);
        if !self.secured {
            self.buffer.filled(read);
            return Ok(true);
        }
        let raw = self.raw.get(..read).unwrap_or_default();
        let decrypted = outbox.with_writer(|writer| writer.decrypt(raw, &mut self.buffer));
        decrypted.unwrap_or(Ok(false))
    }

    fn tick(&mut self) -> Result<Tick, Lost> {
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

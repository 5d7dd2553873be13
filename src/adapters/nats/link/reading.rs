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
use super::lane::{Companion, INBOX, Served, Shared, Turn};
use super::outbox::{Answered, Outbox, Ping};
use crate::adapters::nats::wire::operation::{Message, Operation, Parsed, parse};
use crate::adapters::nats::wire::servers::Servers;
use crate::adapters::nats::wire::session::{Lost, Session, Step, TICK, Tick};
use crate::adapters::nats::wire::write::HeaderBlock;
use crate::config::{NatsAddress, NatsSettings};
use crate::service::observe::Observation;

/// Answers of one turn are sent when they are so many bytes, and the turn goes on.
const SEND_AT: usize = 256 * 1024;
/// Operations that are looked at before the first of them is dealt with.
const AHEAD: usize = 8;
/// The shortest wait for bytes: a wait of zero would have no end.
const SHORTEST: Duration = Duration::from_millis(1);
/// How long what was begun may keep us at a server that is about to go; by default such a server
/// stays for two minutes.
const LEAVE_WITHIN: Duration = Duration::from_secs(5);
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
                self.lost();
                let connection = self.shared.name;
                let restarted = Observation::NatsRestarted { connection };
                self.shared.observers.observe(&restarted);
                thread::park_timeout(RECOVERY);
            }
        }
        let companion = &self.shared.companion;
        let _ = catch_unwind(AssertUnwindSafe(|| companion.closed()));
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
                Err(error) => {
                    self.notice(format!("{place}: {error}"));
                    // Nothing comes, but time goes on.
                    self.shared.companion.turn_over(Instant::now());
                }
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
        shared
            .outbox
            .open(writer, |lines, requests| shared.subscribe(lines, requests));
        self.up(true);
        shared.companion.link(true);
        let mut reader = Reader {
            socket: &socket,
            secured,
            raw: Vec::new(),
            buffer,
            session,
            now: Instant::now(),
            ticked: Instant::now(),
            patience: TICK,
            quiet: false,
            leaving: None,
        };
        let end = self.read(&mut reader, &address);
        self.lost();
        match end {
            End::Lost(lost) => self.notice(format!("{address}: {lost}")),
            End::Broken | End::Left => {}
        }
    }

    /// The connection is gone, and who depends on it gets to know.
    fn lost(&self) {
        self.shared.outbox.close();
        self.up(false);
        let companion = &self.shared.companion;
        let telling = || {
            match self.stopped() {
                true => companion.closed(),
                false => companion.link(false),
            }
            companion.turn_over(Instant::now());
        };
        let _ = catch_unwind(AssertUnwindSafe(telling));
    }

    fn up(&self, up: bool) {
        let connection = self.shared.name;
        self.shared.up.send_replace(up);
        self.shared.status.nats_link(connection, up);
        if self.stopped() {
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
            shared.outbox.hold();
            let took = self.turn(reader, address, &mut turn);
            self.turn_over(reader);
            shared.outbox.release(&mut turn.out);
            match took {
                // Only now: the answers to all that came before a PONG are sent.
                Ok(pongs) => self.answered(reader, pongs),
                Err(lost) => return End::Lost(lost),
            }
            if reader.may_leave(&*shared.companion) {
                return End::Left;
            }
            match reader.tick() {
                Ok(Tick::Fine) => {}
                // Not sent, it is asked again in a moment, or the connection is gone.
                Ok(Tick::Ask) => drop(shared.outbox.ask(Ping::Sign, |_| {})),
                Err(lost) => return End::Lost(lost),
            }
        }
    }

    /// The companion's part of a turn.
    fn turn_over(&self, reader: &mut Reader<'_>) {
        let next = self.shared.companion.turn_over(reader.now);
        reader.wait_until(next);
    }

    fn answered(&self, reader: &mut Reader<'_>, pongs: usize) {
        let (outbox, companion) = (&self.shared.outbox, &self.shared.companion);
        let mut looked = false;
        for _ in 0..pongs {
            match outbox.answered() {
                Answered::Nothing => {}
                Answered::Leave => reader.leaving = Some(Leaving::Unsubscribed(reader.now)),
                Answered::Companion(number) => {
                    companion.looked(number);
                    looked = true;
                }
            }
        }
        if looked {
            outbox.hold();
            self.turn_over(reader);
            outbox.release(&mut Vec::new());
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
            let (ahead, rest) = Ahead::read(reader.buffer.unread(), reader.session.max_message());
            if let Some(served) = served {
                ahead.foresee(served);
            }
            let mut informed = false;
            for operation in ahead.operations() {
                match reader.session.take(operation, &mut turn.out)? {
                    Step::Message(message) if message.sid == INBOX => {
                        shared.companion.arrived(&message);
                    }
                    Step::Message(message) => deliver(served, &message, turn),
                    Step::Pong => pongs += 1,
                    Step::Informed => informed = true,
                    Step::Refused(refusal) => {
                        shared.companion.refused(&refusal);
                        self.notice(refusal.text());
                    }
                    Step::Nothing | Step::Greeted { .. } | Step::Established => {}
                }
            }
            let taken = ahead.taken;
            reader.buffer.take(taken);
            if informed {
                self.informed(reader, address, turn);
            }
            if turn.out.len() >= SEND_AT {
                shared.outbox.send(&mut turn.out);
            }
            if let Some(whole) = rest? {
                reader.buffer.expect(whole);
                return Ok(pongs);
            }
        }
    }
}

/// Operations that have arrived and are dealt with together. Memory that a message will need is far
/// away where there are many extensions; that of several is fetched at a time.
struct Ahead<'b> {
    operations: [Option<Operation<'b>>; AHEAD],
    /// How many bytes they have.
    taken: usize,
}

impl<'b> Ahead<'b> {
    /// Reads the first operations of `bytes`; beside them how many bytes there have to be before the
    /// next is whole, where it is not.
    fn read(bytes: &'b [u8], max_message: usize) -> (Self, Result<Option<usize>, Lost>) {
        let mut ahead = Self {
            operations: [None; AHEAD],
            taken: 0,
        };
        for place in &mut ahead.operations {
            let unread = bytes.get(ahead.taken..).unwrap_or_default();
            match parse(unread, max_message) {
                Ok(Parsed::Whole(operation, taken)) => {
                    *place = Some(operation);
                    ahead.taken += taken;
                }
                Ok(Parsed::Part(whole)) => return (ahead, Ok(Some(whole))),
                Err(error) => return (ahead, Err(error.into())),
            }
        }
        (ahead, Ok(None))
    }

    fn operations(&self) -> impl Iterator<Item = Operation<'b>> {
        self.operations.iter().map_while(|operation| *operation)
    }

    fn foresee<T: Copy + 'static>(&self, served: &Served<T>) {
        if self.operations.get(1).is_none_or(Option::is_none) {
            return;
        }
        let mut messages = self.operations().filter_map(|operation| match operation {
            Operation::Message(message) => Some((served.of(message.sid)?.tag, message)),
            _ => None,
        });
        served.handler.foresee(&mut messages);
    }
}

impl<T: Copy + Send + Sync + 'static> Running<T> {
    /// The server has said something new about itself or its cluster.
    fn informed(&mut self, reader: &mut Reader<'_>, address: &NatsAddress, turn: &mut Turn) {
        let (shared, info) = (&self.shared, reader.session.info());
        self.servers.learn(&info.connect_urls, address);
        turn.max_payload = reader.session.max_payload();
        shared.outbox.accepts(turn.max_payload);
        if !info.ldm || reader.leaving.is_some() {
            return;
        }
        self.notice(format!("{address}: lame duck mode"));
        // Another server takes over before this one closes, and what it has sent is answered first.
        // Where there is no other, the last moment counts.
        if self.servers.has_another(address) {
            reader.leaving = Some(Leaving::Asked);
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
    /// How long to wait for bytes: the socket's read timeout.
    patience: Duration,
    /// Whether the last wait ended without any.
    quiet: bool,
    leaving: Option<Leaving>,
}

/// How far it is with leaving a server that is about to go.
#[derive(Debug, Clone, Copy)]
enum Leaving {
    /// The subscriptions are being ended.
    Asked,
    /// They are ended since then; what was begun is being finished.
    Unsubscribed(Instant),
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
        self.quiet = false;
        let read = match read {
            Ok(0) => return Ok(false),
            Ok(read) => read,
            Err(error) if is_quiet(error.kind()) => {
                self.quiet = true;
                return Ok(true);
            }
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

    /// Waits for bytes until `next` at most, and one [`TICK`] at most. A wait that ends too early does
    /// no harm, so a busy socket's is only ever made shorter.
    fn wait_until(&mut self, next: Option<Instant>) {
        let wanted = match next {
            Some(next) => next
                .saturating_duration_since(self.now)
                .clamp(SHORTEST, TICK),
            None => TICK,
        };
        // A failure means a broken socket, which the next read tells.
        let change = wanted < self.patience || (self.quiet && wanted != self.patience);
        if change && self.socket.set_read_timeout(Some(wanted)).is_ok() {
            self.patience = wanted;
        }
    }

    /// Whether nothing keeps us at a server that is about to go.
    fn may_leave(&self, companion: &dyn Companion) -> bool {
        match self.leaving {
            Some(Leaving::Unsubscribed(since)) => {
                let waited = self.now.saturating_duration_since(since);
                waited >= LEAVE_WITHIN || !companion.is_busy()
            }
            Some(Leaving::Asked) | None => false,
        }
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

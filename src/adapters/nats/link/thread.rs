//! The thread of a lane.
//!
//! A turn reads what is there, hands each message to the [`Handler`](super::lane::Handler), which
//! appends its answer to the turn's buffer, and sends all answers with one write. The thread blocks
//! in `read`: where one request is under way at a time, a readiness call would cost what all else
//! saves. A timeout of the read is the lane's clock.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use super::ahead::Ahead;
use super::dial::{Connection, DialError, are_several, dial, patience, places};
use super::lane::{INBOX, Served, Shared, Turn};
use super::outbox::Ping;
use super::reader::{Leaving, Reader};
use crate::adapters::nats::wire::operation::Message;
use crate::adapters::nats::wire::refusal::Refusal;
use crate::adapters::nats::wire::servers::Servers;
use crate::adapters::nats::wire::session::{Lost, Step, Tick};
use crate::adapters::nats::wire::write::HeaderBlock;
use crate::config::{NatsAddress, NatsSettings};
use crate::domain::quote::quoted;
use crate::service::observe::{DropReason, Observation};

/// Answers of one turn are sent once they reach this many bytes, and the turn goes on.
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

impl<T: Copy + Send + Sync + 'static> Running<T> {
    /// Keeps a connection until the lane is closed. A bug costs the connection, and not the lane.
    pub(super) fn run(&mut self) {
        self.servers.shuffle(&mut rand::rng());
        while !self.stopped() {
            if catch_unwind(AssertUnwindSafe(|| self.keep_connected())).is_err() {
                self.lost();
                let connection = self.shared.name;
                let restarted = Observation::NatsRestarted(connection);
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
            match self.connect(&address) {
                Ok(connection) => self.use_up(connection, &address),
                Err(error) => {
                    self.notice(format!("{address}: {error}"));
                    self.shared.companion.turn_over(Instant::now());
                }
            }
        }
    }

    /// Tries each address of a server, from any of them on: not the same one first every time, nor
    /// in all of a fleet. The error is the one that says most.
    fn connect(&self, address: &NatsAddress) -> Result<Connection, DialError> {
        let (settings, name) = (&self.settings, &self.client_name);
        let mut failure = None;
        let places = places(address, rand::random::<u16>().into())?;
        let patience = patience(places.len(), self.servers.rounds());
        for place in &places {
            match dial(settings, address, place, name, patience) {
                Ok(connection) => return Ok(connection),
                Err(error) if failure.is_none() || error.is_answer() => failure = Some(error),
                Err(_) => {}
            }
            if self.stopped() {
                break;
            }
            // Nothing comes, but time goes on.
            self.shared.companion.turn_over(Instant::now());
        }
        Err(failure.unwrap_or(DialError::Late))
    }

    fn stopped(&self) -> bool {
        self.shared.stop.load(Ordering::Acquire)
    }

    /// One connection, until it ends.
    fn use_up(&mut self, connection: Connection, address: &NatsAddress) {
        let Connection {
            socket,
            writer,
            session,
            buffer,
        } = connection;
        let began = Instant::now();
        let mut random = rand::rng();
        self.servers.informed(session.info(), address, &mut random);
        let shared = Arc::clone(&self.shared);
        shared.outbox.accepts(session.max_payload());
        let secured = writer.is_secured();
        let subscribe = |lines: &mut Vec<u8>, requests| shared.subscribe(lines, requests);
        for _ in 0..shared.outbox.open(writer, subscribe) {
            self.shared.observers.observe(&Observation::Dropped {
                reason: DropReason::PublishFailed,
                reply_prefix: None,
            });
        }
        self.up(true);
        shared.companion.link(true);
        shared.refused.send_replace(false);
        let mut reader = Reader::new(&socket, secured, buffer, session);
        let ended = self.read(&mut reader, address);
        self.servers.ended(began.elapsed());
        self.lost();
        if let Err(why) = ended {
            self.notice(format!("{address}: {why}"));
        }
    }

    /// The connection is gone, and its dependants are informed.
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
            // Our own doing: it is not reported, least of all during the drain.
            return;
        }
        let news = Observation::NatsUp { connection, up };
        self.shared.observers.observe(&news);
    }

    fn notice(&self, notice: String) {
        if !self.stopped() {
            let connection = self.shared.name;
            let notice = Observation::NatsNotice { connection, notice };
            self.shared.observers.observe(&notice);
        }
    }

    /// Until the server is about to go, and everything it had sent is answered.
    fn read(&mut self, reader: &mut Reader<'_>, address: &NatsAddress) -> Result<(), Lost> {
        let shared = Arc::clone(&self.shared);
        let mut turn = Turn {
            now: reader.now,
            out: Vec::new(),
            headers: HeaderBlock::default(),
            max_payload: reader.session.max_payload(),
        };
        loop {
            if !reader.fill(&shared.outbox) {
                return Err(Lost::Broken);
            }
            turn.now = reader.now;
            shared.outbox.hold();
            let took = self.turn(reader, address, &mut turn);
            self.turn_over(reader);
            shared.outbox.release(&mut turn.out);
            // Only now: the answers to all that came before a PONG are sent.
            self.answered(reader, took?);
            let unsubscribe = |lines: &mut Vec<u8>, _| shared.unsubscribe(lines);
            if reader.may_leave(&*shared.companion, &shared.outbox, unsubscribe) {
                return Ok(());
            }
            if reader.tick()? == Tick::Ask {
                // Not sent, the connection is gone.
                let _ = shared.outbox.ask(Ping::Sign, |_, _| {});
            }
            if reader.leaving.is_none() && reader.refusals.ask(reader.now) {
                let subscribe = |lines: &mut Vec<u8>, requests| shared.subscribe(lines, requests);
                // Not sent, the connection is gone.
                let _ = shared.outbox.ask(Ping::Subscriptions, subscribe);
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
            match outbox.pong() {
                // A waiter that has given up does not listen any more.
                Some(Ping::RoundTrip(waiting)) => drop(waiting.send(())),
                Some(Ping::Sign) | None => {}
                Some(Ping::Leaving) => reader.leaves(),
                Some(Ping::Subscriptions) => {
                    for subject in reader.refusals.answered() {
                        companion.permitted(&subject);
                        self.notice(format!("permitted to subscribe to {}", quoted(&subject)));
                    }
                    let refused = reader.refusals.any(|subject| self.shared.serves(subject));
                    self.shared.refused.send_replace(refused);
                }
                Some(Ping::Companion(number)) => {
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
                    Step::Informed => {
                        // The messages behind it are answered by its limits.
                        turn.max_payload = reader.session.max_payload();
                        shared.outbox.accepts(turn.max_payload);
                        informed = true;
                    }
                    // Asked for again, one that it has counts as another.
                    Step::Refused(Refusal::Full) if !reader.refusals.is_asking() => {
                        return Err(Lost::Full);
                    }
                    Step::Refused(refusal) => {
                        if let Refusal::Subscription(subject) = &refusal {
                            reader.refusals.refused(subject, reader.now);
                            if shared.serves(subject) {
                                shared.refused.send_replace(true);
                            }
                        }
                        if let (Refusal::Publish(subject), Some(served)) = (&refusal, served) {
                            served.handler.refused(subject);
                        }
                        shared.companion.refused(&refusal);
                        self.notice(refusal.to_string());
                    }
                    Step::Nothing | Step::Greeted { .. } | Step::Established => {}
                }
            }
            let taken = ahead.taken;
            reader.buffer.take(taken);
            if informed {
                self.informed(reader, address);
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

    /// The server has sent new information about itself or its cluster.
    fn informed(&mut self, reader: &mut Reader<'_>, address: &NatsAddress) {
        let info = reader.session.info();
        self.servers.informed(info, address, &mut rand::rng());
        if !info.ldm || reader.leaving.is_some() {
            return;
        }
        self.notice(format!("{address}: lame duck mode"));
        // Another server takes over before this one closes, and what it has sent is answered first.
        // Where there is no other, the last moment counts.
        // A name may have another server behind it, and this one takes no more connections.
        let several = || places(address, 0).is_ok_and(|all| are_several(&all));
        if self.servers.has_another(address) || several() {
            reader.leaving = Some(Leaving::Announced(reader.now));
        }
    }
}

/// A handler that panics costs its own message, and the answer it had begun.
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

//! What leaves a connection, whoever sends it.
//!
//! The lane's own thread writes its answers itself. Everybody else appends to a bounded queue, and
//! whoever finds the writer free sends what is in it: nobody waits for another's write, and nothing
//! stays behind (flat combining, after Hendler and others).

use std::collections::VecDeque;
use std::mem;
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use thiserror::Error;
use tokio::sync::oneshot;

use super::socket::Writer;
use crate::adapters::nats::wire::write;

/// Bytes that may wait: a server that takes nothing for as long as this takes to fill is none.
const MAX_WAITING: usize = 8 << 20;
/// A buffer of more than this is given back once it is sent.
const KEPT: usize = 256 * 1024;

/// Why something was not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Unsent {
    /// There is no connection.
    #[error("there is no connection to NATS")]
    Down,
    /// Too much waits already.
    #[error("the connection to NATS takes no more")]
    Full,
}

/// One connection's way out.
#[derive(Debug, Default)]
pub struct Outbox {
    queue: Mutex<Queue>,
    writer: Mutex<Option<Writer>>,
    max_payload: AtomicUsize,
}

#[derive(Debug, Default)]
struct Queue {
    /// Set while there is a connection; shutting it down wakes its reader.
    socket: Option<Arc<TcpStream>>,
    /// Whether the lane's subscriptions are to be there.
    subscribed: bool,
    bytes: Vec<u8>,
    /// Why our PINGs were sent, in their order.
    pings: VecDeque<Ping>,
}

/// Why a PING was sent.
#[derive(Debug)]
pub(super) enum Ping {
    /// Somebody waits for the answer.
    RoundTrip(oneshot::Sender<()>),
    /// To see whether the server is still there.
    Sign,
    /// With its answer the connection can be left.
    Leaving,
}

impl Outbox {
    /// Sends what `write` appends.
    ///
    /// # Errors
    /// Nothing is sent. Without an error it is on its way; it is lost if the connection is.
    pub fn submit(&self, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), Unsent> {
        let mut queue = self.queue();
        if queue.socket.is_none() {
            return Err(Unsent::Down);
        }
        if queue.bytes.len() >= MAX_WAITING {
            return Err(Unsent::Full);
        }
        write(&mut queue.bytes);
        drop(queue);
        self.flush();
        Ok(())
    }

    /// The most bytes of a message that the server takes, headers included; 0 before the first
    /// connection.
    pub fn max_payload(&self) -> usize {
        self.max_payload.load(Ordering::Relaxed)
    }

    pub(super) fn accepts(&self, max_payload: usize) {
        self.max_payload.store(max_payload, Ordering::Relaxed);
    }

    /// Whether there is a connection.
    pub fn is_up(&self) -> bool {
        self.queue().socket.is_some()
    }

    /// Sends a PING; the receiver hears when everything was read that the server had sent before it
    /// saw that, or that the connection is lost.
    ///
    /// # Errors
    /// See [`Unsent`].
    pub fn round_trip(&self) -> Result<oneshot::Receiver<()>, Unsent> {
        let (answered, answer) = oneshot::channel();
        self.ask(Ping::RoundTrip(answered), |_| {})?;
        Ok(answer)
    }

    /// Makes the subscriptions that `lines` appends, now and after each reconnect.
    pub(super) fn subscribe(&self, lines: impl FnOnce(&mut Vec<u8>)) {
        let mut queue = self.queue();
        queue.subscribed = true;
        if queue.socket.is_some() {
            lines(&mut queue.bytes);
            drop(queue);
            self.flush();
        }
    }

    /// Ends the subscriptions by what `lines` appends, for good; like [`round_trip`] otherwise.
    ///
    /// [`round_trip`]: Self::round_trip
    pub(super) fn unsubscribe(
        &self,
        lines: impl FnOnce(&mut Vec<u8>),
    ) -> Result<oneshot::Receiver<()>, Unsent> {
        self.queue().subscribed = false;
        let (answered, answer) = oneshot::channel();
        self.ask(Ping::RoundTrip(answered), lines)?;
        Ok(answer)
    }

    /// Sends what `lines` appends and a PING behind it.
    pub(super) fn ask(&self, ping: Ping, lines: impl FnOnce(&mut Vec<u8>)) -> Result<(), Unsent> {
        let mut queue = self.queue();
        if queue.socket.is_none() {
            return Err(Unsent::Down);
        }
        lines(&mut queue.bytes);
        write::ping(&mut queue.bytes);
        queue.pings.push_back(ping);
        drop(queue);
        self.flush();
        Ok(())
    }

    /// A PONG has come, and all that came before it has been dealt with. True if the connection
    /// is to be left now.
    pub(super) fn answered(&self) -> bool {
        let ping = self.queue().pings.pop_front();
        match ping {
            Some(Ping::Leaving) => return true,
            // Who has given up does not listen any more.
            Some(Ping::RoundTrip(waiting)) => drop(waiting.send(())),
            Some(Ping::Sign) | None => {}
        }
        false
    }

    /// A connection is there. `lines` appends its subscriptions, where there are to be any.
    pub(super) fn open(&self, writer: Writer, lines: impl FnOnce(&mut Vec<u8>)) {
        let socket = writer.socket();
        *self.writer() = Some(writer);
        let mut queue = self.queue();
        queue.socket = Some(socket);
        if queue.subscribed {
            lines(&mut queue.bytes);
        }
        drop(queue);
        self.flush();
    }

    /// The connection is lost, and with it what waited.
    pub(super) fn close(&self) {
        let mut queue = self.queue();
        queue.socket = None;
        queue.bytes = Vec::new();
        queue.pings.clear();
        drop(queue);
        if let Some(writer) = self.writer().take() {
            writer.close();
        }
    }

    /// Ends the connection, if there is one, which wakes the thread that reads it.
    pub(super) fn interrupt(&self) {
        if let Some(socket) = &self.queue().socket {
            let _closed = socket.shutdown(Shutdown::Both);
        }
    }

    /// Sends `answers`, and what others want to be sent. For the lane's own thread: it waits for a
    /// write that is under way. A failure ends the connection, which the reader notices.
    pub(super) fn send(&self, answers: &mut Vec<u8>) {
        if !answers.is_empty() {
            send(&mut self.writer(), answers);
        }
        self.flush();
    }

    /// Does `work` with the writer, if there is a connection.
    pub(super) fn with_writer<T>(&self, work: impl FnOnce(&mut Writer) -> T) -> Option<T> {
        self.writer().as_mut().map(work)
    }

    /// Sends what waits, unless somebody else is about to.
    fn flush(&self) {
        // Asked again after the writer is free: what came meanwhile was left to us.
        while !self.queue().bytes.is_empty() {
            let mut writer = match self.writer.try_lock() {
                Ok(writer) => writer,
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => return,
            };
            let mut bytes = mem::take(&mut self.queue().bytes);
            send(&mut writer, &mut bytes);
            let mut queue = self.queue();
            if queue.bytes.is_empty() && bytes.capacity() <= KEPT {
                // The memory goes back to where it is needed next.
                queue.bytes = bytes;
            }
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn writer(&self) -> MutexGuard<'_, Option<Writer>> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn send(writer: &mut Option<Writer>, bytes: &mut Vec<u8>) {
    if let Some(writer) = writer
        && writer.send(bytes).is_err()
    {
        writer.close();
    }
    bytes.clear();
}

//! What leaves a connection, from any sender.
//!
//! The lane's own thread writes its answers itself. All others append to a bounded queue, and the
//! thread that finds the writer free sends what is in it: no thread waits for another's write, and
//! nothing stays queued (flat combining, after Hendler and others). During a turn of the lane's
//! thread what is appended waits for the one write at its end.

use std::mem;
use std::net::Shutdown;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, TryLockError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{Notify, oneshot};

pub(super) use super::queue::Ping;
use super::queue::Queue;
pub use super::queue::Unsent;
use super::socket::Writer;
use crate::adapters::nats::wire::write::HeaderBlock;
use crate::domain::lock::locked;

/// A buffer of more than this is given back once it is sent.
const KEPT: usize = 256 * 1024;

/// One connection's way out.
#[derive(Debug, Default)]
pub struct Outbox {
    queue: Mutex<Queue>,
    writer: Mutex<Option<Writer>>,
    /// Something was sent, or a connection is there.
    room: Notify,
    max_payload: AtomicUsize,
    /// How long the last PONG took, in microseconds.
    pong_us: AtomicU64,
}

impl Outbox {
    /// Sends what `write` appends, with scratch memory for a header block.
    ///
    /// # Errors
    /// Nothing is sent. Without an error it is on its way; it is lost if the connection is.
    pub fn submit<T>(
        self: &Arc<Self>,
        write: impl FnOnce(&mut Vec<u8>, &mut HeaderBlock) -> T,
    ) -> Result<T, Unsent> {
        let mut queue = locked(&self.queue);
        if queue.socket.is_none() {
            return Err(Unsent::Down);
        }
        let written = queue.append(write)?;
        self.flush_unless_held(queue);
        Ok(written)
    }

    /// The same, but without a connection it waits for the next one.
    ///
    /// # Errors
    /// Too much waits already.
    pub fn submit_or_keep<T>(
        self: &Arc<Self>,
        write: impl FnOnce(&mut Vec<u8>, &mut HeaderBlock) -> T,
    ) -> Result<T, Unsent> {
        let mut queue = locked(&self.queue);
        if queue.socket.is_some() {
            let written = queue.append(write)?;
            self.flush_unless_held(queue);
            return Ok(written);
        }
        queue.keep(write)
    }

    /// Waits until there is room for more.
    pub async fn room(&self) {
        self.wait_until(Queue::has_room_or_awaits).await;
    }

    /// Waits until nothing is kept for the next connection.
    pub(super) async fn none_kept(&self) {
        self.wait_until(|queue| !queue.keeps()).await;
    }

    async fn wait_until(&self, reached: impl Fn(&mut Queue) -> bool) {
        loop {
            let mut changed = pin!(self.room.notified());
            changed.as_mut().enable();
            if reached(&mut locked(&self.queue)) {
                return;
            }
            changed.await;
        }
    }

    /// From here on what others append waits for [`send`](Self::send).
    pub(super) fn hold(&self) {
        locked(&self.queue).held = true;
    }

    /// Sends what was appended, at the end of the turn if one is under way and it is not much.
    fn flush_unless_held(self: &Arc<Self>, queue: MutexGuard<'_, Queue>) {
        let waits = queue.held && queue.bytes.len() < KEPT;
        drop(queue);
        if !waits {
            self.flush();
        }
    }

    /// The most bytes of a message that the server takes, headers included; 0 before the first
    /// connection.
    pub fn max_payload(&self) -> usize {
        self.max_payload.load(Ordering::Relaxed)
    }

    pub(super) fn accepts(&self, max_payload: usize) {
        self.max_payload.store(max_payload, Ordering::Relaxed);
    }

    /// How long the server took to answer the last PING that it has answered; zero before the first.
    pub fn pong_took(&self) -> Duration {
        Duration::from_micros(self.pong_us.load(Ordering::Relaxed))
    }

    /// Whether there is a connection.
    pub fn is_up(&self) -> bool {
        locked(&self.queue).socket.is_some()
    }

    /// Sends a PING behind what `lines` appends; the receiver hears when everything was read that the
    /// server had sent before it saw that, or that the connection is lost.
    ///
    /// # Errors
    /// See [`Unsent`].
    pub(super) fn round_trip(
        self: &Arc<Self>,
        lines: impl FnOnce(&mut Vec<u8>),
    ) -> Result<oneshot::Receiver<()>, Unsent> {
        let (answered, answer) = oneshot::channel();
        self.ask(Ping::RoundTrip(answered), |out, _| lines(out))?;
        Ok(answer)
    }

    /// Makes the subscriptions that `lines` appends, now and after each reconnect.
    pub(super) fn subscribe(self: &Arc<Self>, lines: impl FnOnce(&mut Vec<u8>)) {
        let mut queue = locked(&self.queue);
        queue.subscribed = true;
        if queue.socket.is_some() {
            lines(&mut queue.bytes);
            self.flush_unless_held(queue);
        }
    }

    /// Ends the subscriptions by what `lines` appends, for good; like [`round_trip`] otherwise.
    ///
    /// [`round_trip`]: Self::round_trip
    pub(super) fn unsubscribe(
        self: &Arc<Self>,
        lines: impl FnOnce(&mut Vec<u8>),
    ) -> Result<oneshot::Receiver<()>, Unsent> {
        locked(&self.queue).subscribed = false;
        self.round_trip(lines)
    }

    /// Sends what `lines` appends and a PING behind it. `lines` learns whether the subscriptions for
    /// requests are to be there, which cannot change before they are on their way.
    pub(super) fn ask(
        self: &Arc<Self>,
        ping: Ping,
        lines: impl FnOnce(&mut Vec<u8>, bool),
    ) -> Result<(), Unsent> {
        let mut queue = locked(&self.queue);
        if queue.socket.is_none() {
            return Err(Unsent::Down);
        }
        let subscribed = queue.subscribed;
        lines(&mut queue.bytes, subscribed);
        queue.ping(ping);
        self.flush_unless_held(queue);
        Ok(())
    }

    /// Asks for a PONG on behalf of a companion; see [`Ping::Companion`].
    ///
    /// # Errors
    /// See [`Unsent`].
    pub fn look(self: &Arc<Self>, number: u64) -> Result<(), Unsent> {
        self.ask(Ping::Companion(number), |_, _| {})
    }

    /// Makes the lane's thread end its turn soon if it is waiting for the server: what comes from
    /// other threads it only sees there. Without a connection it needs no waking.
    pub fn nudge(self: &Arc<Self>) {
        // Not sent, it is not needed either.
        let _ = self.ask(Ping::Sign, |_, _| {});
    }

    /// A PONG has come, and all that came before it has been dealt with; why it was asked for.
    pub(super) fn pong(&self) -> Option<Ping> {
        let (ping, asked) = locked(&self.queue).pings.pop_front()?;
        let took = u64::try_from(asked.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.pong_us.store(took, Ordering::Relaxed);
        Some(ping)
    }

    /// Takes a new connection into use. `lines` appends its subscriptions; its argument says
    /// whether to include the ones for requests. Returns how many waiting answers are lost, as too
    /// large for this server.
    pub(super) fn open(
        self: &Arc<Self>,
        writer: Writer,
        lines: impl FnOnce(&mut Vec<u8>, bool),
    ) -> usize {
        let socket = writer.socket();
        *locked(&self.writer) = Some(writer);
        let mut queue = locked(&self.queue);
        queue.socket = Some(socket);
        let subscribed = queue.subscribed;
        lines(&mut queue.bytes, subscribed);
        // From the first moment on it is known how long the server takes.
        queue.ping(Ping::Sign);
        let lost = queue.append_kept(self.max_payload());
        drop(queue);
        self.flush();
        self.room.notify_waiters();
        lost
    }

    /// The connection is lost, and with it what waited.
    pub(super) fn close(&self) {
        let mut queue = locked(&self.queue);
        if let Some(socket) = queue.socket.take() {
            // Before the writer is asked for: who has it may wait for a server that takes nothing.
            let _closed = socket.shutdown(Shutdown::Both);
        }
        queue.held = false;
        queue.bytes = Vec::new();
        queue.pings.clear();
        drop(queue);
        self.room.notify_waiters();
        if let Some(writer) = locked(&self.writer).take() {
            writer.close();
        }
    }

    /// Ends the connection, if there is one, which wakes the thread that reads it.
    pub(super) fn interrupt(&self) {
        if let Some(socket) = &locked(&self.queue).socket {
            let _closed = socket.shutdown(Shutdown::Both);
        }
    }

    /// Sends `answers`. For the lane's own thread: it waits for a write that is under way. A failure
    /// ends the connection, which the reader notices.
    pub(super) fn send(&self, answers: &mut Vec<u8>) {
        if !answers.is_empty() {
            send(&mut locked(&self.writer), answers);
        }
    }

    /// The same at the end of a turn, with what others appended meanwhile.
    pub(super) fn release(&self, answers: &mut Vec<u8>) {
        let mut queue = locked(&self.queue);
        queue.held = false;
        // Copied, where that is less than another system call.
        if queue.bytes.len() < KEPT {
            answers.append(&mut queue.bytes);
        }
        let awaited = mem::take(&mut queue.awaited);
        drop(queue);
        self.send(answers);
        if awaited {
            self.room.notify_waiters();
        }
        // Asked after the writer is free, as in `flush`: what came meanwhile was left to us.
        if !locked(&self.queue).bytes.is_empty() {
            self.flush_patiently();
        }
    }

    /// Does `work` with the writer, if there is a connection.
    pub(super) fn with_writer<T>(&self, work: impl FnOnce(&mut Writer) -> T) -> Option<T> {
        locked(&self.writer).as_mut().map(work)
    }

    /// Sends what waits, unless another thread is about to. When the socket accepts no more, the
    /// submitting thread does not wait: a separate thread does.
    fn flush(self: &Arc<Self>) {
        // Asked again after the writer is free: what came meanwhile was left to us.
        while !locked(&self.queue).bytes.is_empty() {
            let mut writer = match self.writer.try_lock() {
                Ok(writer) => writer,
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => return,
            };
            // A write that was left unfinished has a thread of its own, which goes on with what waits
            // here by then. Until then it waits where it is bounded.
            let Some(open) = writer.as_mut().filter(|writer| !writer.is_behind()) else {
                return;
            };
            let mut bytes = mem::take(&mut locked(&self.queue).bytes);
            let sent = open.send_some(&mut bytes);
            match sent {
                Ok(true) => self.recycle(bytes),
                Ok(false) => {
                    drop(writer);
                    return self.flush_elsewhere();
                }
                Err(_) => {
                    if let Some(writer) = &*writer {
                        writer.close();
                    }
                }
            }
        }
    }

    fn flush_elsewhere(self: &Arc<Self>) {
        let outbox = Arc::clone(self);
        match Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(move || outbox.flush_patiently())),
            Err(_) => outbox.flush_patiently(),
        }
    }

    /// Sends what waits, and waits for the socket.
    fn flush_patiently(&self) {
        loop {
            let mut writer = locked(&self.writer);
            let mut bytes = mem::take(&mut locked(&self.queue).bytes);
            let last = bytes.is_empty();
            // Also where nothing waits: TLS may hold something back.
            send(&mut writer, &mut bytes);
            drop(writer);
            // Asked again after the writer is free, as in `flush`.
            if last && locked(&self.queue).bytes.is_empty() {
                return;
            }
            self.recycle(bytes);
        }
    }

    /// It was sent: the memory goes back to where it is needed next, and there is room for more.
    fn recycle(&self, bytes: Vec<u8>) {
        let mut queue = locked(&self.queue);
        if queue.bytes.is_empty() && bytes.capacity() <= KEPT {
            queue.bytes = bytes;
        }
        if mem::take(&mut queue.awaited) {
            self.room.notify_waiters();
        }
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

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::{TcpListener, TcpStream};
    use std::sync::mpsc;
    use std::thread::{self, JoinHandle};

    use super::*;

    /// An outbox, a thread that does `work` with more than its socket takes, and so waits with the
    /// writer in its hands, and the other end.
    fn stuck(
        work: impl FnOnce(&Outbox, &mut Vec<u8>) + Send + 'static,
    ) -> (Arc<Outbox>, JoinHandle<()>, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, _) = listener.accept().unwrap();
        server
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        let outbox = Arc::<Outbox>::default();
        outbox.open(Writer::new(Arc::new(socket), None), |_, _| {});
        let theirs = Arc::clone(&outbox);
        let working = thread::spawn(move || work(&theirs, &mut vec![b'a'; 16 << 20]));
        while outbox.writer.try_lock().is_ok() {
            thread::yield_now();
        }
        (outbox, working, server)
    }

    #[test]
    fn what_is_appended_while_a_turn_is_being_sent_leaves_behind_it() {
        let (outbox, turn, mut server) = stuck(Outbox::release);
        let late = b"late";
        outbox.submit(|out, _| out.extend_from_slice(late)).unwrap();
        let (mut received, mut chunk) = (Vec::new(), vec![0; 1 << 20]);
        while !received.ends_with(late) {
            let read = server.read(&mut chunk).unwrap();
            assert!(read > 0, "it is still open");
            received.extend_from_slice(&chunk[..read]);
        }
        turn.join().unwrap();
    }

    #[test]
    fn a_connection_that_takes_nothing_is_closed_at_once() {
        let (outbox, sending, _server) = stuck(Outbox::send);
        let (closed, is_closed) = mpsc::channel();
        thread::spawn(move || {
            outbox.close();
            closed.send(()).unwrap();
        });
        // The sender would wait for ever.
        is_closed.recv_timeout(Duration::from_secs(20)).unwrap();
        sending.join().unwrap();
    }
}

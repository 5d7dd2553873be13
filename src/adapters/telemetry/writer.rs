//! Where log lines go: through a bounded queue to one thread, the only one that waits for a reader.
//!
//! A reader that is slow, stopped or gone costs lines and nothing else. What does not fit into the
//! queue, or cannot be written, is dropped and counted; once lines flow again, the log reports how
//! many are missing, at the place where they are missing. A line is written whole or not at all, as
//! far as that is ours: after a write that broke off within a line, the next line begins on a new
//! one.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use crate::domain::lock::locked;
use crate::service::meter::Count;

/// Lines that may wait: a busy minute's, since what could come by the thousand is logged seldom.
const MAX_LINES: usize = 2048;
/// Bytes that may wait.
const MAX_BYTES: usize = 1 << 20;
/// The pause before a reader that takes nothing now is tried again, where the system does not wait
/// for it: standard error may have been made non-blocking by another process that shares it.
const FULL: Duration = Duration::from_millis(10);

/// Takes log lines, one per [`Write::write`]. Never waits, never fails.
#[derive(Debug, Clone)]
pub struct LogWriter(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    queue: Mutex<Queue>,
    /// Something has come into the queue, or gone out of it.
    changed: Condvar,
    dropped: Count,
}

#[derive(Debug, Default)]
struct Queue {
    items: VecDeque<Item>,
    bytes: usize,
    /// Lines dropped since the last item.
    lost: u64,
    /// Whether the thread has an item that is not written yet.
    busy: bool,
    /// The thread that writes, whose own lines go first.
    writes: Option<ThreadId>,
}

#[derive(Debug)]
enum Item {
    Line(Vec<u8>),
    /// The number of lines that are missing here.
    Gap(u64),
}

impl LogWriter {
    /// Writes to `inner` on a thread of its own. `report` is called there with the number of lines
    /// that are missing, and logs it.
    ///
    /// # Errors
    /// No thread can be had.
    pub(super) fn start(
        inner: impl Write + Send + 'static,
        report: impl Fn(u64) + Send + 'static,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            changed: Condvar::new(),
            dropped: Count::default(),
        });
        let writer = Self(Arc::clone(&shared));
        thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || shared.write_all(Sink { inner, torn: false }, report))?;
        Ok(writer)
    }

    /// The lines that were lost so far.
    pub fn dropped(&self) -> Count {
        self.0.dropped.clone()
    }

    /// Waits until everything is written, but no longer than `limit`.
    pub fn flush(&self, limit: Duration) {
        let until = Instant::now() + limit;
        let mut queue = locked(&self.0.queue);
        while queue.busy || queue.lost > 0 || !queue.items.is_empty() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let waited = self.0.changed.wait_timeout(queue, left);
            queue = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Write for LogWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Shared {
    fn push(&self, line: &[u8]) {
        let mut queue = locked(&self.queue);
        if queue.writes == Some(thread::current().id()) {
            // A report of the thread itself: it belongs where the gap is, and is the only one.
            queue.bytes += line.len();
            queue.items.push_front(Item::Line(line.to_vec()));
            return;
        }
        if queue.items.len() >= MAX_LINES || queue.bytes + line.len() > MAX_BYTES {
            queue.lost += 1;
            self.dropped.add(1);
            return;
        }
        if queue.lost > 0 {
            let gap = Item::Gap(std::mem::take(&mut queue.lost));
            queue.items.push_back(gap);
        }
        queue.bytes += line.len();
        queue.items.push_back(Item::Line(line.to_vec()));
        drop(queue);
        self.changed.notify_all();
    }

    /// Writes for as long as the process lives.
    fn write_all(&self, mut sink: Sink<impl Write>, report: impl Fn(u64)) {
        locked(&self.queue).writes = Some(thread::current().id());
        // Lines that the sink refused, to be reported when it accepts one again; and those reported
        // last, whose report, the next line, it may refuse as well.
        let (mut refused, mut told) = (0, 0);
        loop {
            match self.next() {
                Item::Gap(lines) if refused > 0 => refused += lines,
                Item::Gap(lines) => {
                    told = lines;
                    report(lines);
                }
                Item::Line(line) => {
                    let taken = sink.write_line(&line).is_ok();
                    let missed = std::mem::take(&mut told);
                    if !taken {
                        self.dropped.add(1);
                        refused += missed + 1;
                    } else if refused > 0 {
                        told = std::mem::take(&mut refused);
                        report(told);
                    }
                }
            }
        }
    }

    fn next(&self) -> Item {
        let mut queue = locked(&self.queue);
        queue.busy = false;
        loop {
            if let Some(item) = queue.items.pop_front() {
                if let Item::Line(line) = &item {
                    queue.bytes -= line.len();
                }
                queue.busy = true;
                return item;
            }
            if queue.lost > 0 {
                queue.busy = true;
                return Item::Gap(std::mem::take(&mut queue.lost));
            }
            self.changed.notify_all();
            let waited = self.changed.wait(queue);
            queue = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// The reader of the lines.
struct Sink<W> {
    inner: W,
    /// Whether it has the beginning of a line without its end.
    torn: bool,
}

impl<W: Write> Sink<W> {
    /// Writes a whole line, and waits while the sink takes nothing.
    fn write_line(&mut self, line: &[u8]) -> io::Result<()> {
        if self.torn {
            self.write(b"\n")?;
            self.torn = false;
        }
        self.write(line)
    }

    fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        let whole = bytes.len();
        while !bytes.is_empty() {
            match self.inner.write(bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    thread::park_timeout(FULL);
                }
                Err(error) => {
                    self.torn |= bytes.len() < whole;
                    return Err(error);
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "writer_tests.rs"]
mod tests;

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use super::*;

/// Far more than any of this takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the reader does at each write, set by the test; without orders it takes everything.
struct Reader {
    orders: Receiver<io::Result<usize>>,
    taken: Arc<Mutex<Vec<u8>>>,
}

impl Write for Reader {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let order = self.orders.recv().unwrap_or(Ok(bytes.len()));
        let length = order?.min(bytes.len());
        self.taken.lock().unwrap().extend(&bytes[..length]);
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Rig {
    log: LogWriter,
    orders: SyncSender<io::Result<usize>>,
    taken: Arc<Mutex<Vec<u8>>>,
}

impl Rig {
    fn new() -> Self {
        let (orders, receiver) = sync_channel(0);
        let taken = Arc::<Mutex<Vec<u8>>>::default();
        let reader = Reader {
            orders: receiver,
            taken: Arc::clone(&taken),
        };
        // The report is written like all lines, and so is the process's.
        let own = Arc::new(Mutex::new(None::<LogWriter>));
        let reporting = Arc::clone(&own);
        let log = LogWriter::start(reader, move |lines| {
            let mut log = reporting.lock().unwrap().clone().unwrap();
            log.write_all(format!("{lines} lost\n").as_bytes()).unwrap();
        })
        .unwrap();
        *own.lock().unwrap() = Some(log.clone());
        Self { log, orders, taken }
    }

    fn log(&self, line: &str) {
        self.log.clone().write_all(line.as_bytes()).unwrap();
    }

    /// Answers the write that the thread is at.
    fn order(&self, order: io::Result<usize>) {
        self.orders.send(order).unwrap();
    }

    /// Lets the reader take everything from now on, and returns what it has taken in the end.
    fn end(self) -> String {
        drop(self.orders);
        self.log.flush(PATIENCE);
        String::from_utf8(self.taken.lock().unwrap().clone()).unwrap()
    }
}

#[test]
fn lines_come_in_order_and_whole_however_they_are_taken() {
    let rig = Rig::new();
    rig.log("one\n");
    rig.log("two\n");
    rig.order(Ok(1));
    rig.order(Err(io::ErrorKind::WouldBlock.into()));
    rig.order(Err(io::ErrorKind::Interrupted.into()));
    rig.order(Ok(2));
    let dropped = rig.log.dropped();
    assert_eq!(rig.end(), "one\ntwo\n");
    assert_eq!(dropped.get(), 0);
}

#[test]
fn a_reader_that_takes_nothing_costs_the_lines_that_do_not_fit_and_the_gap_is_told() {
    let rig = Rig::new();
    for n in 0..MAX_LINES + 10 {
        rig.log(&format!("{n}\n"));
    }
    rig.log.flush(Duration::from_millis(1));
    // The first may be with the thread already, which makes room for one more.
    let lost = rig.log.dropped().get();
    assert!((9..=10).contains(&lost), "{lost}");
    // Taken one by one from here on: what comes after the gap is written after its report.
    rig.order(Ok(usize::MAX));
    rig.order(Ok(usize::MAX));
    rig.log("later\n");
    let text = rig.end();
    let (last, kept) = (format!("{lost} lost\nlater\n"), MAX_LINES + 10);
    assert!(text.ends_with(&last), "{:?}", &text[text.len() - 40..]);
    assert_eq!(text.lines().count() as u64, kept as u64 - lost + 2);
}

#[test]
fn a_queue_is_bounded_in_bytes() {
    let rig = Rig::new();
    let line = "x".repeat(MAX_BYTES / 4);
    for _ in 0..10 {
        rig.log(&line);
    }
    let lost = rig.log.dropped().get();
    assert!((5..=6).contains(&lost), "{lost}");
    rig.log(&"y".repeat(MAX_BYTES + 1));
    assert_eq!(rig.log.dropped().get(), lost + 1, "no room for it ever");
    assert!(!rig.end().contains('y'));
}

#[test]
fn a_reader_that_refuses_costs_lines_until_it_takes_some_again() {
    let rig = Rig::new();
    for line in ["one\n", "two\n", "three\n", "four\n"] {
        rig.log(line);
    }
    rig.order(Err(io::ErrorKind::BrokenPipe.into()));
    // A full disk, within a line: what follows begins on a line of its own.
    rig.order(Ok(2));
    rig.order(Err(io::ErrorKind::StorageFull.into()));
    rig.order(Err(io::ErrorKind::StorageFull.into()));
    let dropped = rig.log.dropped();
    assert_eq!(rig.end(), "tw\nfour\n3 lost\n");
    assert_eq!(dropped.get(), 3);
}

#[test]
fn a_flush_ends_when_nobody_reads() {
    let rig = Rig::new();
    rig.log("one\n");
    let begun = Instant::now();
    rig.log.flush(Duration::from_millis(50));
    assert!(begun.elapsed() < PATIENCE);
    assert_eq!(rig.end(), "one\n");
}

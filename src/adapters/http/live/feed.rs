//! Makes the messages and hands them to all watchers.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::{Notify, Semaphore, broadcast};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::board::{Board, Changes};
use super::watcher::{Opening, ROWS_PER_MESSAGE, Watcher};
use crate::documents;
use crate::documents::desk::Desk;
use crate::documents::live::Row;
use crate::domain::ids::ExtensionId;
use crate::domain::lock::locked;
use crate::service::boundary::survived_now;
use crate::service::live::{INTERVAL, Note, Notes, Point};
use crate::service::observe::Observers;

/// Watchers at a time. Each holds one of the server's connections.
pub(super) const MAX_WATCHERS: usize = 16;
/// How often rows and figures are updated while a page is open.
const REFRESH: Duration = Duration::from_secs(1);
/// The most bytes of the figures that a watcher gets; they have the first faults.
const MAX_STATS: usize = 64 * 1024;
/// Messages that a slow watcher may be behind.
pub(super) const BACKLOG: usize = 64;

/// What every watcher gets.
#[derive(Debug)]
pub struct Feed {
    desk: Arc<Desk>,
    /// Another text after a restart. The time of the start is none: it moves with the wall clock.
    boot: String,
    board: Mutex<Board>,
    messages: broadcast::Sender<Bytes>,
    places: Arc<Semaphore>,
    /// A watcher came.
    arrival: Notify,
    /// Observers of panics.
    observers: Observers,
    /// Ends all streams.
    pub(super) stop: CancellationToken,
}

impl Feed {
    /// A feed without watchers yet, which ends with `stop`.
    pub fn new(desk: Arc<Desk>, observers: Observers, stop: CancellationToken) -> Self {
        Self {
            desk,
            boot: format!("{:032x}", rand::random::<u128>()),
            board: Mutex::default(),
            messages: broadcast::Sender::new(BACKLOG),
            places: Arc::new(Semaphore::new(MAX_WATCHERS)),
            arrival: Notify::new(),
            observers,
            stop,
        }
    }

    /// Sends the watchers what happens, until the end.
    pub async fn run(self: Arc<Self>, mut notes: Notes) {
        let mut refreshes = interval(REFRESH);
        refreshes.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut samples = interval(INTERVAL);
        samples.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return,
                Some(note) = notes.recv() => self.survive(|| self.note(note)),
                _ = samples.tick() => self.survive(|| self.sample()),
                _ = refreshes.tick(), if self.is_watched() => self.survive(|| self.refresh()),
                // Looks again whether it is watched.
                () = self.arrival.notified() => {}
            }
        }
    }

    /// One turn that fails costs itself only.
    fn survive(&self, turn: impl FnOnce()) {
        survived_now(&self.observers, turn);
    }

    /// A place to watch from; none when all are taken.
    pub(super) fn admit(self: &Arc<Self>) -> Option<Watcher> {
        let place = Arc::clone(&self.places).try_acquire_owned().ok()?;
        let (opening, messages) = self.open();
        Some(Watcher {
            feed: Arc::clone(self),
            opening,
            messages,
            _place: place,
        })
    }

    /// A snapshot, and all messages that come after it.
    pub(super) fn open(&self) -> (Opening, broadcast::Receiver<Bytes>) {
        let mut board = locked(&self.board);
        // The others must not miss what the refresh finds.
        self.tell_changes(&board.replace(self.fresh()));
        let notes: Vec<_> = board.notes.iter().cloned().collect();
        let receiver = self.messages.subscribe();
        drop(board);
        self.arrival.notify_one();
        let hello = documents::live::hello(&self.boot, &self.figures(), &notes);
        (Opening::Hello(hello), receiver)
    }

    /// The next `count` rows of a snapshot.
    pub(super) fn rows(&self, last: Option<&ExtensionId>, count: usize) -> Vec<(Row, Vec<Point>)> {
        locked(&self.board).rows(last, count)
    }

    fn fresh(&self) -> impl Iterator<Item = Row> {
        self.desk.health.all().map(|standing| Row::of(&standing))
    }

    fn note(&self, note: Note) {
        let mut board = locked(&self.board);
        let (id, message) = (note.id.clone(), documents::live::note(&note));
        if !board.note(note) || !self.is_watched() {
            return;
        }
        self.tell("note", &message);
        let standing = id.and_then(|id| self.desk.health.of(id.as_str()).ok());
        if let Some(row) = standing.and_then(|standing| board.put(Row::of(&standing))) {
            self.tell("rows", &documents::live::changes(&[row], &[]));
        }
    }

    fn sample(&self) {
        let runtimes = self.desk.stats.runtimes.all();
        let health = runtimes.iter().map(|it| (&it.id, &it.health));
        let (mut board, now) = (locked(&self.board), Instant::now());
        let missed = board.history.missed(now);
        let points = board.history.sample(health, now);
        if self.is_watched() {
            for _ in 0..missed {
                self.tell("tick", &documents::live::tick(&[]));
            }
            self.tell("tick", &documents::live::tick(&points));
        } else {
            board.rest();
        }
    }

    fn refresh(&self) {
        self.tell_changes(&locked(&self.board).replace(self.fresh()));
        self.tell("stats", &self.figures());
    }

    fn figures(&self) -> Bytes {
        let (_revision, figures) = documents::stats::stats(&self.desk.stats, MAX_STATS);
        figures
    }

    fn tell_changes(&self, changes: &Changes) {
        if !self.is_watched() {
            return;
        }
        // In small messages: their number is bounded, for who is slow, and so are their bytes.
        for rows in changes.rows.chunks(ROWS_PER_MESSAGE) {
            self.tell("rows", &documents::live::changes(rows, &[]));
        }
        for gone in changes.gone.chunks(ROWS_PER_MESSAGE) {
            self.tell("rows", &documents::live::changes(&[], gone));
        }
    }

    pub(super) fn tell(&self, kind: &str, data: &Bytes) {
        let _nobody = self.messages.send(message(kind, data));
    }

    fn is_watched(&self) -> bool {
        self.messages.receiver_count() > 0
    }
}

/// A message as a server-sent event. JSON has no line breaks, so its text is one line.
pub(super) fn message(kind: &str, data: &Bytes) -> Bytes {
    [b"event: ", kind.as_bytes(), b"\ndata: ", data, b"\n\n"]
        .concat()
        .into()
}

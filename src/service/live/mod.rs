//! What the status page of this sidecar shows: every extension as a row, the last minutes of each
//! that is called, and what happened lately.
//!
//! Rows are made only while a page is open. History is kept all the time, so that there is one when
//! the first watcher comes: it costs a look at two counters per extension every [`INTERVAL`], and a
//! percentile for those that were called. [`board`] has the rows, [`history`] the minutes, [`note`]
//! what happened.

mod board;
mod history;
mod note;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

pub use board::{Changes, Row};
pub use history::{INTERVAL, POINTS, Point};
pub use note::{Note, NoteObserver, Notes, Tone, notes};

use self::board::Board;
use self::history::History;
use super::health::Health;
use crate::domain::ids::ExtensionId;

/// Notes that are kept for later watchers.
const KEPT_NOTES: usize = 50;

/// The sidecar as it is watched.
#[derive(Debug)]
pub struct Live {
    health: Arc<Health>,
    board: Board,
    history: History,
    notes: VecDeque<Note>,
}

impl Live {
    /// Watches what `health` reports.
    pub fn new(health: Arc<Health>) -> Self {
        Self {
            health,
            board: Board::default(),
            history: History::default(),
            notes: VecDeque::with_capacity(KEPT_NOTES),
        }
    }

    /// Brings the rows up to date; what changed.
    pub fn refresh(&mut self) -> Changes {
        self.board
            .replace(self.health.all().map(|standing| Row::of(&standing)))
    }

    /// Brings one row up to date; the row, if it changed.
    pub fn refresh_one(&mut self, id: &ExtensionId) -> Option<Row> {
        let standing = self.health.of(id.as_str()).ok()?;
        self.board.put(Row::of(&standing))
    }

    /// Ends an interval of the history; its points, of extensions that were called in it.
    pub fn sample(&mut self, now: Instant) -> Vec<(ExtensionId, Point)> {
        let runtimes = self.health.tools.runtimes.all();
        let health = runtimes
            .iter()
            .map(|runtime| (&runtime.id, &runtime.health));
        self.history.sample(health, now)
    }

    /// Keeps a note; false if it only repeats the last one.
    pub fn note(&mut self, note: Note) -> bool {
        if self.notes.back().is_some_and(|last| last.repeats(&note)) {
            return false;
        }
        if self.notes.len() == KEPT_NOTES {
            self.notes.pop_front();
        }
        self.notes.push_back(note);
        true
    }

    /// What happened lately, oldest first.
    pub fn notes(&self) -> Vec<Note> {
        self.notes.iter().cloned().collect()
    }

    /// The first `count` extensions after `last` by id, each with its last points, oldest first, if it
    /// was called. As of the last [`Self::refresh`].
    pub fn rows(&self, last: Option<&ExtensionId>, count: usize) -> Vec<(Row, Vec<Point>)> {
        let rows = self.board.rows_after(last).take(count);
        rows.map(|row| (row.clone(), self.history.of(&row.id)))
            .collect()
    }

    /// Forgets the rows: no page is open.
    pub fn rest(&mut self) {
        self.board = Board::default();
    }
}

//! What the page shows: a row for every extension, the last minutes of each that is called, and
//! what happened lately.
//!
//! Rows are made only while a page is open. History is kept all the time, so that there is one when
//! the first watcher comes: it costs a look at two counters per extension every interval, and a
//! percentile for those that were called.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;

use crate::documents::live::Row;
use crate::domain::ids::ExtensionId;
use crate::service::live::{History, Note, Point};

/// Notes that are kept for later watchers.
const KEPT_NOTES: usize = 50;

/// What differs from what watchers have.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Changes {
    /// New rows, and rows that differ.
    pub(super) rows: Vec<Row>,
    /// Extensions that are no more.
    pub(super) gone: Vec<ExtensionId>,
}

/// What watchers have, so that only changes are sent.
#[derive(Debug, Default)]
pub(super) struct Board {
    rows: BTreeMap<ExtensionId, Row>,
    pub(super) history: History,
    /// Oldest first.
    pub(super) notes: VecDeque<Note>,
}

impl Board {
    /// Takes one row; the row, if it differs.
    pub(super) fn put(&mut self, row: Row) -> Option<Row> {
        if self.rows.get(&row.id) == Some(&row) {
            return None;
        }
        self.rows.insert(row.id.clone(), row.clone());
        Some(row)
    }

    /// Takes all rows there are; what differs.
    pub(super) fn replace(&mut self, fresh: impl Iterator<Item = Row>) -> Changes {
        let mut before = std::mem::take(&mut self.rows);
        let mut changes = Changes::default();
        for row in fresh {
            if before.remove(&row.id).as_ref() != Some(&row) {
                changes.rows.push(row.clone());
            }
            self.rows.insert(row.id.clone(), row);
        }
        changes.gone = before.into_keys().collect();
        changes
    }

    /// Forgets the rows: no page is open.
    pub(super) fn rest(&mut self) {
        self.rows = BTreeMap::new();
    }

    /// The first `count` rows after `last` by id, each with its last points, oldest first, if it
    /// was called. As of the last [`Self::replace`].
    pub(super) fn rows(&self, last: Option<&ExtensionId>, count: usize) -> Vec<(Row, Vec<Point>)> {
        let begin = last.map_or(Bound::Unbounded, Bound::Excluded);
        let rows = self.rows.range::<ExtensionId, _>((begin, Bound::Unbounded));
        let rows = rows.take(count);
        rows.map(|(id, row)| (row.clone(), self.history.of(id)))
            .collect()
    }

    /// Keeps a note; false if it only repeats the last one.
    pub(super) fn note(&mut self, note: Note) -> bool {
        if self.notes.back().is_some_and(|last| last.repeats(&note)) {
            return false;
        }
        if self.notes.len() == KEPT_NOTES {
            self.notes.pop_front();
        }
        self.notes.push_back(note);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::VersionName;
    use crate::domain::subject::Subject;

    fn row(id: &str, revision: u64) -> Row {
        Row {
            id: ExtensionId::parse(id).unwrap(),
            kind: "pre",
            version: VersionName::parse("v1").unwrap(),
            subject: Subject::parse("a").unwrap(),
            owner: None,
            team: None,
            enabled: true,
            revision,
            state: "ok",
            ailing: None,
            success_rate: None,
            p50_ms: None,
            p99_ms: None,
        }
    }

    #[test]
    fn only_what_differs_is_told() {
        let mut board = Board::default();
        let told = board.replace([row("a", 1), row("b", 1)].into_iter());
        assert_eq!((told.rows.len(), told.gone.len()), (2, 0));
        let told = board.replace([row("a", 1), row("b", 1)].into_iter());
        assert_eq!(told, Changes::default());

        let told = board.replace([row("b", 2), row("c", 1)].into_iter());
        assert_eq!(told.rows, [row("b", 2), row("c", 1)]);
        assert_eq!(told.gone, [row("a", 1).id]);

        assert_eq!(board.put(row("c", 1)), None);
        assert_eq!(board.put(row("c", 2)), Some(row("c", 2)));
        let rows = |last: Option<&ExtensionId>, count| -> Vec<Row> {
            let rows = board.rows(last, count).into_iter();
            rows.map(|(row, _)| row).collect()
        };
        assert_eq!(rows(None, 1), [row("b", 2)]);
        assert_eq!(rows(None, 3), [row("b", 2), row("c", 2)]);
        assert_eq!(rows(Some(&row("b", 2).id), 3), [row("c", 2)]);
    }
}

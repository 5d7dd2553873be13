//! Changes of one revision in one line of `watch`: an operator who switches off a hundred extensions
//! in one command does not hide everything else that happens.

use std::time::Instant;

use serde_json::value::RawValue;

use super::event::{lead, shown};
use super::text::{clean, exact, plain};
use crate::cli::document::{at, string};
use crate::cli::screen::Screen;

/// Ids that are named; the others are counted.
const NAMED: usize = 10;

/// Changes of one kind that are of one revision, until all of them are here.
#[derive(Debug)]
pub(super) struct Together {
    kind: String,
    revision: String,
    /// The line's beginning and its end: when, and which sidecar.
    first: Box<RawValue>,
    ids: Vec<String>,
    total: usize,
    /// When the first of them was here.
    pub(super) begun: Instant,
}

impl Together {
    /// Begins with a change that is one of several.
    pub(super) fn begin(kind: &str, event: &RawValue) -> Option<Self> {
        let data = at(event, "data")?;
        let total = at(data, "total")?.get().parse().ok()?;
        at(data, "changed").filter(|_| total > 1)?;
        Some(Self {
            kind: kind.to_owned(),
            revision: plain(data, "revision"),
            first: event.to_owned(),
            ids: vec![string(event, "subject")],
            total,
            begun: Instant::now(),
        })
    }

    /// Takes another change in, where it is one of these.
    pub(super) fn takes(&mut self, other: &Self) -> bool {
        let same = (&self.kind, &self.revision) == (&other.kind, &other.revision);
        if same {
            self.ids.extend(other.ids.iter().cloned());
        }
        same
    }

    /// Whether nothing more can come.
    pub(super) fn is_whole(&self) -> bool {
        self.ids.len() >= self.total
    }

    /// The line: with all ids in the place of what changed, unless there is only one.
    pub(super) fn shown(&self, screen: &Screen) -> String {
        if self.ids.len() == 1 {
            return shown(&self.kind, &self.first, screen);
        }
        let named = self.ids.iter().take(NAMED).map(|id| clean(id));
        let mut ids = named.collect::<Vec<_>>().join(", ");
        if let more @ 1.. = self.ids.len().saturating_sub(NAMED) {
            ids.push_str(&format!(" and {more} more"));
        }
        let (count, revision) = (self.ids.len(), clean(&self.revision));
        let by = at(&self.first, "data.changed_by");
        let by = by.map_or_else(String::new, |by| format!(" by {}", exact(by)));
        let data = format!("revision {revision}: {count} extensions{by}: {ids}");
        lead(&self.kind, &self.first, "-", &data, screen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(id: &str, revision: u64, total: u64) -> Box<RawValue> {
        let event = serde_json::json!({
            "time": "2026-11-21T15:18:04.286098Z", "subject": id,
            "source": "/beamline-registry/pod-1",
            "data": {"revision": revision, "total": total, "changed_by": "alice",
                "changed": ["enabled"]},
        });
        serde_json::from_str(&event.to_string()).unwrap()
    }

    #[test]
    fn changes_of_one_revision_are_one_line_with_ids_and_who() {
        let kind = "extension_disabled";
        let begin = |id: &str, revision, total| Together::begin(kind, &event(id, revision, total));
        assert!(begin("alone", 6, 1).is_none());
        let mut together = begin("x0", 7, 12).unwrap();
        let alone = together.shown(&Screen::plain());
        let itself = "x0  revision 7: enabled by alice  [pod-1]";
        assert!(alone.ends_with(itself), "{alone}");
        assert!(!together.takes(&begin("y", 8, 2).unwrap()));
        for n in 1..12 {
            assert!(!together.is_whole());
            assert!(together.takes(&begin(&format!("x{n}"), 7, 12).unwrap()));
        }
        assert!(together.is_whole());
        assert_eq!(
            together.shown(&Screen::plain()),
            "2026-11-21T15:18:04.286Z  extension_disabled   -  revision 7: 12 extensions by alice: \
             x0, x1, x2, x3, x4, x5, x6, x7, x8, x9 and 2 more  [pod-1]"
        );
    }
}

//! The rows that watchers have, so that only changes are sent.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::time::Duration;

use super::note::per_10k;
use crate::domain::breaker::CircuitState;
use crate::domain::extension::ExtensionType;
use crate::domain::ids::{ExtensionId, VersionName};
use crate::domain::json::JsonObject;
use crate::domain::subject::Subject;
use crate::service::health::{Standing, State};

/// One extension as a watcher sees it, to the precision that is shown: what moves beyond it is no
/// change.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// The extension.
    pub id: ExtensionId,
    /// Its type.
    pub kind: ExtensionType,
    /// Its current version.
    pub version: VersionName,
    /// Where its current version listens.
    pub subject: Subject,
    /// Its owner.
    pub owner: Option<Box<str>>,
    /// `metadata.team`, where that is a text.
    pub team: Option<String>,
    /// Whether operators have it enabled.
    pub enabled: bool,
    /// Whether it is auto-disabled.
    pub auto_disabled: bool,
    /// Of its last change.
    pub revision: u64,
    /// The worst of the versions that take part.
    pub state: State,
    /// Which version that is, where it is not the current one.
    pub ailing: Option<VersionName>,
    /// The circuit of its current version.
    pub circuit: CircuitState,
    /// The share of successes of all time, in 1/10,000.
    pub success_per_10k: Option<u32>,
    /// Median latency of the latest calls, in microseconds.
    pub p50_us: Option<u64>,
    /// 99 % of them did.
    pub p99_us: Option<u64>,
}

/// What differs from what watchers have.
#[derive(Debug, Default, PartialEq)]
pub struct Changes {
    /// New rows, and rows that differ.
    pub rows: Vec<Row>,
    /// Extensions that are no more.
    pub gone: Vec<ExtensionId>,
}

/// The rows, by id.
#[derive(Debug, Default)]
pub(super) struct Board(BTreeMap<ExtensionId, Row>);

impl Row {
    /// The row of an extension.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of 0 to 1"
    )]
    pub(super) fn of(standing: &Standing) -> Self {
        let extension = standing.entry.extension();
        let microseconds =
            |latency: Duration| u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        Self {
            id: extension.id.clone(),
            kind: extension.kind,
            version: extension.version.clone(),
            subject: extension.subject.clone(),
            owner: extension.owner.clone(),
            team: team(&extension.metadata),
            enabled: extension.enabled,
            auto_disabled: extension.auto_disabled,
            revision: extension.revision,
            state: standing.state,
            ailing: standing.ailing().map(|version| version.version.clone()),
            circuit: standing.circuit,
            // Rounded down: one failure in a million is not none.
            success_per_10k: standing.success_rate.map(|rate| per_10k(rate) as u32),
            p50_us: standing.p50.map(microseconds),
            p99_us: standing.p99.map(microseconds),
        }
    }
}

/// Rows are made every second: what cannot have a team is not read.
fn team(metadata: &JsonObject) -> Option<String> {
    if !metadata.as_str().contains("\"team\"") {
        return None;
    }
    let members = metadata.members();
    serde_json::from_str(members.get("team")?.get()).ok()
}

impl Board {
    /// Takes one row; the row, if it differs.
    pub(super) fn put(&mut self, row: Row) -> Option<Row> {
        if self.0.get(&row.id) == Some(&row) {
            return None;
        }
        self.0.insert(row.id.clone(), row.clone());
        Some(row)
    }

    /// Takes all rows there are; what differs.
    pub(super) fn replace(&mut self, fresh: impl Iterator<Item = Row>) -> Changes {
        let mut before = std::mem::take(&mut self.0);
        let mut changes = Changes::default();
        for row in fresh {
            if before.remove(&row.id).as_ref() != Some(&row) {
                changes.rows.push(row.clone());
            }
            self.0.insert(row.id.clone(), row);
        }
        changes.gone = before.into_keys().collect();
        changes
    }

    /// The rows after `last`, by id.
    pub(super) fn rows_after(&self, last: Option<&ExtensionId>) -> impl Iterator<Item = &Row> {
        let begin = last.map_or(Bound::Unbounded, Bound::Excluded);
        let rows = self.0.range::<ExtensionId, _>((begin, Bound::Unbounded));
        rows.map(|(_, row)| row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: &str, revision: u64) -> Row {
        Row {
            id: ExtensionId::parse(id).unwrap(),
            kind: ExtensionType::Pre,
            version: VersionName::parse("v1").unwrap(),
            subject: Subject::parse("a").unwrap(),
            owner: None,
            team: None,
            enabled: true,
            auto_disabled: false,
            revision,
            state: State::Ok,
            ailing: None,
            circuit: CircuitState::Closed,
            success_per_10k: None,
            p50_us: None,
            p99_us: None,
        }
    }

    #[test]
    fn a_share_is_rounded_down_and_loses_nothing_by_that_where_it_is_exact() {
        for calls in 1..=300_u32 {
            for successes in 0..=calls {
                let share = f64::from(successes) / f64::from(calls);
                let expected = f64::from(successes * 10_000 / calls);
                assert_eq!(per_10k(share), expected, "{successes}/{calls}");
            }
        }
        assert_eq!(per_10k(0.999_999), 9999.0);
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
        let kept: Vec<_> = board.rows_after(None).cloned().collect();
        assert_eq!(kept, [row("b", 2), row("c", 2)]);
        let rest: Vec<_> = board.rows_after(Some(&kept[0].id)).collect();
        assert_eq!(rest, [&row("c", 2)]);
    }
}

//! The check that the database holds what was imported.

use std::collections::{HashMap, HashSet};

use super::ports::Stored;
use super::wanted::Wanted;
use crate::domain::record::{differences, record};

/// What is wrong with what the database holds `after` the import; nothing else may have changed.
pub(super) fn verify(wanted: &[Wanted<'_>], before: &Stored, after: &Stored) -> Option<String> {
    let held: HashMap<_, _> = after.extensions.iter().map(|it| (&it.id, it)).collect();
    let replaced: HashSet<_> = wanted.iter().map(|it| it.extension.id.as_str()).collect();
    for wanted in wanted {
        let id = &wanted.extension.id;
        let Some(held) = held.get(id).map(|it| record(it)) else {
            return Some(format!("{id} is missing after it was written"));
        };
        if held != wanted.record {
            let fields = differences(&held, &wanted.record).into_iter();
            let fields: Vec<_> = fields.map(|it| it.field).collect();
            return Some(format!("{id}: {} differ", fields.join(", ")));
        }
    }
    for fault in &after.faults {
        let id = fault.extension.as_ref().map(|it| it.id.as_str());
        if id.is_some_and(|id| replaced.contains(id)) {
            return Some(format!("{}: {}", fault.origin, fault.reason));
        }
    }
    let others = |stored: &Stored| -> usize {
        let ids = stored.extensions.iter().map(|it| it.id.as_str());
        ids.filter(|id| !replaced.contains(id)).count()
    };
    let all = before.extensions.iter();
    for other in all.filter(|it| !replaced.contains(it.id.as_str())) {
        if held.get(&other.id).is_none_or(|held| *held != other) {
            return Some(format!("{} was changed, though no file names it", other.id));
        }
    }
    if others(before) != others(after) || after.extensions.len() != others(after) + wanted.len() {
        return Some("the number of extensions is not what it should be".to_owned());
    }
    None
}

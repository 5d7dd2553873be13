//! Unusable rows of what the fleet shares: skipped, and named in `stats`.
//!
//! Definitions have their own quarantine, in the catalog: it decides what is served. A row skipped
//! here costs its own content, such as one override, and nothing else.

use std::collections::BTreeMap;
use std::sync::Mutex;

use crate::domain::lock::locked;
use crate::domain::quarantine::Fault;

/// The most that are named of each table; the others are skipped all the same.
const MAX_NAMED: usize = 100;

/// The rows skipped, by table and place.
#[derive(Debug, Default)]
pub struct Skipped(Mutex<BTreeMap<&'static str, BTreeMap<String, Fault>>>);

/// How much of a table was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// All of it: what is not skipped now is repaired.
    Whole,
    /// What is new there.
    Part,
}

impl Skipped {
    /// Notes what was skipped of a table; answers what was not known before.
    pub fn note(&self, table: &'static str, reading: Reading, faults: Vec<Fault>) -> Vec<Fault> {
        let mut tables = locked(&self.0);
        let known = tables.entry(table).or_default();
        let mut fresh = Vec::new();
        let mut named = match reading {
            Reading::Whole => BTreeMap::new(),
            Reading::Part => known.clone(),
        };
        for fault in faults.into_iter().take(MAX_NAMED) {
            if known.get(&fault.origin) != Some(&fault) {
                fresh.push(fault.clone());
            }
            if named.len() < MAX_NAMED {
                named.insert(fault.origin.clone(), fault);
            }
        }
        *known = named;
        fresh
    }

    /// How many are named.
    pub fn count(&self) -> usize {
        locked(&self.0).values().map(BTreeMap::len).sum()
    }

    /// All that are named, by table.
    pub fn faults(&self) -> Vec<Fault> {
        let tables = locked(&self.0);
        let faults = tables.values().flat_map(BTreeMap::values);
        faults.cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(origin: &str, reason: &str) -> Fault {
        Fault {
            origin: origin.to_owned(),
            reason: reason.to_owned(),
            extension: None,
        }
    }

    #[test]
    fn each_is_news_once_until_it_changes_and_gone_when_all_is_read_without_it() {
        let skipped = Skipped::default();
        let (a, b) = (fault("t/a", "is bad"), fault("t/b", "is bad"));
        let note = |reading, faults: &[&Fault]| {
            skipped.note(
                "t",
                reading,
                faults.iter().map(|it| (*it).clone()).collect(),
            )
        };
        assert_eq!(note(Reading::Whole, &[&a]), std::slice::from_ref(&a));
        assert_eq!(note(Reading::Whole, &[&a]), []);
        assert_eq!(note(Reading::Part, &[&b]), std::slice::from_ref(&b));
        assert_eq!(skipped.faults(), [a.clone(), b.clone()]);
        let worse = fault("t/b", "is worse");
        assert_eq!(
            note(Reading::Whole, &[&worse]),
            std::slice::from_ref(&worse)
        );
        skipped.note("other", Reading::Whole, vec![a.clone()]);
        assert_eq!(skipped.faults(), [a, worse]);
        note(Reading::Whole, &[]);
        assert_eq!(skipped.faults().len(), 1);
    }

    #[test]
    fn their_number_is_bounded() {
        let skipped = Skipped::default();
        for round in 0..3 {
            let many = (0..1000).map(|n| fault(&format!("t/{round}-{n}"), "is bad"));
            skipped.note("t", Reading::Part, many.collect());
            assert_eq!(skipped.faults().len(), MAX_NAMED);
        }
    }
}

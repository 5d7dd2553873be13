//! A comparison of the files with the database.

use std::collections::HashMap;

use super::ports::Stored;
use super::wanted::Wanted;
use crate::domain::extension::Extension;
use crate::domain::ids::ExtensionId;
use crate::domain::quarantine::Fault;
use crate::domain::record::{Difference, differences, record};

/// What is wanted, sorted by what is there.
#[derive(Debug, Default)]
pub(super) struct Comparison<'a> {
    /// Not there.
    pub(super) absent: Vec<&'a Wanted<'a>>,
    /// There, and the same.
    pub(super) identical: Vec<&'a Wanted<'a>>,
    /// There, and different.
    pub(super) different: Vec<&'a Wanted<'a>>,
    /// Where those differ, by id: the database first.
    pub(super) differences: Vec<(ExtensionId, Vec<Difference>)>,
    /// How many there are beyond the ones asked about.
    pub(super) others: usize,
}

impl<'a> Comparison<'a> {
    /// Compares `wanted` with what is `stored`.
    pub(super) fn new(wanted: &'a [Wanted<'a>], stored: &Stored) -> Self {
        let valid: HashMap<&ExtensionId, &Extension> =
            stored.extensions.iter().map(|it| (&it.id, it)).collect();
        let faulty = by_extension(&stored.faults);
        let mut comparison = Self::default();
        for wanted in wanted {
            let id = &wanted.extension.id;
            let faults = faulty.get(id.as_str()).map(Vec::as_slice);
            let faults = faults.unwrap_or_default();
            let stored = valid.get(id).map(|it| record(it));
            match stored {
                None if faults.is_empty() => comparison.absent.push(wanted),
                Some(stored) if faults.is_empty() && stored == wanted.record => {
                    comparison.identical.push(wanted);
                }
                stored => {
                    let mut found: Vec<_> = faults.iter().map(|it| in_quarantine(it)).collect();
                    let stored = stored.iter();
                    found.extend(stored.flat_map(|it| differences(it, &wanted.record)));
                    comparison.different.push(wanted);
                    comparison.differences.push((id.clone(), found));
                }
            }
        }
        let known = comparison.identical.len() + comparison.different.len();
        let is_valid = |id: &str| ExtensionId::parse(id).is_ok_and(|id| valid.contains_key(&id));
        let unserved = faulty.keys().filter(|id| !is_valid(id)).count();
        comparison.others = (valid.len() + unserved).saturating_sub(known);
        comparison
    }
}

fn by_extension(faults: &[Fault]) -> HashMap<&str, Vec<&Fault>> {
    let mut by_id: HashMap<&str, Vec<&Fault>> = HashMap::new();
    for fault in faults {
        if let Some(extension) = &fault.extension {
            by_id.entry(&extension.id).or_default().push(fault);
        }
    }
    by_id
}

/// What is broken is different from whatever is wanted.
fn in_quarantine(fault: &Fault) -> Difference {
    Difference {
        field: fault.origin.clone(),
        first: Some(format!("in quarantine: {}", fault.reason)),
        second: None,
    }
}

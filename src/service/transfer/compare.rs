//! A comparison of the files with the database.

use std::collections::HashMap;

use super::ports::Stored;
use super::wanted::Wanted;
use crate::domain::extension::Extension;
use crate::domain::ids::ExtensionId;
use crate::domain::quarantine::Fault;
use crate::domain::record::{Difference, differences, record};

/// How many of what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Extensions.
    pub extensions: usize,
    /// Their versions besides the current ones.
    pub versions: usize,
    /// Their instances.
    pub instances: usize,
}

impl Tally {
    fn add(&mut self, extension: &Extension) {
        self.extensions += 1;
        self.versions += extension.versions.len();
        self.instances += extension.instances.len();
    }
}

/// What an import found and did.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Were not there.
    pub absent: Tally,
    /// Were there, the same.
    pub identical: Tally,
    /// Were there, different.
    pub different: Tally,
    /// The differences by id: the database first, then the files.
    pub differences: Vec<(ExtensionId, Vec<Difference>)>,
    /// Extensions of the database that the files do not name.
    pub others: usize,
}

/// What is wanted, sorted by what is there.
#[derive(Debug, Default)]
pub(super) struct Comparison<'a> {
    /// Not there.
    pub(super) absent: Vec<&'a Wanted<'a>>,
    /// There, and different.
    pub(super) different: Vec<&'a Wanted<'a>>,
    /// These and all others.
    pub(super) report: Report,
}

impl<'a> Comparison<'a> {
    /// Compares `wanted` with what is `stored`.
    pub(super) fn new(wanted: &'a [Wanted<'a>], stored: &Stored) -> Self {
        let valid: HashMap<&ExtensionId, &Extension> =
            stored.extensions.iter().map(|it| (&it.id, it)).collect();
        let faulty = by_extension(&stored.faults);
        let mut comparison = Self::default();
        let report = &mut comparison.report;
        for wanted in wanted {
            let (extension, id) = (wanted.extension, &wanted.extension.id);
            let faults = faulty.get(id.as_str()).map(Vec::as_slice);
            let faults = faults.unwrap_or_default();
            let stored = valid.get(id).map(|it| record(it));
            match stored {
                None if faults.is_empty() => {
                    report.absent.add(extension);
                    comparison.absent.push(wanted);
                }
                Some(stored) if faults.is_empty() && stored == wanted.record => {
                    report.identical.add(extension);
                }
                stored => {
                    let mut found: Vec<_> = faults.iter().map(|it| in_quarantine(it)).collect();
                    let stored = stored.iter();
                    found.extend(stored.flat_map(|it| differences(it, &wanted.record)));
                    report.different.add(extension);
                    report.differences.push((id.clone(), found));
                    comparison.different.push(wanted);
                }
            }
        }
        let known = report.identical.extensions + report.different.extensions;
        let is_valid = |id: &str| ExtensionId::parse(id).is_ok_and(|id| valid.contains_key(&id));
        let unserved = faulty.keys().filter(|id| !is_valid(id)).count();
        report.others = (valid.len() + unserved).saturating_sub(known);
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

//! Faulty input: set aside, named, and never served.

use std::collections::{BTreeMap, HashMap, HashSet};

/// One row, file or entry that cannot be used.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    /// Where it stands: `extensions/normalize_text`, `fixtures/a.json#2`...
    pub origin: String,
    /// What is wrong: the field and the rule it breaks.
    pub reason: String,
    /// The extension it belongs to, where that can be told.
    pub extension: Option<FaultyExtension>,
}

/// The extension that a fault belongs to.
#[derive(Debug, Clone, PartialEq)]
pub struct FaultyExtension {
    /// Its id as found, which may break the rules for ids.
    pub id: String,
    /// What the source's digest of its rows is, when none of it is served; see
    /// [`super::extension::Extension::digest`].
    pub unserved_digest: Option<u64>,
}

/// Everything that is set aside at one moment.
#[derive(Debug, Default, PartialEq)]
pub struct Quarantine {
    faults: BTreeMap<String, Fault>,
    unserved: HashMap<String, u64>,
}

impl Quarantine {
    /// Gathers faults, one per origin.
    pub fn new(faults: impl IntoIterator<Item = Fault>) -> Self {
        let faults: BTreeMap<_, _> = faults
            .into_iter()
            .map(|fault| (fault.origin.clone(), fault))
            .collect();
        let unserved = faults
            .values()
            .filter_map(|fault| fault.extension.as_ref())
            .filter_map(|extension| Some((extension.id.clone(), extension.unserved_digest?)))
            .collect();
        Self { faults, unserved }
    }

    /// What remains when the named extensions were read again and gave `fresh`.
    pub fn renewed(&self, read_again: &[String], fresh: Vec<Fault>) -> Self {
        let read_again: HashSet<_> = read_again.iter().collect();
        let stale = |fault: &Fault| {
            let extension = fault.extension.as_ref();
            extension.is_some_and(|extension| read_again.contains(&extension.id))
        };
        Self::new(
            self.faults
                .values()
                .filter(|fault| !stale(fault))
                .cloned()
                .chain(fresh),
        )
    }

    /// Whether the extension exists in the source but cannot be served.
    pub fn holds(&self, id: &str) -> bool {
        self.unserved.contains_key(id)
    }

    /// Whether exactly this fault is known.
    pub fn knows(&self, fault: &Fault) -> bool {
        self.faults.get(&fault.origin) == Some(fault)
    }

    /// All faults, by origin.
    pub fn faults(&self) -> impl ExactSizeIterator<Item = &Fault> {
        self.faults.values()
    }

    /// The part of the source's digest that nothing served accounts for.
    pub fn digest(&self) -> u64 {
        self.unserved
            .values()
            .fold(0, |sum, digest| sum.wrapping_add(*digest))
    }
}

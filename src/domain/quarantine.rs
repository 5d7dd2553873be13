//! Faulty input: quarantined, named, and never served.

use std::collections::{BTreeMap, HashMap, HashSet};

/// One row, file or entry that cannot be used.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    /// Its place: `extensions/normalize_text`, `fixtures/a.json#2`...
    pub origin: String,
    /// What is wrong: the field and the rule it breaks.
    pub reason: String,
    /// The extension it belongs to, if known.
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

/// The place of a fault, and the extension: odd ids may look alike where they are quoted.
type Key = (String, Option<String>);

impl Fault {
    fn key(&self) -> Key {
        let id = self.extension.as_ref().map(|it| it.id.clone());
        (self.origin.clone(), id)
    }
}

/// Everything that is quarantined at one moment.
#[derive(Debug, Default, PartialEq)]
pub struct Quarantine {
    faults: BTreeMap<Key, Fault>,
    unserved: HashMap<String, u64>,
}

impl Quarantine {
    /// Gathers faults, one for each place of an extension.
    pub fn new(faults: impl IntoIterator<Item = Fault>) -> Self {
        let faults = faults.into_iter().map(|fault| (fault.key(), fault));
        let faults: BTreeMap<_, _> = faults.collect();
        let unserved = faults.values().filter_map(|fault| {
            let extension = fault.extension.as_ref()?;
            Some((extension.id.clone(), extension.unserved_digest?))
        });
        Self {
            unserved: unserved.collect(),
            faults,
        }
    }

    /// What remains when the named extensions were read again and gave `fresh`.
    pub fn renewed(&self, read_again: &[String], fresh: Vec<Fault>) -> Self {
        let read_again: HashSet<_> = read_again.iter().collect();
        let stale = |fault: &Fault| {
            let extension = fault.extension.as_ref();
            extension.is_some_and(|extension| read_again.contains(&extension.id))
        };
        let kept = self.faults.values().filter(|fault| !stale(fault));
        Self::new(kept.cloned().chain(fresh))
    }

    /// Whether the extension exists in the source but cannot be served.
    pub fn holds(&self, id: &str) -> bool {
        self.unserved.contains_key(id)
    }

    /// Whether exactly this fault is known.
    pub fn knows(&self, fault: &Fault) -> bool {
        self.faults.get(&fault.key()) == Some(fault)
    }

    /// All faults, by origin.
    pub fn faults(&self) -> impl ExactSizeIterator<Item = &Fault> {
        self.faults.values()
    }

    /// The part of the source's digest that nothing served accounts for.
    pub fn digest(&self) -> u64 {
        let digests = self.unserved.values();
        digests.fold(0, |sum, digest| sum.wrapping_add(*digest))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::fault;
    use super::*;

    fn origins(quarantine: &Quarantine) -> Vec<&str> {
        quarantine
            .faults()
            .map(|fault| fault.origin.as_str())
            .collect()
    }

    /// A fault of one version of a served extension.
    fn partial(id: &str) -> Fault {
        Fault {
            origin: format!("extension_versions/{id}/v2"),
            reason: "`subject` is empty".into(),
            extension: Some(FaultyExtension {
                id: id.into(),
                unserved_digest: None,
            }),
        }
    }

    /// A file that is not JSON: it belongs to no extension.
    fn file() -> Fault {
        Fault {
            origin: "fixtures/a.json".into(),
            reason: "is not JSON".into(),
            extension: None,
        }
    }

    #[test]
    fn only_what_is_not_served_at_all_is_held_and_counted_in_the_digest() {
        let quarantine = Quarantine::new([fault("a", 3), fault("b", 4), partial("c"), file()]);
        assert_eq!(quarantine.faults().len(), 4);
        assert_eq!(quarantine.digest(), 7);
        let held = ["a", "b", "c", "fixtures/a.json"].map(|id| quarantine.holds(id));
        assert_eq!(held, [true, true, false, false]);
        assert_eq!(
            Quarantine::new([fault("a", u64::MAX), fault("b", 2)]).digest(),
            1
        );
    }

    #[test]
    fn an_extension_with_several_faults_counts_once() {
        let second = Fault {
            origin: "extension_versions/a/v2".into(),
            ..fault("a", 3)
        };
        let quarantine = Quarantine::new([fault("a", 3), second]);
        assert_eq!((quarantine.faults().len(), quarantine.digest()), (2, 3));
    }

    #[test]
    fn ids_that_are_quoted_alike_are_two() {
        let odd = |id, digest| Fault {
            origin: "extensions/a?b".into(),
            ..fault(id, digest)
        };
        let both = Quarantine::new([odd("a\tb", 3), odd("a\nb", 4)]);
        assert_eq!((both.faults().len(), both.digest()), (2, 7));
        let one = both.renewed(&["a\tb".to_owned()], Vec::new());
        assert_eq!((one.faults().len(), one.digest()), (1, 4));
    }

    #[test]
    fn renewal_replaces_exactly_what_was_read_again() {
        let old = Quarantine::new([
            fault("a", 1),
            fault("b", 2),
            fault("no good", 4),
            partial("c"),
            file(),
        ]);
        let read_again = ["a", "b", "no good"].map(str::to_owned);
        let renewed = old.renewed(&read_again, vec![fault("b", 8)]);
        assert_eq!(
            origins(&renewed),
            ["extension_versions/c/v2", "extensions/b", "fixtures/a.json"]
        );
        assert_eq!(renewed.digest(), 8);
        assert!(!renewed.holds("a") && !renewed.holds("no good") && renewed.holds("b"));
        assert!(old.knows(&fault("b", 2)) && !old.knows(&fault("b", 8)));
        assert_eq!(old.renewed(&[], Vec::new()), old);
    }
}

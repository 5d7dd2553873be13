//! Whatever the way, the catalog ends up equal to the source, and what did not change is not
//! touched.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::domain::catalog::CatalogWriter;
use crate::domain::extension::ExtensionType;
use crate::domain::testing::{extension, fault, prepare};

/// A row of the source: its revision, and its record unless it breaks a rule.
type Row = (u64, Option<(ExtensionType, bool)>);

/// A database in a few lines: rows by id, some of them faulty, some under ids that are none.
#[derive(Debug, Default)]
struct Source {
    revision: u64,
    rows: BTreeMap<String, Row>,
    touched: Vec<String>,
}

impl Source {
    fn digest(id: &str, revision: u64) -> u64 {
        revision.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ id.len() as u64
    }

    fn write(&mut self, id: &str, record: Option<Option<(ExtensionType, bool)>>) {
        match record {
            Some(record) => drop(self.rows.insert(id.to_owned(), (self.revision, record))),
            None => drop(self.rows.remove(id)),
        }
        self.touched.push(id.to_owned());
    }

    fn read(&self, wanted: impl Fn(&str) -> bool) -> (Vec<Extension>, Vec<Fault>) {
        let (mut extensions, mut faults) = (Vec::new(), Vec::new());
        for (id, (revision, record)) in self.rows.iter().filter(|(id, _)| wanted(id)) {
            let digest = Self::digest(id, *revision);
            match (record, ExtensionId::parse(id)) {
                (Some((kind, enabled)), Ok(_)) => extensions.push(Extension {
                    kind: *kind,
                    enabled: *enabled,
                    revision: *revision,
                    digest,
                    ..extension(id)
                }),
                _ => faults.push(fault(id, digest)),
            }
        }
        (extensions, faults)
    }

    fn everything(&self) -> Everything {
        let (extensions, faults) = self.read(|_| true);
        Everything {
            source: ActiveSource::Database,
            epoch: Some("epoch".into()),
            revision: self.revision,
            extensions,
            faults,
        }
    }

    fn delta(&mut self) -> Delta {
        let touched = std::mem::take(&mut self.touched);
        let (extensions, faults) = self.read(|id| touched.iter().any(|touched| touched == id));
        Delta {
            revision: self.revision,
            touched,
            extensions,
            faults,
        }
    }
}

fn load_everything(writer: &mut CatalogWriter, source: &Source) {
    let change = with_everything(writer.catalog(), source.everything(), &prepare);
    writer.apply(change);
}

/// The catalog holds what the source holds, in every view of it.
#[track_caller]
fn assert_equal(catalog: &Catalog, source: &Source) {
    let Everything {
        extensions, faults, ..
    } = source.everything();
    assert_eq!(catalog.revision(), source.revision);
    assert_eq!(catalog.sizes().0, extensions.len());
    for extension in &extensions {
        assert_eq!(catalog.get(&extension.id).unwrap().extension(), extension);
    }
    assert_eq!(*catalog.quarantine(), Quarantine::new(faults));
    let rows = source.rows.iter();
    let digest = rows.fold(0u64, |sum, (id, (revision, _))| {
        sum.wrapping_add(Source::digest(id, *revision))
    });
    assert_eq!(catalog.head().digest, digest);
}

/// Some ids that are valid and one that is not; a record, a faulty one, or none any more.
fn any_edit() -> impl Strategy<Value = (&'static str, Option<Option<(ExtensionType, bool)>>)> {
    let id = prop::sample::select(vec!["a", "b", "c", "d", "e", "not an id"]);
    let kind = prop::sample::select(ExtensionType::ALL.to_vec());
    let record = prop::option::weighted(0.7, (kind, any::<bool>()));
    (id, prop::option::weighted(0.7, record))
}

proptest! {
    #[test]
    fn deltas_end_where_a_full_load_ends(
        transactions in prop::collection::vec(
            (prop::collection::vec(any_edit(), 0..5), any::<bool>(), prop::bool::weighted(0.1)),
            1..20,
        ),
    ) {
        let (catalog, mut writer) = Catalog::new();
        let mut source = Source::default();
        load_everything(&mut writer, &source);
        for (edits, seen, full) in transactions {
            source.revision += 1;
            for (id, record) in edits {
                source.write(id, record);
            }
            // Not every transaction is seen by itself: several may arrive as one delta.
            if seen {
                if full {
                    load_everything(&mut writer, &source);
                    source.touched.clear();
                } else {
                    let change = with_delta(&catalog, source.delta(), &prepare);
                    writer.apply(change);
                }
                assert_equal(&catalog, &source);
            }
        }
        let change = with_delta(&catalog, source.delta(), &prepare);
        writer.apply(change);
        assert_equal(&catalog, &source);

        // A fresh daemon gets the same, and a full load finds nothing to do.
        let (fresh, mut fresh_writer) = Catalog::new();
        load_everything(&mut fresh_writer, &source);
        prop_assert_eq!(fresh.head(), catalog.head());
        prop_assert_eq!(fresh.quarantine(), catalog.quarantine());
        let nothing = with_everything(&catalog, source.everything(), &prepare);
        prop_assert!(nothing.upserts.is_empty() && nothing.removals.is_empty());
    }
}

#[test]
fn what_is_the_same_keeps_its_entry() {
    let (catalog, mut writer) = Catalog::new();
    let mut source = Source {
        revision: 1,
        ..Source::default()
    };
    let plain = (ExtensionType::Pre, true);
    for id in ["a", "b", "c"] {
        source.write(id, Some(Some(plain)));
    }
    load_everything(&mut writer, &source);
    let before = ["a", "b"].map(|id| catalog.get(id).unwrap());

    // `a` is read again and is the same, `b` is another, `c` is gone, `d` is faulty.
    source.delta();
    source.revision = 2;
    source.touched.push("a".into());
    source.write("b", Some(Some(plain)));
    source.write("c", None);
    source.write("d", Some(None));
    let change = with_delta(&catalog, source.delta(), &prepare);
    assert_eq!(
        (change.upserts.len(), change.removals.len()),
        (1, 2),
        "`c` and, to be sure, `d`"
    );
    let counts = writer.apply(change);
    assert_eq!((counts.added, counts.updated, counts.removed), (0, 1, 1));
    let after = ["a", "b"].map(|id| catalog.get(id).unwrap());
    assert!(Arc::ptr_eq(&before[0], &after[0]));
    assert!(!Arc::ptr_eq(&before[1], &after[1]));
    load_everything(&mut writer, &source);
    assert!(Arc::ptr_eq(&after[1], &catalog.get("b").unwrap()));
}

#[test]
fn an_extension_that_becomes_faulty_is_no_longer_served_and_comes_back_when_mended() {
    let (catalog, mut writer) = Catalog::new();
    let mut source = Source::default();
    for (record, served) in [
        (Some((ExtensionType::Pre, true)), true),
        (None, false),
        (Some((ExtensionType::Pre, true)), true),
    ] {
        source.revision += 1;
        source.write("a", Some(record));
        let change = with_delta(&catalog, source.delta(), &prepare);
        writer.apply(change);
        assert_eq!(
            (catalog.get("a").is_some(), catalog.quarantine().holds("a")),
            (served, !served)
        );
    }
}

#[test]
fn another_source_replaces_everything_faults_included() {
    let (catalog, mut writer) = Catalog::new();
    let files = Everything {
        source: ActiveSource::Fixtures,
        epoch: None,
        revision: 0,
        extensions: vec![extension("only_in_files")],
        faults: vec![fault("bad_file", 0)],
    };
    let change = with_everything(&catalog, files, &prepare);
    writer.apply(change);
    assert_eq!(catalog.head().source, ActiveSource::Fixtures);

    let mut source = Source {
        revision: 7,
        ..Source::default()
    };
    source.write("in_database", Some(Some((ExtensionType::Pre, true))));
    load_everything(&mut writer, &source);
    assert!(catalog.get("only_in_files").is_none() && !catalog.quarantine().holds("bad_file"));
    assert_eq!(catalog.head().source, ActiveSource::Database);
    assert_equal(&catalog, &source);
}

//! What readers of the catalog may rely on, one change at a time.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::domain::extension::{Extension, ExtensionType};
use crate::domain::testing::{change, entry, extension, fault};

fn id(text: &str) -> ExtensionId {
    ExtensionId::parse(text).unwrap()
}

fn with_digest(name: &str, digest: u64) -> Arc<Entry> {
    entry(Extension {
        digest,
        ..extension(name)
    })
}

#[test]
fn a_change_is_counted_by_what_it_did() {
    let (catalog, mut writer) = Catalog::new();
    let first = writer.apply(Change {
        upserts: vec![with_digest("a", 1), with_digest("b", 2)],
        removals: vec![id("never_there")],
        ..change(1)
    });
    let second = writer.apply(Change {
        upserts: vec![with_digest("b", 3), with_digest("c", 4)],
        removals: vec![id("a")],
        ..change(2)
    });
    let nothing = writer.apply(change(3));
    assert_eq!((first.added, first.updated, first.removed), (2, 0, 0));
    assert_eq!((second.added, second.updated, second.removed), (1, 1, 1));
    assert!(nothing.is_empty() && !second.is_empty());
    assert_eq!((catalog.revision(), catalog.head().digest), (3, 7));
    assert_eq!(catalog.sizes(), (2, 2));
    assert!(catalog.get("a").is_none() && catalog.get("c").is_some());
}

#[test]
fn the_digest_counts_what_is_quarantined() {
    let (catalog, mut writer) = Catalog::new();
    writer.apply(Change {
        upserts: vec![with_digest("a", u64::MAX)],
        quarantine: Quarantine::new([fault("bad", 10)]),
        ..change(1)
    });
    assert_eq!(catalog.head().digest, 9, "sums wrap");
    assert!(catalog.quarantine().holds("bad") && !catalog.quarantine().holds("a"));
    writer.apply(Change {
        removals: vec![id("a")],
        ..change(2)
    });
    assert_eq!(catalog.head().digest, 0);
}

#[test]
fn the_digest_is_right_even_for_a_change_that_names_an_id_twice() {
    let (catalog, mut writer) = Catalog::new();
    writer.apply(Change {
        upserts: vec![
            with_digest("a", 1),
            with_digest("a", 2),
            with_digest("b", 4),
        ],
        removals: vec![id("b"), id("b")],
        ..change(1)
    });
    assert_eq!((catalog.head().digest, catalog.sizes()), (2, (1, 1)));
}

#[test]
fn a_new_type_moves_the_entry_in_listings() {
    let (catalog, mut writer) = Catalog::new();
    let as_type = |kind| {
        entry(Extension {
            kind,
            ..extension("a")
        })
    };
    let listed = |kind| {
        let (page, _) = catalog.list(&PageRequest {
            kind: Some(kind),
            limit: 10,
            ..PageRequest::default()
        });
        assert_eq!(page.entries.len(), page.total);
        page.total
    };
    for (revision, kind) in (1..).zip([ExtensionType::Pre, ExtensionType::Post]) {
        writer.apply(Change {
            upserts: vec![as_type(kind)],
            ..change(revision)
        });
    }
    assert_eq!(
        ExtensionType::ALL.map(listed),
        [1, 0, 0, 0],
        "moved from pre to post"
    );
    assert_eq!(catalog.sizes(), (1, 1));
}

#[test]
fn many_ids_come_in_the_order_asked_for_with_gaps_where_there_is_none() {
    let (catalog, mut writer) = Catalog::new();
    writer.apply(Change {
        upserts: vec![with_digest("a", 1), with_digest("b", 2)],
        ..change(5)
    });
    let many = catalog.get_many(&["b", "no such", "a", "b"]);
    let digests: Vec<_> = many
        .entries
        .iter()
        .map(|entry| entry.as_ref().map(|entry| entry.extension().digest))
        .collect();
    assert_eq!(digests, [Some(2), None, Some(1), Some(2)]);
    assert_eq!(many.revision, 5);
}

/// A state of the catalog between two stores of `apply`, which only another thread could meet.
#[test]
fn while_a_change_is_applied_many_ids_are_read_as_of_before_it() {
    let (catalog, mut writer) = Catalog::new();
    writer.apply(Change {
        upserts: vec![with_digest("a", 1), with_digest("b", 2)],
        ..change(1)
    });
    let sequence = catalog.sequence.load(Ordering::Acquire) + 1;
    let old = catalog.get("a");
    catalog.before.store(Some(Arc::new(Before {
        sequence,
        revision: 1,
        entries: HashMap::from([(id("a"), old), (id("new"), None)]),
    })));
    catalog.sequence.store(sequence, Ordering::Release);
    for upsert in [with_digest("a", 100), with_digest("new", 200)] {
        let key = upsert.extension().id.clone();
        let place = Place {
            unconditional: None,
            entry: upsert,
        };
        catalog.entries.pin().insert(key, place);
    }
    let many = catalog.get_many(&["a", "b", "new"]);
    let digests = many
        .entries
        .iter()
        .map(|entry| entry.as_ref().map(|entry| entry.extension().digest));
    assert_eq!(digests.collect::<Vec<_>>(), [Some(1), Some(2), None]);
    assert_eq!(many.revision, 1);
    assert_eq!(catalog.get("a").unwrap().extension().digest, 100);

    // What an earlier change put aside is of no use to a reader of this one.
    catalog.sequence.store(sequence + 2, Ordering::Release);
    assert!(catalog.try_get_many(&["a"]).is_none());
}

/// One step of a random history: an id that is put (with a type and a flag) or removed.
type Step = (u8, Option<(usize, bool)>);
type Key = (ExtensionType, ExtensionId);

fn any_history() -> impl Strategy<Value = Vec<Vec<Step>>> {
    let step = (
        0..20u8,
        prop::option::weighted(0.7, (0..4usize, any::<bool>())),
    );
    prop::collection::vec(prop::collection::vec(step, 0..6), 1..12)
}

/// Pages through everything that matches, `limit` at a time.
fn walk(catalog: &Catalog, filter: &PageRequest, expected_total: usize) -> Vec<Key> {
    let mut seen: Vec<Key> = Vec::new();
    loop {
        let (page, revision) = catalog.list(&PageRequest {
            after: seen.last().cloned(),
            ..filter.clone()
        });
        assert_eq!(page.total, expected_total);
        assert_eq!(revision, catalog.revision());
        assert!(page.entries.len() <= filter.limit);
        let extensions = page.entries.iter().map(|entry| entry.extension());
        seen.extend(extensions.map(|extension| (extension.kind, extension.id.clone())));
        if !page.more {
            return seen;
        }
        assert_eq!(page.entries.len(), filter.limit);
    }
}

proptest! {
    #[test]
    fn pages_partition_what_is_there(history in any_history(), limit in 1..8usize) {
        let (catalog, mut writer) = Catalog::new();
        let mut model: BTreeMap<ExtensionId, (ExtensionType, bool, u64)> = BTreeMap::new();
        for (revision, steps) in (1..).zip(history) {
            let mut next = change(revision);
            // The last word on an id counts: a change names it once.
            for (number, put) in BTreeMap::from_iter(steps) {
                let id = id(&format!("ext{number}"));
                if let Some((kind, enabled)) = put {
                    let kind = ExtensionType::ALL[kind];
                    let digest = revision << 8 | u64::from(number);
                    let named = extension(id.as_str());
                    next.upserts.push(entry(Extension { kind, enabled, digest, ..named }));
                    model.insert(id, (kind, enabled, digest));
                } else {
                    model.remove(&id);
                    next.removals.push(id);
                }
            }
            writer.apply(next);

            prop_assert_eq!(catalog.revision(), revision);
            let digest = model.values().fold(0u64, |sum, (_, _, digest)| sum.wrapping_add(*digest));
            prop_assert_eq!(catalog.head().digest, digest);
            prop_assert_eq!(catalog.ids().len(), model.len());
            let enabled_total = model.values().filter(|(_, enabled, _)| *enabled).count();
            prop_assert_eq!(catalog.sizes(), (model.len(), enabled_total));
            let disabled = model.iter().filter(|(_, (_, enabled, _))| !*enabled);
            let disabled = disabled.map(|(id, _)| id.clone()).collect();
            prop_assert_eq!(catalog.out_of_service(), disabled);
            for (id, (_, _, digest)) in &model {
                prop_assert_eq!(catalog.get(id.as_str()).unwrap().extension().digest, *digest);
            }
            for kind in std::iter::once(None).chain(ExtensionType::ALL.map(Some)) {
                for enabled in [None, Some(true), Some(false)] {
                    let matching = model.iter().filter(|(_, (k, e, _))| {
                        kind.is_none_or(|kind| kind == *k) && enabled.is_none_or(|x| x == *e)
                    });
                    let mut keys: Vec<Key> =
                        matching.map(|(id, (kind, _, _))| (*kind, id.clone())).collect();
                    keys.sort();
                    let filter = PageRequest { kind, enabled, selector: None, after: None, limit };
                    prop_assert_eq!(walk(&catalog, &filter, keys.len()), keys);
                }
            }
        }
    }
}

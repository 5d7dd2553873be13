//! What readers of the catalog may rely on while a writer on another thread never pauses.
//!
//! The writer moves every id from one generation to the next; a reader that sees two generations
//! in one answer, or misses an id that always exists, has found a bug.

use std::collections::HashMap;
use std::sync::atomic::AtomicBool;
use std::thread;

use super::*;
use crate::domain::extension::Extension;
use crate::domain::testing::{change, entry, extension, fault};

/// Ids that exist in every generation.
const STEADY: usize = 24;
/// Pairs of ids of which even generations have the first and odd ones the second.
const PAIRS: usize = 8;
const GENERATIONS: u64 = 2000;
const READERS: usize = 3;

fn of_generation(id: &str, generation: u64) -> Arc<Entry> {
    entry(Extension {
        revision: generation,
        digest: generation,
        ..extension(id)
    })
}

fn pair(number: usize, generation: u64) -> String {
    format!("pair{number}-{}", generation % 2)
}

fn steady() -> Vec<String> {
    (0..STEADY)
        .map(|number| format!("steady{number}"))
        .collect()
}

/// The change from the generation before to `generation`.
fn flip(generation: u64) -> Change {
    let steady = steady();
    let names = steady
        .into_iter()
        .chain((0..PAIRS).map(|n| pair(n, generation)));
    let removals = (0..PAIRS).map(|n| ExtensionId::parse(&pair(n, generation + 1)).unwrap());
    Change {
        upserts: names.map(|name| of_generation(&name, generation)).collect(),
        removals: removals.collect(),
        ..change(generation)
    }
}

/// Stops readers even when the test's own thread fails.
struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Runs `read` on several threads while the writer flips through the generations; each reader gets
/// its number and reads at least once after the last flip.
fn while_flipping(read: impl Fn(&Catalog, usize) + Sync) {
    let (catalog, mut writer) = Catalog::new();
    writer.apply(flip(1));
    let finished = AtomicBool::new(false);
    thread::scope(|scope| {
        let stop = StopOnDrop(&finished);
        for reader in 0..READERS {
            let (catalog, finished, read) = (&catalog, &finished, &read);
            scope.spawn(move || {
                loop {
                    let last = finished.load(Ordering::Acquire);
                    read(catalog, reader);
                    if last {
                        return;
                    }
                }
            });
        }
        for generation in 2..=GENERATIONS {
            writer.apply(flip(generation));
        }
        drop(stop);
    });
    assert_eq!(catalog.revision(), GENERATIONS);
    assert_eq!(catalog.sizes().0, STEADY + PAIRS);
}

#[test]
fn many_ids_are_all_of_one_generation_and_it_is_the_revision() {
    let steady = steady();
    let pairs: Vec<_> = (0..PAIRS).map(|n| [pair(n, 0), pair(n, 1)]).collect();
    // The order of the reads differs from the order of the writes, and between readers.
    let asked: Vec<Vec<&str>> = (0..READERS)
        .map(|reader| {
            let mut ids: Vec<&str> = steady
                .iter()
                .chain(pairs.iter().flatten())
                .map(String::as_str)
                .collect();
            ids.rotate_left(reader * STEADY / READERS);
            if reader % 2 == 1 {
                ids.reverse();
            }
            ids
        })
        .collect();
    let seen: [AtomicU64; READERS] = Default::default();
    while_flipping(|catalog, reader| {
        let ids = &asked[reader];
        let Consistent { revision, entries } = catalog.get_many(ids);
        assert!(
            seen[reader].fetch_max(revision, Ordering::Relaxed) <= revision,
            "went back"
        );
        let found: HashMap<&str, &Arc<Entry>> = ids
            .iter()
            .zip(&entries)
            .filter_map(|(id, entry)| Some((*id, entry.as_ref()?)))
            .collect();
        assert_eq!(found.len(), STEADY + PAIRS, "of revision {revision}");
        for (id, entry) in &found {
            assert_eq!(entry.extension().id.as_str(), *id);
            assert_eq!(entry.extension().revision, revision, "{id}");
        }
        for number in 0..PAIRS {
            assert!(found.contains_key(pair(number, revision).as_str()));
        }
    });
}

#[test]
fn an_id_that_always_exists_is_never_missed_and_never_older_than_the_revision() {
    let steady = steady();
    while_flipping(|catalog, _| {
        for id in &steady {
            let revision = catalog.revision();
            let entry = catalog
                .get(id.as_str())
                .expect("exists in every generation");
            assert!(
                entry.extension().revision >= revision,
                "published before it was visible"
            );
        }
    });
}

#[test]
fn a_page_and_the_sizes_belong_to_one_revision() {
    while_flipping(|catalog, _| {
        let limit = STEADY + PAIRS;
        let (page, revision) = catalog.list(&PageRequest {
            limit,
            ..PageRequest::default()
        });
        assert_eq!(
            (page.total, page.entries.len(), page.more),
            (limit, limit, false)
        );
        assert!(
            page.entries
                .iter()
                .all(|entry| entry.extension().revision == revision)
        );
        assert_eq!(catalog.sizes(), (limit, limit));
    });
}

/// Many ids become faulty in one change, so that a reader meets the first while the last is still
/// being taken out.
#[test]
fn an_id_that_becomes_faulty_is_at_no_moment_unknown() {
    let (catalog, mut writer) = Catalog::new();
    let names: Vec<_> = (0..500).map(|number| format!("ext{number}")).collect();
    let parse = |name: &String| ExtensionId::parse(name).unwrap();
    for round in 0..20 {
        writer.apply(Change {
            upserts: names.iter().map(|name| of_generation(name, 1)).collect(),
            ..change(round * 2)
        });
        let faulty = Change {
            removals: names.iter().map(parse).collect(),
            quarantine: Quarantine::new(names.iter().map(|name| fault(name, 1))),
            ..change(round * 2 + 1)
        };
        let reading = AtomicBool::new(false);
        thread::scope(|scope| {
            let reader = scope.spawn(|| {
                while catalog.get("ext0").is_some() {
                    reading.store(true, Ordering::Release);
                }
                catalog.quarantine().holds("ext0")
            });
            while !reading.load(Ordering::Acquire) {
                thread::yield_now();
            }
            writer.apply(faulty);
            assert!(reader.join().unwrap());
        });
    }
}

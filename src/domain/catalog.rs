//! The catalog: a lock-free map from id to entry that readers never see half changed.
//!
//! One writer applies changes, upserts first and removals after them, so that an id which exists
//! before and after is never missing between. A single lookup is one atomic read. A lookup of many
//! wants one revision: a sequence counter, odd while a change is applied, makes it read again, or
//! use what the changing keys held before (a seqlock, as in the Linux kernel, whose readers need
//! not wait for the writer).

use std::borrow::Borrow;
use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use arc_swap::{ArcSwap, ArcSwapOption};
use bytes::Bytes;

use super::entry::Entry;
use super::ids::ExtensionId;
use super::listing::{Listing, Page, PageRequest, Position};
use super::lock::locked;
use super::quarantine::Quarantine;
pub use super::source::ActiveSource;

/// What the catalog as a whole is: published after the entries that it describes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Head {
    /// Where the data came from.
    pub source: ActiveSource,
    /// The database's identity; `None` for fixtures.
    pub epoch: Option<Box<str>>,
    /// The last revision applied; 0 for fixtures.
    pub revision: u64,
    /// Sum of all records' digests, modulo 2^64.
    pub digest: u64,
}

/// Entries that all belong to one revision.
#[derive(Debug)]
pub struct Consistent {
    /// The catalog's revision at that moment.
    pub revision: u64,
    /// In the order asked for; `None` where there is no such id.
    pub entries: Vec<Option<Arc<Entry>>>,
}

/// What the keys of a running change held before it.
#[derive(Debug)]
struct Before {
    sequence: u64,
    revision: u64,
    entries: HashMap<ExtensionId, Option<Arc<Entry>>>,
}

/// The map and what is known about it as a whole.
#[derive(Debug, Default)]
pub struct Catalog {
    entries: papaya::HashMap<ExtensionId, Place, foldhash::fast::RandomState>,
    sequence: AtomicU64,
    before: ArcSwapOption<Before>,
    head: ArcSwap<Head>,
    quarantine: ArcSwap<Quarantine>,
    listing: Mutex<Listing>,
}

/// Ids that are looked for at a time by [`Catalog::unconditionals`]; the rest is left out.
const AT_A_TIME: usize = 8;
/// Entries that [`Catalog::walk`] takes under one lock.
const WALKED_AT_A_TIME: usize = 1000;

/// What the map holds for an id.
///
/// With many extensions every pointer that a lookup follows is a wait for memory, and those waits
/// are most of its cost. So the reply that nearly all lookups want is here, beside the key.
#[derive(Debug)]
struct Place {
    unconditional: Option<Bytes>,
    entry: Arc<Entry>,
}

/// A change to apply as one: to a reader of many it is all there or not at all.
#[derive(Debug)]
pub struct Change {
    /// Entries to add or replace.
    pub upserts: Vec<Arc<Entry>>,
    /// Ids to remove.
    pub removals: Vec<ExtensionId>,
    /// What is quarantined from now on.
    pub quarantine: Quarantine,
    /// The catalog's source, epoch and revision from now on; the digest is computed here.
    pub source: ActiveSource,
    /// See [`Head::epoch`].
    pub epoch: Option<Box<str>>,
    /// See [`Head::revision`].
    pub revision: u64,
}

/// How many entries a change touched.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Ids that were not there before.
    pub added: usize,
    /// Ids whose record differs from before.
    pub updated: usize,
    /// Ids that are gone.
    pub removed: usize,
}

impl Counts {
    /// Whether nothing was touched.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The one handle that may change a catalog; it cannot be cloned.
#[derive(Debug)]
pub struct CatalogWriter(Arc<Catalog>);

impl Catalog {
    /// An empty catalog and its writer.
    pub fn new() -> (Arc<Self>, CatalogWriter) {
        let catalog = Arc::<Self>::default();
        (Arc::clone(&catalog), CatalogWriter(catalog))
    }

    /// The entry of `id`: one atomic read, no lock, no wait.
    pub fn get<Q: Hash + Eq + ?Sized>(&self, id: &Q) -> Option<Arc<Entry>>
    where
        ExtensionId: Borrow<Q>,
    {
        Some(Arc::clone(&self.entries.pin().get(id)?.entry))
    }

    /// What `read` makes of the reply for `id`, where every request gets the same one: see
    /// [`Entry::unconditional`]. The reply is borrowed: counting a reference would write to memory
    /// that every lookup of this id shares.
    pub fn unconditional<T>(&self, id: &str, read: impl FnOnce(&[u8]) -> T) -> Option<T> {
        let pinned = self.entries.pin();
        Some(read(pinned.get(id)?.unconditional.as_ref()?))
    }

    /// The same for many ids at a time: all are found first and read then, so that their memory is
    /// fetched in parallel.
    pub fn unconditionals<'a>(&self, ids: impl Iterator<Item = &'a str>, read: impl Fn(&[u8])) {
        let pinned = self.entries.pin();
        let mut found = [None; AT_A_TIME];
        for (place, id) in found.iter_mut().zip(ids) {
            *place = pinned.get(id).and_then(|slot| slot.unconditional.as_ref());
        }
        found.into_iter().flatten().for_each(|reply| read(reply));
    }

    /// The entries of all `ids`, all of one revision, whatever is being applied meanwhile.
    ///
    /// Reads again only when a whole change began or ended between its first and its last read, so
    /// it repeats at most once per change: lock-free, and in practice once.
    pub fn get_many(&self, ids: &[&str]) -> Consistent {
        loop {
            if let Some(consistent) = self.try_get_many(ids) {
                return consistent;
            }
            std::hint::spin_loop();
        }
    }

    fn try_get_many(&self, ids: &[&str]) -> Option<Consistent> {
        let sequence = self.sequence.load(Ordering::Acquire);
        let applying = sequence % 2 == 1;
        let is_its = |before: &Arc<Before>| before.sequence == sequence;
        let before = match applying {
            true => Some(self.before.load_full().filter(is_its)?),
            false => None,
        };
        let before = before.as_deref();
        let revision = before.map_or_else(|| self.revision(), |before| before.revision);
        let pinned = self.entries.pin();
        let entries = ids.iter().map(|id| {
            let old = before.and_then(|before| before.entries.get(*id));
            old.cloned().unwrap_or_else(|| {
                let place = pinned.get(*id)?;
                Some(Arc::clone(&place.entry))
            })
        });
        let entries = entries.collect();
        // With the old values at hand the end of this very change does not matter, the begin of the
        // next one does; without them nothing may have begun.
        let last_harmless = if applying { sequence + 1 } else { sequence };
        let unchanged = self.sequence.load(Ordering::Acquire) <= last_harmless;
        unchanged.then_some(Consistent { revision, entries })
    }

    /// A page of entries in the order of type and id, and the revision they all belong to.
    pub fn list(&self, request: &PageRequest) -> (Page, u64) {
        let listing = locked(&self.listing);
        (listing.page(request), self.revision())
    }

    /// What the catalog as a whole is.
    pub fn head(&self) -> Arc<Head> {
        self.head.load_full()
    }

    /// The last revision of which every entry is visible.
    pub fn revision(&self) -> u64 {
        self.head.load().revision
    }

    /// What is quarantined.
    pub fn quarantine(&self) -> Arc<Quarantine> {
        self.quarantine.load_full()
    }

    /// All entries and the enabled ones among them.
    pub fn sizes(&self) -> (usize, usize) {
        let listing = locked(&self.listing);
        (listing.count(None, None), listing.count(None, Some(true)))
    }

    /// Every id, in no order.
    pub fn ids(&self) -> Vec<ExtensionId> {
        self.entries.pin().keys().cloned().collect()
    }

    /// The ids of those that may not serve now.
    pub fn out_of_service(&self) -> HashSet<ExtensionId> {
        locked(&self.listing).out_of_service().clone()
    }

    /// All entries after a position, in the order of listings. Read in portions, so that no writer
    /// waits for a slow reader. An entry that moves meanwhile may come twice or not at all.
    pub fn walk(&self, after: Option<Position>) -> impl Iterator<Item = Arc<Entry>> {
        let (mut ahead, mut after, mut more) = (Vec::new().into_iter(), after, true);
        std::iter::from_fn(move || {
            if ahead.len() == 0 && more {
                let (page, _) = self.list(&PageRequest {
                    after: after.take(),
                    limit: WALKED_AT_A_TIME,
                    ..PageRequest::default()
                });
                more = page.more;
                let last = page.entries.last().map(|entry| entry.extension());
                after = last.map(|extension| (extension.kind, extension.id.clone()));
                ahead = page.entries.into_iter();
            }
            ahead.next()
        })
    }
}

impl CatalogWriter {
    /// The catalog that this handle changes.
    pub fn catalog(&self) -> &Arc<Catalog> {
        &self.0
    }

    /// Applies `change`; its revision becomes visible last.
    pub fn apply(&mut self, change: Change) -> Counts {
        let catalog = &*self.0;
        let old_head = catalog.head();
        let sequence = catalog.sequence.load(Ordering::Acquire) + 1;
        let mut listing = locked(&catalog.listing);
        let pinned = catalog.entries.pin();

        let touched = change.upserts.iter().map(|entry| &entry.extension().id);
        let touched = touched.chain(&change.removals);
        let quarantined = catalog.quarantine.load().digest();
        let mut digest = old_head.digest.wrapping_sub(quarantined);
        let mut counts = Counts::default();
        catalog.before.store(Some(Arc::new(Before {
            sequence,
            revision: old_head.revision,
            entries: touched.map(|id| (id.clone(), catalog.get(id))).collect(),
        })));

        catalog.sequence.store(sequence, Ordering::Release);
        let are_first = listing.count(None, None) == 0;
        for entry in change.upserts {
            digest = digest.wrapping_add(entry.extension().digest);
            let place = Place {
                unconditional: entry.unconditional().map(|reply| reply.bytes.clone()),
                entry: Arc::clone(&entry),
            };
            match pinned.insert(entry.extension().id.clone(), place) {
                Some(old) => {
                    counts.updated += 1;
                    digest = digest.wrapping_sub(old.entry.extension().digest);
                    listing.remove(old.entry.extension());
                }
                None => counts.added += 1,
            }
            if !are_first {
                listing.insert(entry);
            }
        }
        if are_first {
            listing.fill(pinned.values().map(|place| Arc::clone(&place.entry)));
        }
        // Before the removals: an id that becomes faulty is at no moment unknown.
        digest = digest.wrapping_add(change.quarantine.digest());
        catalog.quarantine.store(Arc::new(change.quarantine));
        for id in &change.removals {
            if let Some(gone) = pinned.remove(id) {
                counts.removed += 1;
                digest = digest.wrapping_sub(gone.entry.extension().digest);
                listing.remove(gone.entry.extension());
            }
        }
        catalog.head.store(Arc::new(Head {
            source: change.source,
            epoch: change.epoch,
            revision: change.revision,
            digest,
        }));
        catalog.sequence.store(sequence + 1, Ordering::Release);
        catalog.before.store(None);
        counts
    }
}

#[cfg(test)]
#[path = "catalog_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "catalog_threads_tests.rs"]
mod threads_tests;

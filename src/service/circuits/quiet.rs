//! Whether the circuits of an extension may be worth a look: one relaxed read, for callers that ask
//! a hundred thousand times a second.
//!
//! A table by hash of the id, like a Bloom filter with one function: two extensions that share a
//! place cost each other a closer look, never a wrong answer.

use std::collections::HashSet;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};

use foldhash::fast::RandomState;

use crate::domain::lock::locked;

const QUIET: u8 = 0;
const LOOKING: u8 = 1;
const UNQUIET: u8 = 2;

/// A power of two: 64 kB, which a second-level cache holds. With 5,000 failing extensions one in 14
/// of the others shares a place with one.
const PLACES: usize = 1 << 16;

/// Raised by whatever may set a circuit apart from a closed one that never saw a failure; lowered
/// only by a look at all of them during which nothing raised it.
#[derive(Debug)]
pub(super) struct Quiet {
    /// Whether any place may be unquiet: mostly none is, and no lookup has to fetch its place.
    any: AtomicU8,
    places: Box<[AtomicU8]>,
    hasher: RandomState,
    /// Held during a look.
    looks: Mutex<()>,
}

/// Where an extension has its place in a table. Each circuit has one.
#[derive(Debug)]
pub(super) struct Alarm {
    table: Arc<Quiet>,
    place: usize,
}

impl Default for Quiet {
    fn default() -> Self {
        Self {
            any: AtomicU8::default(),
            places: std::iter::repeat_with(AtomicU8::default)
                .take(PLACES)
                .collect(),
            hasher: RandomState::default(),
            looks: Mutex::default(),
        }
    }
}

impl Quiet {
    /// Whether no circuit of the extension needs a look. While another thread finds out, the answer
    /// is no.
    pub(super) fn is_quiet(&self, id: &str) -> bool {
        if self.any.load(Ordering::Relaxed) == QUIET {
            return true;
        }
        let place = self.places.get(self.place(id));
        place.is_some_and(|place| place.load(Ordering::Relaxed) == QUIET)
    }

    /// What the circuits of the extension raise.
    pub(super) fn alarm(self: &Arc<Self>, id: &str) -> Alarm {
        Alarm {
            table: Arc::clone(self),
            place: self.place(id),
        }
    }

    /// Looks again where it was not quiet. Iterates `ailing`, the alarms of all circuits that need
    /// a look, only after noting that a look is under way, so that no change meanwhile is missed.
    pub(super) fn look<'a>(&self, ailing: impl IntoIterator<Item = &'a Alarm>) {
        let (acquire, release) = (Ordering::Acquire, Ordering::AcqRel);
        let _alone = locked(&self.looks);
        let begun = self
            .any
            .compare_exchange(UNQUIET, LOOKING, release, acquire);
        if begun.is_err() {
            return;
        }
        let places = self.places.iter().enumerate();
        let looked_at: Vec<_> = places
            .filter(|(_, place)| place.load(Ordering::Relaxed) == UNQUIET)
            .filter(|(_, place)| {
                let begun = place.compare_exchange(UNQUIET, LOOKING, release, acquire);
                begun.is_ok()
            })
            .collect();
        let ailing: HashSet<_> = ailing.into_iter().map(|alarm| alarm.place).collect();
        let mut all_quiet = true;
        for (at, place) in looked_at {
            let found = if ailing.contains(&at) { UNQUIET } else { QUIET };
            // An alarm meanwhile wins: the exchange fails.
            let settled = place.compare_exchange(LOOKING, found, release, acquire);
            all_quiet &= settled.is_ok() && found == QUIET;
        }
        let found = if all_quiet { QUIET } else { UNQUIET };
        let _ = self.any.compare_exchange(LOOKING, found, release, acquire);
    }

    fn place(&self, id: &str) -> usize {
        let hash = self.hasher.hash_one(id).to_le_bytes();
        usize::from(u16::from_le_bytes([hash[0], hash[1]]))
    }
}

impl Alarm {
    /// There may be something to know. To be called after the change, or a look in between misses
    /// it.
    pub(super) fn raise(&self) {
        if let Some(place) = self.table.places.get(self.place) {
            place.store(UNQUIET, Ordering::Release);
        }
        // After the place: a look that lowers this has seen it.
        self.table.any.store(UNQUIET, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_lowers_it_unless_something_raises_it_meanwhile() {
        let quiet = Arc::new(Quiet::default());
        let alarm = quiet.alarm("x");
        assert!(quiet.is_quiet("x"));
        quiet.look(std::iter::from_fn(|| panic!("nothing to look for")));
        alarm.raise();
        quiet.look([&alarm]);
        assert!(!quiet.is_quiet("x"));
        quiet.look(std::iter::from_fn(|| {
            assert!(!quiet.is_quiet("x"), "not while nobody knows");
            alarm.raise();
            None
        }));
        assert!(!quiet.is_quiet("x"));
        quiet.look([]);
        assert!(quiet.is_quiet("x"));
    }

    #[test]
    fn each_extension_has_a_place_of_its_own_or_nearly() {
        let quiet = Arc::new(Quiet::default());
        for n in 0..5_000 {
            quiet.alarm(&format!("failing{n}")).raise();
        }
        let shared = (0..5_000).filter(|n| !quiet.is_quiet(&format!("well{n}")));
        assert!(shared.count() < 1_000);
        assert!((0..5_000).all(|n| !quiet.is_quiet(&format!("failing{n}"))));
    }
}

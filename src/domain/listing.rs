//! The entries in the order of listings, kept beside the map by its writer.
//!
//! Listings are rare and long, lookups frequent and short: the order has a lock of its own that no
//! lookup takes.

use std::collections::{BTreeMap, HashSet};
use std::ops::Bound;
use std::sync::Arc;

use super::entry::Entry;
use super::extension::{Extension, ExtensionType};
use super::ids::ExtensionId;
use super::selector::Selector;

/// The place of an entry: by type, then by id.
pub type Position = (ExtensionType, ExtensionId);

/// Which entries, from where, how many.
#[derive(Debug, Clone, Default)]
pub struct PageRequest {
    /// Only this type.
    pub kind: Option<ExtensionType>,
    /// Only the enabled ones, or only the disabled ones.
    pub enabled: Option<bool>,
    /// Only those that it matches.
    pub selector: Option<Selector>,
    /// Only entries after this place.
    pub after: Option<Position>,
    /// The most that are returned.
    pub limit: usize,
}

impl PageRequest {
    fn matches(&self, extension: &Extension) -> bool {
        let selected = |selector: &Selector| selector.matches(extension.into());
        self.kind.is_none_or(|kind| kind == extension.kind)
            && self.enabled.is_none_or(|it| it == extension.enabled)
            && self.selector.as_ref().is_none_or(selected)
    }
}

/// Some entries in order.
#[derive(Debug)]
pub struct Page {
    /// The entries.
    pub entries: Vec<Arc<Entry>>,
    /// How many the filter matches in all.
    pub total: usize,
    /// Whether the filter matches more after these.
    pub more: bool,
}

/// All entries in order, how many there are of each kind, and which may not serve.
#[derive(Debug, Default)]
pub struct Listing {
    entries: BTreeMap<Position, Arc<Entry>>,
    counts: BTreeMap<(ExtensionType, bool), usize>,
    out_of_service: HashSet<ExtensionId>,
}

impl Listing {
    /// Adds an entry whose place is free.
    pub fn insert(&mut self, entry: Arc<Entry>) {
        self.note(&entry);
        self.entries.insert(position(entry.extension()), entry);
    }

    /// Adds all there are to an empty listing. At once, which fills the nodes of the tree: added in
    /// their order, one by one, they would leave them half empty.
    pub fn fill(&mut self, entries: impl Iterator<Item = Arc<Entry>>) {
        let placed = entries.map(|entry| {
            self.note(&entry);
            (position(entry.extension()), entry)
        });
        self.entries = placed.collect();
    }

    fn note(&mut self, entry: &Entry) {
        let extension = entry.extension();
        let count = self.counts.entry((extension.kind, extension.enabled));
        *count.or_default() += 1;
        if entry.admitted().is_err() {
            self.out_of_service.insert(extension.id.clone());
        }
    }

    /// Takes an entry out.
    pub fn remove(&mut self, extension: &Extension) {
        if self.entries.remove(&position(extension)).is_some() {
            self.out_of_service.remove(&extension.id);
            let count = self.counts.entry((extension.kind, extension.enabled));
            *count.or_default() -= 1;
        }
    }

    /// How many entries there are, by type and by whether they are enabled.
    pub fn count(&self, kind: Option<ExtensionType>, enabled: Option<bool>) -> usize {
        let all = self.counts.iter().filter(|((k, e), _)| {
            kind.is_none_or(|kind| kind == *k) && enabled.is_none_or(|x| x == *e)
        });
        all.map(|(_, count)| count).sum()
    }

    /// The ids of those that may not serve.
    pub fn out_of_service(&self) -> &HashSet<ExtensionId> {
        &self.out_of_service
    }

    /// The entries that `request` asks for.
    pub fn page(&self, request: &PageRequest) -> Page {
        let from = request.after.as_ref();
        let from = from.map_or(Bound::Unbounded, Bound::Excluded);
        let matching = |entry: &&Arc<Entry>| request.matches(entry.extension());
        let all = || self.entries.values().filter(matching);
        let after = self.entries.range((from, Bound::Unbounded));
        let mut matching = after.map(|(_, entry)| entry).filter(matching);
        let entries: Vec<_> = matching.by_ref().take(request.limit).cloned().collect();
        Page {
            entries,
            total: match &request.selector {
                None => self.count(request.kind, request.enabled),
                Some(_) => all().count(),
            },
            more: matching.next().is_some(),
        }
    }
}

fn position(extension: &Extension) -> Position {
    (extension.kind, extension.id.clone())
}

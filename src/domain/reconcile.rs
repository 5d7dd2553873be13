//! What has to change so that the catalog matches a source.
//!
//! Both ways of reading a source, everything or what changed, end in one [`Change`]; entries whose
//! record is the same are kept as they are, so a reload without changes touches nothing.

use std::collections::HashSet;
use std::sync::Arc;

use super::catalog::{ActiveSource, Catalog, Change};
use super::entry::{Entry, PrepareReply};
use super::extension::Extension;
use super::ids::ExtensionId;
use super::quarantine::{Fault, Quarantine};

/// Everything a source holds, read as of one moment.
#[derive(Debug)]
pub struct Everything {
    /// Which source.
    pub source: ActiveSource,
    /// The database's identity; `None` for fixtures.
    pub epoch: Option<Box<str>>,
    /// The source's revision; 0 for fixtures.
    pub revision: u64,
    /// The valid records.
    pub extensions: Vec<Extension>,
    /// What is not valid.
    pub faults: Vec<Fault>,
}

/// What a database changed after the catalog's revision, read as of one moment.
#[derive(Debug)]
pub struct Delta {
    /// The database's revision.
    pub revision: u64,
    /// Every id that was read again, whatever the result. As found: a faulty row's id may break
    /// the rules for ids, and has to be forgotten like any other when the row goes.
    pub touched: Vec<String>,
    /// The valid records among them; touched ids without one are gone or faulty.
    pub extensions: Vec<Extension>,
    /// What is not valid among them.
    pub faults: Vec<Fault>,
}

/// The change that makes the catalog equal to `everything`.
pub fn with_everything(
    catalog: &Catalog,
    everything: Everything,
    prepare: &PrepareReply,
) -> Change {
    Change {
        removals: absent(catalog.ids(), &everything.extensions),
        upserts: differing(catalog, everything.extensions, prepare),
        quarantine: Quarantine::new(everything.faults),
        source: everything.source,
        epoch: everything.epoch,
        revision: everything.revision,
    }
}

/// The change that brings the catalog up to `delta`.
pub fn with_delta(catalog: &Catalog, delta: Delta, prepare: &PrepareReply) -> Change {
    let head = catalog.head();
    let touched = delta.touched.iter();
    let touched = touched.filter_map(|id| ExtensionId::parse(id).ok());
    Change {
        removals: absent(touched, &delta.extensions),
        quarantine: catalog.quarantine().renewed(&delta.touched, delta.faults),
        upserts: differing(catalog, delta.extensions, prepare),
        source: head.source,
        epoch: head.epoch.clone(),
        revision: delta.revision,
    }
}

/// The ones among `ids` that no extension in `extensions` has.
fn absent(
    ids: impl IntoIterator<Item = ExtensionId>,
    extensions: &[Extension],
) -> Vec<ExtensionId> {
    let present: HashSet<_, foldhash::fast::RandomState> =
        extensions.iter().map(|it| &it.id).collect();
    let ids = ids.into_iter();
    ids.filter(|id| !present.contains(id)).collect()
}

fn differing(
    catalog: &Catalog,
    extensions: Vec<Extension>,
    prepare: &PrepareReply,
) -> Vec<Arc<Entry>> {
    let differs = |new: &Extension| {
        let old = catalog.get(&new.id);
        old.is_none_or(|old| old.extension() != new)
    };
    let differing = extensions.into_iter().filter(differs);
    let entries = differing.map(|new| Arc::new(Entry::new(new, prepare)));
    let mut entries: Vec<_> = entries.collect();
    // They were collected in the memory of the records, which is many times what they need.
    entries.shrink_to_fit();
    entries
}

#[cfg(test)]
#[path = "reconcile_tests.rs"]
mod tests;

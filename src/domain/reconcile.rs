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
    let present: HashSet<ExtensionId> = everything
        .extensions
        .iter()
        .map(|extension| extension.id.clone())
        .collect();
    Change {
        removals: catalog
            .ids()
            .into_iter()
            .filter(|id| !present.contains(id))
            .collect(),
        upserts: differing(catalog, everything.extensions, prepare),
        quarantine: Quarantine::new(everything.faults),
        source: everything.source,
        epoch: everything.epoch,
        revision: everything.revision,
    }
}

/// The change that brings the catalog up to `delta`.
pub fn with_delta(catalog: &Catalog, delta: Delta, prepare: &PrepareReply) -> Change {
    let present: HashSet<ExtensionId> = delta
        .extensions
        .iter()
        .map(|extension| extension.id.clone())
        .collect();
    let head = catalog.head();
    Change {
        quarantine: catalog.quarantine().renewed(&delta.touched, delta.faults),
        removals: delta
            .touched
            .iter()
            .filter_map(|id| ExtensionId::parse(id).ok())
            .filter(|id| !present.contains(id))
            .collect(),
        upserts: differing(catalog, delta.extensions, prepare),
        source: head.source,
        epoch: head.epoch.clone(),
        revision: delta.revision,
    }
}

fn differing(
    catalog: &Catalog,
    extensions: Vec<Extension>,
    prepare: &PrepareReply,
) -> Vec<Arc<Entry>> {
    extensions
        .into_iter()
        .filter(|new| {
            catalog
                .get(&new.id)
                .is_none_or(|old| old.extension() != new)
        })
        .map(|extension| Arc::new(Entry::new(extension, prepare)))
        .collect()
}

#[cfg(test)]
#[path = "reconcile_tests.rs"]
mod tests;

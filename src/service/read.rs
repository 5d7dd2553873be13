//! Reads for operators and tools: stored records, listings and explanations.

use std::sync::Arc;
use std::time::Instant;

use super::error::RegistryError;
use super::invoke::{Resting, Runtimes};
use super::lookup::{named, refused};
use super::selection::{Reason, Selector, Target, Wanted};
use crate::domain::breaker::{CircuitState, View};
use crate::domain::context::Context;
use crate::domain::entry::{Entry, Refusal};
use crate::domain::ids::InstanceId;
use crate::domain::listing::{Page, PageRequest};
use crate::domain::routing::Verdict;

/// How many entries a page has by default.
pub const DEFAULT_PAGE: usize = 100;
/// The most entries a page may have.
pub const MAX_PAGE: usize = 1000;

/// The choice that a lookup would make, with everything that led to it.
#[derive(Debug)]
pub struct Explanation {
    /// The extension that was asked for.
    pub entry: Arc<Entry>,
    /// The context, completed by the deployment's defaults.
    pub context: Context,
    /// What serves: a version of it, or of a fallback.
    pub target: Option<Target>,
    /// Why.
    pub reason: Reason,
    /// The circuits of the entry's candidates, in their order; by its rolling success rate a version
    /// gives way.
    pub circuits: Vec<Option<View>>,
    /// What rests, of what serves.
    pub resting: Vec<Resting>,
    /// Which instances are ejected, of what serves, and until when.
    pub ejected: Vec<(InstanceId, Instant)>,
    /// The catalog's revision.
    pub revision: u64,
}

impl Explanation {
    /// The verdict of each candidate on the context, in order.
    pub fn verdicts(&self) -> Vec<Verdict<'_>> {
        let extension = self.entry.extension();
        self.entry
            .candidates()
            .map(|candidate| candidate.verdict(extension, &self.context))
            .collect()
    }
}

/// Answers reads.
#[derive(Debug)]
pub struct Reads {
    selector: Arc<Selector>,
    runtimes: Arc<Runtimes>,
}

impl Reads {
    /// Reads that choose as `selector` does, and see what rests among `runtimes`.
    pub fn new(selector: Arc<Selector>, runtimes: Arc<Runtimes>) -> Self {
        Self { selector, runtimes }
    }

    /// The stored record of `id`, enabled or not, and the catalog's revision.
    pub fn get(&self, id: &str) -> Result<(Arc<Entry>, u64), RegistryError> {
        let revision = self.selector.catalog().revision();
        Ok((self.selector.entry(id)?, revision))
    }

    /// The state of an extension's circuit: its current version's.
    pub fn state(&self, entry: &Entry) -> CircuitState {
        let extension = entry.extension();
        self.selector.state(extension, &extension.version)
    }

    /// A page of the catalog and the revision it belongs to.
    pub fn list(&self, request: &PageRequest) -> (Page, u64) {
        self.selector.catalog().list(request)
    }

    /// The choice a lookup would make, and why.
    pub fn explain(
        &self,
        id: &str,
        version: Option<&str>,
        mut context: Context,
    ) -> Result<Explanation, RegistryError> {
        let named = named(version)?;
        let (entry, revision) = self.get(id)?;
        self.selector.complete(&mut context);
        let wanted = Wanted {
            version: named.as_ref(),
            context: &context,
            turns: None,
        };
        let catalog = self.selector.catalog();
        let selected = self.selector.select(&entry, wanted, |id| catalog.get(id));
        let (target, reason) = match selected {
            Ok(target) => {
                let reason = target.reason;
                (Some(target), reason)
            }
            Err(Refusal::NotTargeted) => (None, Reason::NotTargeted),
            Err(Refusal::Disabled | Refusal::AutoDisabled) => (None, Reason::Disabled),
            Err(refusal @ Refusal::VersionNotFound) => return Err(refused(id, version, refusal)),
        };
        let out = target.as_ref().map(|target| {
            let resolved = target.resolved();
            let (extension, version) = (resolved.extension, resolved.version);
            let (runtimes, of) = (&self.runtimes, (&extension.id, extension.incarnation));
            let resting = runtimes.resting(of, version);
            (resting, runtimes.ejected(of, version))
        });
        let (resting, ejected) = out.unwrap_or_default();
        let extension = entry.extension();
        let circuits = entry.candidates().map(|candidate| {
            let version = candidate.resolve(extension).version;
            self.selector.view(extension, version)
        });
        Ok(Explanation {
            circuits: circuits.collect(),
            entry,
            context,
            target,
            reason,
            resting,
            ejected,
            revision,
        })
    }
}

/// How many entries a page has, as a request asks for it. What is out of bounds was refused when it
/// was read.
pub fn page_limit(asked: Option<u64>) -> usize {
    let asked = asked.and_then(|asked| usize::try_from(asked).ok());
    asked.unwrap_or(DEFAULT_PAGE).min(MAX_PAGE)
}

#[cfg(test)]
#[path = "read_tests.rs"]
mod tests;

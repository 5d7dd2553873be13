//! Reads for people and tools: stored records, listings and explanations.

use std::sync::Arc;

use super::error::{NotFoundReason, RegistryError};
use super::lookup::{Lookups, refused};
use crate::domain::catalog::Catalog;
use crate::domain::context::Context;
use crate::domain::entry::{Entry, Refusal};
use crate::domain::extension::ExtensionType;
use crate::domain::ids::{ExtensionId, VersionName};
use crate::domain::listing::{Page, PageRequest, Position};
use crate::domain::routing::{Tier, Verdict};

/// How many entries a page has unless the request says otherwise.
pub const DEFAULT_PAGE: usize = 100;
/// The most entries a page may have.
pub const MAX_PAGE: usize = 1000;

/// What a listing asks for.
#[derive(Debug, Clone)]
pub struct ListQuery {
    /// Only this type.
    pub kind: Option<ExtensionType>,
    /// Only enabled ones, or only others; `None` for all.
    pub enabled: Option<bool>,
    /// At most so many; `None` for [`DEFAULT_PAGE`].
    pub limit: Option<u64>,
    /// Only entries after this place.
    pub after: Option<Position>,
}

/// Why a request is served by the version it is served by, or by none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Rules matched.
    TargetingMatch,
    /// A rollout's bucket is in.
    Rollout,
    /// Neither rules nor a rollout were needed.
    Default,
    /// No version takes part.
    NotTargeted,
    /// People or the machine disabled it.
    Disabled,
    /// Another extension stands in for it.
    Fallback,
    /// Its circuit is open, and nothing stands in for it.
    CircuitOpen,
}

impl Reason {
    /// The reason as it stands in the document.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TargetingMatch => "targeting_match",
            Self::Rollout => "rollout",
            Self::Default => "default",
            Self::NotTargeted => "not_targeted",
            Self::Disabled => "disabled",
            Self::Fallback => "fallback",
            Self::CircuitOpen => "circuit_open",
        }
    }
}

/// The choice that a lookup would make, with everything that led to it.
#[derive(Debug)]
pub struct Explanation {
    /// The extension.
    pub entry: Arc<Entry>,
    /// The context, completed by the deployment's defaults.
    pub context: Context,
    /// Which of the entry's candidates serves.
    pub chosen: Option<usize>,
    /// Why.
    pub reason: Reason,
    /// The catalog's revision.
    pub revision: u64,
}

impl Explanation {
    /// What each candidate, in order, says to the context.
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
    catalog: Arc<Catalog>,
    lookups: Arc<Lookups>,
}

impl Reads {
    /// Reads of `catalog`, choosing versions as `lookups` does.
    pub fn new(catalog: Arc<Catalog>, lookups: Arc<Lookups>) -> Self {
        Self { catalog, lookups }
    }

    /// The stored record of `id`, enabled or not, and the catalog's revision.
    pub fn get(&self, id: &str) -> Result<(Arc<Entry>, u64), RegistryError> {
        let revision = self.catalog.revision();
        if let Some(entry) = self.catalog.get(id) {
            return Ok((entry, revision));
        }
        ExtensionId::parse(id).map_err(|rule| RegistryError::field("id", rule))?;
        let quarantined = self.catalog.quarantine().holds(id);
        let reason = if quarantined {
            NotFoundReason::Quarantined
        } else {
            NotFoundReason::Unknown
        };
        Err(RegistryError::ExtensionNotFound {
            id: id.to_owned(),
            reason,
        })
    }

    /// A page of the catalog and the revision it belongs to.
    pub fn list(&self, query: &ListQuery) -> Result<(Page, u64), RegistryError> {
        let limit = query.limit.unwrap_or(DEFAULT_PAGE as u64);
        let limit = usize::try_from(limit)
            .ok()
            .filter(|limit| (1..=MAX_PAGE).contains(limit));
        let limit = limit.ok_or_else(|| {
            RegistryError::field("limit", format!("must be from 1 to {MAX_PAGE}"))
        })?;
        let after = query.after.as_ref();
        Ok(self.catalog.list(&PageRequest {
            kind: query.kind,
            enabled: query.enabled,
            after,
            limit,
        }))
    }

    /// The choice a lookup would make, and why.
    pub fn explain(
        &self,
        id: &str,
        version: Option<&str>,
        mut context: Context,
    ) -> Result<Explanation, RegistryError> {
        let (entry, revision) = self.get(id)?;
        self.lookups.complete(&mut context);
        let chosen = match version {
            None => entry.choose(&context),
            Some(version) => {
                let name = VersionName::parse(version)
                    .map_err(|rule| RegistryError::field("version", rule))?;
                entry.choose_version(&name)
            }
        };
        let (chosen, reason) = match chosen {
            Ok(chosen) => {
                let position = entry
                    .candidates()
                    .position(|c| std::ptr::eq(c, chosen.candidate));
                let reason = if version.is_some() {
                    // Asked for by name: neither rules nor a rollout were looked at.
                    Reason::Default
                } else {
                    reason(chosen.candidate.tier())
                };
                (position, reason)
            }
            Err(Refusal::NotTargeted) => (None, Reason::NotTargeted),
            Err(Refusal::Disabled | Refusal::AutoDisabled) => (None, Reason::Disabled),
            Err(refusal @ Refusal::VersionNotFound) => return Err(refused(id, version, refusal)),
        };
        Ok(Explanation {
            entry,
            context,
            chosen,
            reason,
            revision,
        })
    }
}

const fn reason(tier: Tier) -> Reason {
    match tier {
        Tier::Targeting => Reason::TargetingMatch,
        Tier::Rollout => Reason::Rollout,
        Tier::Default => Reason::Default,
    }
}

#[cfg(test)]
#[path = "read_tests.rs"]
mod tests;

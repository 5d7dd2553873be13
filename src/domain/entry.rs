//! One id of the catalog: everything a lookup needs, immutable, under one key.

use bytes::Bytes;

use super::breaker::CircuitState;
use super::context::Context;
use super::extension::{Extension, Version};
use super::ids::VersionName;
use super::rollout::Halt;
use super::routing::{self, Candidate, Resolved, Tier};

/// The state of a circuit in a prepared reply.
const CLOSED: &str = CircuitState::Closed.as_str();

/// A reply made ready when the record was applied, so that a lookup builds nothing.
#[derive(Debug, Clone)]
pub struct PreparedReply {
    /// The whole reply of a version whose circuit is closed.
    pub bytes: Bytes,
    /// Where in it the name of the circuit's state begins.
    pub state_at: usize,
}

impl PreparedReply {
    /// The reply of a version whose circuit is in `state`: without a copy where that is closed.
    pub fn in_state(&self, state: CircuitState) -> Bytes {
        let (start, end) = (self.state_at, self.state_at + CLOSED.len());
        match (self.bytes.get(..start), self.bytes.get(end..)) {
            (Some(before), Some(after)) if state != CircuitState::Closed => {
                [before, state.as_str().as_bytes(), after].concat().into()
            }
            _ => self.bytes.clone(),
        }
    }
}

/// Makes the reply of one version; the wire format belongs to an outer layer.
pub type PrepareReply = dyn Fn(&Resolved<'_>) -> PreparedReply + Send + Sync;

/// An extension with its versions in routing order and a prepared reply for each.
#[derive(Debug)]
pub struct Entry {
    extension: Extension,
    candidates: Box<[(Candidate, PreparedReply)]>,
    halts: bool,
}

/// Why an entry does not serve a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Disabled by an operator.
    Disabled,
    /// Auto-disabled.
    AutoDisabled,
    /// No version takes part for this context.
    NotTargeted,
    /// The version asked for does not exist or is disabled.
    VersionNotFound,
}

/// The version that serves, and its reply.
#[derive(Debug, Clone, Copy)]
pub struct Chosen<'a> {
    /// The version.
    pub candidate: &'a Candidate,
    /// Its prepared reply.
    pub reply: &'a PreparedReply,
}

impl Entry {
    /// Puts versions into order and prepares their replies.
    pub fn new(extension: Extension, prepare: &PrepareReply) -> Self {
        let candidates = routing::candidates(&extension).into_iter();
        let candidates = candidates.map(|candidate| {
            let reply = prepare(&candidate.resolve(&extension));
            (candidate, reply)
        });
        let candidates = candidates.collect();
        Self {
            halts: extension.versions.iter().any(Version::halts),
            extension,
            candidates,
        }
    }

    /// The stored record.
    pub fn extension(&self) -> &Extension {
        &self.extension
    }

    /// Every version, in the order in which they are tried.
    pub fn candidates(&self) -> impl Iterator<Item = &Candidate> {
        self.candidates.iter().map(|(candidate, _)| candidate)
    }

    /// The same, each with whether some context could choose it: of those without rules and rollout
    /// only the first is ever reached.
    pub fn taking_part(&self) -> impl Iterator<Item = (&Candidate, bool)> {
        let mut reached = false;
        self.candidates().map(move |candidate| {
            let takes_part = candidate.has_share(&self.extension) && !reached;
            reached |= takes_part && candidate.tier() == Tier::Default;
            (candidate, takes_part)
        })
    }

    /// Whether `version` is one of them.
    pub fn has(&self, version: &VersionName) -> bool {
        let mut all = self.candidates();
        all.any(|candidate| candidate.resolve(&self.extension).version == version)
    }

    /// Whether one of its versions may have to give up its share.
    pub fn halts(&self) -> bool {
        self.halts
    }

    /// When `version` gives up its share by itself; `None` where it has none, or is the current one.
    pub fn halt(&self, version: &VersionName) -> Option<Halt> {
        let mut rows = self.extension.versions.iter();
        let row = rows.find(|row| row.version == *version && *version != self.extension.version)?;
        let rollout = row.rollout.as_ref().filter(|it| !it.is_nobodys())?;
        rollout.halt().filter(|_| row.enabled)
    }

    /// Whether there is no other version than the current one.
    pub fn has_one_version(&self) -> bool {
        self.candidates.len() == 1
    }

    /// The current version, whether or not it serves.
    pub fn current(&self) -> Option<Chosen<'_>> {
        self.first(Candidate::is_current)
    }

    /// Whether the request's context can make a difference: to its own versions, or to a fallback's.
    pub fn needs_context(&self) -> bool {
        let first = self.candidates.first();
        let unconditional = first.is_some_and(|(candidate, _)| candidate.is_unconditional());
        !unconditional || !self.extension.fallback.is_empty()
    }

    /// The reply to every request that names no version, where neither the context nor anything else
    /// in the request can make a difference.
    pub fn unconditional(&self) -> Option<&PreparedReply> {
        let (first, reply) = self.candidates.first()?;
        (self.admitted().is_ok() && first.is_unconditional()).then_some(reply)
    }

    /// Whether it is enabled and not auto-disabled.
    pub fn admitted(&self) -> Result<(), Refusal> {
        match (self.extension.enabled, self.extension.auto_disabled) {
            (false, _) => Err(Refusal::Disabled),
            (true, true) => Err(Refusal::AutoDisabled),
            (true, false) => Ok(()),
        }
    }

    /// The version that serves a request with this context.
    pub fn choose(&self, context: &Context) -> Result<Chosen<'_>, Refusal> {
        self.admitted()?;
        self.first(|candidate| candidate.takes_part(&self.extension, context))
            .ok_or(Refusal::NotTargeted)
    }

    /// The named version, regardless of its rules, as long as it is enabled.
    pub fn choose_version(&self, version: &VersionName) -> Result<Chosen<'_>, Refusal> {
        self.admitted()?;
        let chosen = self.first(|candidate| {
            candidate.enabled() && candidate.resolve(&self.extension).version == version
        });
        chosen.ok_or(Refusal::VersionNotFound)
    }

    fn first(&self, is_wanted: impl Fn(&Candidate) -> bool) -> Option<Chosen<'_>> {
        let mut all = self.candidates.iter();
        let (candidate, reply) = all.find(|(candidate, _)| is_wanted(candidate))?;
        Some(Chosen { candidate, reply })
    }
}

#[cfg(test)]
#[path = "entry_tests.rs"]
mod tests;

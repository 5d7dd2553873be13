//! Which version of an extension serves a request: section 4 of the contract, steps 2 to 5.
//!
//! Candidates are put into order once, when a record is applied; a request takes the first that
//! takes part. That keeps a lookup free of sorting and makes the order visible in `explain`.

use std::cmp::Reverse;

use super::context::Context;
use super::extension::{Extension, Instance, Version};
use super::ids::VersionName;
use super::json::JsonObject;
use super::rollout::Rollout;
use super::rules::Rules;
use super::subject::Subject;
use super::version_order;

/// Why a candidate is preferred; lower goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tier {
    /// It has rules, and they match.
    Targeting,
    /// It has no rules but a rollout, and the request is in.
    Rollout,
    /// It has neither.
    Default,
}

/// One version that may serve, with its place in the order.
#[derive(Debug, Clone)]
pub struct Candidate {
    is_current: bool,
    /// The position of its row of `extension_versions`; the current version may do without.
    row: Option<u32>,
    tier: Tier,
    enabled: bool,
}

/// The fields of one version, its own or the extension's.
#[derive(Debug, Clone, Copy)]
pub struct Resolved<'a> {
    /// The extension.
    pub extension: &'a Extension,
    /// The version's name.
    pub version: &'a VersionName,
    /// Where it listens.
    pub subject: &'a Subject,
    /// How long a caller waits, in milliseconds.
    pub timeout_ms: u32,
    /// Attempts after the first.
    pub retry: u32,
    /// Settings handed to the extension.
    pub config: &'a JsonObject,
    /// Settings and notes.
    pub metadata: &'a JsonObject,
}

impl<'a> Resolved<'a> {
    /// The version's instances that may be called.
    pub fn instances(&self) -> impl Iterator<Item = &'a Instance> + Clone + use<'a> {
        let (all, version) = (self.extension.instances.iter(), self.version);
        all.filter(move |instance| instance.serves() && instance.version == *version)
    }
}

/// The verdict of one candidate on one context.
#[derive(Debug)]
pub struct Verdict<'a> {
    /// Each rule's key and whether it matched.
    pub rules: Vec<(&'a str, bool)>,
    /// Each rollout's bucket (`None`: the context lacks the key) and whether it is in.
    pub rollouts: Vec<(Option<u64>, bool)>,
    /// Whether the candidate takes part.
    pub takes_part: bool,
}

/// Puts the versions of `extension` into the order in which they are tried.
pub fn candidates(extension: &Extension) -> Box<[Candidate]> {
    let rows = &extension.versions;
    let row = rows.iter().position(|row| row.version == extension.version);
    let others = (0..rows.len()).filter(|i| Some(*i) != row);
    let others = others.map(|i| Candidate::new(extension, false, Some(i)));
    let mut all = vec![Candidate::new(extension, true, row)];
    all.extend(others);
    // The sort is stable and the current version comes first: it wins every tie.
    all.sort_by(|a, b| {
        let rank = |c: &Candidate| {
            let (priority, keys) = match c.tier {
                Tier::Targeting => (c.priority(extension), c.keys(extension)),
                Tier::Rollout => (c.priority(extension), 0),
                Tier::Default => (0, 0),
            };
            (c.tier, Reverse(priority), Reverse(keys))
        };
        rank(a).cmp(&rank(b)).then_with(|| {
            let name = |c: &Candidate| c.resolve(extension).version.clone();
            version_order::compare(name(b).as_str(), name(a).as_str())
        })
    });
    all.into()
}

impl Candidate {
    fn new(extension: &Extension, is_current: bool, row: Option<usize>) -> Self {
        let mut candidate = Self {
            is_current,
            row: row.and_then(|row| u32::try_from(row).ok()),
            tier: Tier::Default,
            enabled: true,
        };
        let row = candidate.row(extension);
        candidate.enabled = row.is_none_or(|row| row.enabled);
        if candidate.rules(extension).next().is_some() {
            candidate.tier = Tier::Targeting;
        } else if candidate.rollouts(extension).next().is_some() {
            candidate.tier = Tier::Rollout;
        }
        candidate
    }

    fn row<'e>(&self, extension: &'e Extension) -> Option<&'e Version> {
        extension.versions.get(self.row? as usize)
    }

    /// The row with its fields, where those are not the extension's own.
    fn own_row<'e>(&self, extension: &'e Extension) -> Option<&'e Version> {
        self.row(extension).filter(|_| !self.is_current)
    }

    fn rules<'e>(&self, extension: &'e Extension) -> impl Iterator<Item = &'e Rules> {
        let own = extension.routing_rules.as_deref();
        let row = self.row(extension);
        let row = row.and_then(|row| row.routing_rules.as_deref());
        let all = own.filter(|_| self.is_current).into_iter().chain(row);
        all.filter(|rules| rules.keys() > 0)
    }

    fn rollouts<'e>(&self, extension: &'e Extension) -> impl Iterator<Item = &'e Rollout> {
        let own = extension.rollout.as_deref();
        let row = self.row(extension);
        let row = row.and_then(|row| row.rollout.as_deref());
        own.filter(|_| self.is_current).into_iter().chain(row)
    }

    /// Why this candidate would be chosen.
    pub fn tier(&self) -> Tier {
        self.tier
    }

    /// Whether operators have it enabled.
    pub fn enabled(&self) -> bool {
        self.enabled
    }

    /// Whether it is the extension's current version.
    pub fn is_current(&self) -> bool {
        self.is_current
    }

    /// Its priority; the current version's is 0.
    pub fn priority(&self, extension: &Extension) -> i32 {
        self.own_row(extension).map_or(0, |row| row.priority)
    }

    /// Whether every request is served by it, whatever its context.
    pub fn is_unconditional(&self) -> bool {
        self.enabled && self.tier == Tier::Default
    }

    fn keys(&self, extension: &Extension) -> usize {
        self.rules(extension).map(Rules::keys).sum()
    }

    /// Whether it serves a request with this context.
    pub fn takes_part(&self, extension: &Extension, context: &Context) -> bool {
        let mut rules = self.rules(extension);
        self.enabled
            && rules.all(|rules| rules.matches(context))
            && self.rollouts(extension).all(|rollout| {
                let bucket = rollout.bucket(extension.id.as_str(), context);
                bucket.is_some_and(|bucket| rollout.admits(bucket))
            })
    }

    /// Whether it may serve any request at all: it is enabled, and its rollout is not 0.
    pub fn has_share(&self, extension: &Extension) -> bool {
        self.enabled && !self.rollouts(extension).any(Rollout::is_nobodys)
    }

    /// The same decision as [`Candidate::takes_part`], with its reasons.
    pub fn verdict<'a>(&self, extension: &'a Extension, context: &Context) -> Verdict<'a> {
        let rules = self.rules(extension);
        let rollouts = self.rollouts(extension).map(|rollout| {
            let bucket = rollout.bucket(extension.id.as_str(), context);
            (bucket, bucket.is_some_and(|bucket| rollout.admits(bucket)))
        });
        Verdict {
            rules: rules.flat_map(|rules| rules.verdicts(context)).collect(),
            rollouts: rollouts.collect(),
            takes_part: self.takes_part(extension, context),
        }
    }

    /// The fields a caller gets when this candidate serves.
    pub fn resolve<'a>(&self, extension: &'a Extension) -> Resolved<'a> {
        let own = self.own_row(extension);
        let timeout_ms = own.and_then(|row| row.timeout_ms);
        let retry = own.and_then(|row| row.retry);
        let config = own.and_then(|row| row.config.as_ref());
        let metadata = own.and_then(|row| row.metadata.as_ref());
        Resolved {
            extension,
            version: own.map_or(&extension.version, |row| &row.version),
            subject: own.map_or(&extension.subject, |row| &row.subject),
            timeout_ms: timeout_ms.unwrap_or(extension.timeout_ms),
            retry: retry.unwrap_or(extension.retry),
            config: config.unwrap_or(&extension.config),
            metadata: metadata.unwrap_or(&extension.metadata),
        }
    }
}

#[cfg(test)]
#[path = "routing_tests.rs"]
mod tests;

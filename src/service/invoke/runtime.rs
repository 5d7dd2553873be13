//! What one extension needs while it is called: health, budget, places, turns of its instances.
//!
//! It lives apart from the catalog and survives reloads. What follows from the record (limits,
//! breaker settings) is derived once per record and kept until another one is applied.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;

use super::limits::Limits;
use super::meter::{InvocationMeter, Status, Summary};
use super::places::Places;
use super::versions::Versions;
use crate::domain::balancer::Balancer;
use crate::domain::call_rules::CallRules;
use crate::domain::catalog::Catalog;
use crate::domain::entry::Entry;
use crate::domain::extension::{Extension, Whose};
use crate::domain::health::ExtensionHealth;
use crate::domain::ids::{ExtensionId, VersionName};
use crate::domain::lock::locked;
use crate::domain::retry::RetryBudget;

/// The running side of one extension.
#[derive(Debug)]
pub struct Runtime {
    /// Whose it is.
    pub id: ExtensionId,
    /// Another extension of the same id has one of its own.
    pub whose: Whose,
    /// The outcomes of calls.
    pub health: ExtensionHealth,
    /// What callers got.
    pub meter: InvocationMeter,
    /// The same of each version.
    pub versions: Versions,
    budget: Mutex<RetryBudget>,
    /// Of its calls.
    pub places: Arc<Places>,
    setup: ArcSwap<Setup>,
}

/// What follows from the record that is in force.
#[derive(Debug)]
pub struct Setup {
    entry: Arc<Entry>,
    /// Sizes, places and breaker settings.
    pub limits: Limits,
    parts: Vec<Part>,
}

/// What follows for one version.
#[derive(Debug)]
struct Part {
    version: VersionName,
    balancer: Arc<Mutex<Balancer>>,
    rules: CallRules,
}

impl Runtime {
    /// The running side of an extension that has not been called yet.
    pub fn new(entry: &Arc<Entry>, defaults: &Limits, now: Instant) -> Self {
        Self {
            id: entry.extension().id.clone(),
            whose: Whose::of(entry.extension()),
            health: ExtensionHealth::new(now),
            meter: InvocationMeter::default(),
            budget: Mutex::default(),
            versions: Versions::default(),
            places: Arc::default(),
            setup: ArcSwap::from_pointee(Setup::new(entry, defaults, &[])),
        }
    }

    /// What follows from `entry`, derived anew when it is another one than before.
    pub fn setup(&self, entry: &Arc<Entry>, defaults: &Limits) -> Arc<Setup> {
        let setup = self.setup.load_full();
        if Arc::ptr_eq(&setup.entry, entry) {
            return setup;
        }
        let renewed = Arc::new(Setup::new(entry, defaults, &setup.parts));
        self.setup.store(Arc::clone(&renewed));
        renewed
    }

    /// What followed from the record that the last call met.
    pub fn current_setup(&self) -> Arc<Setup> {
        self.setup.load_full()
    }

    /// Whether `version` is the current one, whose circuit and success rate are the extension's: now,
    /// not when a call of it began.
    pub fn is_current(&self, version: &VersionName) -> bool {
        self.setup.load().entry.extension().version == *version
    }

    /// Counts a call of `version` that is over, and the time that it took as a whole.
    pub fn called(&self, version: &VersionName, status: Status, took: Duration) {
        self.meter.statuses.count(status);
        self.versions.of(version).meter.record(status, took);
    }

    /// Calls under way.
    pub fn in_flight(&self) -> usize {
        self.places.taken()
    }

    /// The budget of retries.
    pub fn budget(&self) -> MutexGuard<'_, RetryBudget> {
        locked(&self.budget)
    }
}

impl Setup {
    fn new(entry: &Arc<Entry>, defaults: &Limits, before: &[Part]) -> Self {
        let extension = entry.extension();
        let own = CallRules::read(&extension.metadata).0;
        let parts = entry.candidates().map(|candidate| {
            let resolved = candidate.resolve(extension);
            let kept = before.iter().find(|part| part.version == *resolved.version);
            let kept = kept.map(|part| Arc::clone(&part.balancer));
            Part {
                version: resolved.version.clone(),
                balancer: kept.unwrap_or_default(),
                rules: match std::ptr::eq(resolved.metadata, &extension.metadata) {
                    true => own,
                    false => CallRules::read(resolved.metadata).0,
                },
            }
        });
        Self {
            entry: Arc::clone(entry),
            limits: Limits::of(extension, defaults),
            parts: parts.collect(),
        }
    }

    /// How calls of a version go.
    pub fn rules(&self, version: &VersionName) -> CallRules {
        let part = self.part(version);
        part.map(|part| part.rules).unwrap_or_default()
    }

    /// The turns of a version's instances.
    pub fn balancer(&self, version: &VersionName) -> Option<MutexGuard<'_, Balancer>> {
        let balancer = self.shared_balancer(version)?;
        Some(locked(balancer))
    }

    /// The same, for callers that keep it.
    pub(super) fn shared_balancer(&self, version: &VersionName) -> Option<&Arc<Mutex<Balancer>>> {
        self.part(version).map(|part| &part.balancer)
    }

    fn part(&self, version: &VersionName) -> Option<&Part> {
        self.parts.iter().find(|part| part.version == *version)
    }
}

/// The running sides of all extensions that were called.
#[derive(Debug)]
pub struct Runtimes {
    map: papaya::HashMap<ExtensionId, Arc<Runtime>, foldhash::fast::RandomState>,
    defaults: Limits,
    /// What callers got of extensions that are forgotten: a count does not fall. Locked while one goes,
    /// so that no sum has it twice, or not at all.
    forgotten: Mutex<Summary>,
}

impl Runtimes {
    /// None yet.
    pub fn new(defaults: Limits) -> Self {
        Self {
            map: papaya::HashMap::with_hasher(foldhash::fast::RandomState::default()),
            defaults,
            forgotten: Mutex::default(),
        }
    }

    /// What applies where an extension sets nothing.
    pub fn defaults(&self) -> &Limits {
        &self.defaults
    }

    /// The running side of an extension, made at its first call. A call of an extension that was
    /// replaced by another with its id gets one of its own, which nobody else sees.
    pub fn of(&self, entry: &Arc<Entry>) -> Arc<Runtime> {
        let extension = entry.extension();
        let pinned = self.map.pin();
        let make = || Arc::new(Runtime::new(entry, &self.defaults, Instant::now()));
        let runtime = match pinned.get(&extension.id) {
            Some(runtime) => runtime,
            None => pinned.get_or_insert_with(extension.id.clone(), make),
        };
        if runtime.whose.is(extension) {
            return Arc::clone(runtime);
        }
        let own = make();
        let revision = runtime.current_setup().entry.extension().revision;
        if revision < extension.revision {
            // A call that chose its version before the extension was made anew made it since then.
            let mut forgotten = locked(&self.forgotten);
            if let Some(old) = pinned.insert(extension.id.clone(), Arc::clone(&own)) {
                forgotten.add(&old.meter, 0);
            }
        }
        own
    }

    /// What follows from the record of `entry` for its calls.
    pub fn setup(&self, entry: &Arc<Entry>) -> Arc<Setup> {
        self.of(entry).setup(entry, &self.defaults)
    }

    /// The same, for dry runs and explanations: nothing is kept of an extension that was
    /// not called yet.
    pub fn glance(&self, entry: &Arc<Entry>) -> Arc<Setup> {
        match self.known(entry.extension()) {
            Some(runtime) => runtime.setup(entry, &self.defaults),
            None => Arc::new(Setup::new(entry, &self.defaults, &[])),
        }
    }

    /// The running side of this extension, and of none that had its id before, if it was called.
    pub fn known(&self, extension: &Extension) -> Option<Arc<Runtime>> {
        let runtime = self.get(extension.id.as_str());
        runtime.filter(|runtime| runtime.whose.is(extension))
    }

    /// The running side of an extension, if it was called.
    pub fn get(&self, id: &str) -> Option<Arc<Runtime>> {
        self.map.pin().get(id).cloned()
    }

    /// Forgets the extensions that `catalog` does not have, or has another one of their id instead.
    /// What is in quarantine may come back.
    pub fn follow(&self, catalog: &Catalog) {
        let quarantine = catalog.quarantine();
        let goes = |id: &ExtensionId, runtime: &Arc<Runtime>| match catalog.get(id) {
            Some(entry) => {
                runtime.versions.retain(|version| entry.has(version));
                !runtime.whose.is(entry.extension())
            }
            None => !quarantine.holds(id.as_str()),
        };
        let pinned = self.map.pin();
        let mut forgotten = locked(&self.forgotten);
        for id in pinned.keys() {
            if let Ok(Some((_, runtime))) = pinned.remove_if(id, goes) {
                forgotten.add(&runtime.meter, 0);
            }
        }
    }

    /// What all callers got since the start.
    pub fn summary(&self) -> Summary {
        let forgotten = locked(&self.forgotten);
        let mut summary = forgotten.clone();
        for runtime in self.map.pin().values() {
            summary.add(&runtime.meter, runtime.in_flight());
        }
        summary
    }

    /// The ids of all of them.
    pub fn ids(&self) -> Vec<ExtensionId> {
        self.map.pin().keys().cloned().collect()
    }

    /// All running sides, by id.
    pub fn all(&self) -> Vec<Arc<Runtime>> {
        let mut all: Vec<_> = self.map.pin().values().cloned().collect();
        all.sort_by(|a, b| a.id.cmp(&b.id));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::catalog::Change;
    use crate::domain::testing::{change, entry, extension};
    use crate::service::testing::tools;

    #[test]
    fn what_callers_got_is_counted_still_when_the_extension_is_gone() {
        let (catalog, mut writer) = Catalog::new();
        let tools = tools(catalog);
        writer.apply(Change {
            upserts: vec![entry(extension("e"))],
            ..change(1)
        });
        let called = tools.selector.catalog().get("e").unwrap();
        let extension = called.extension();
        let runtime = tools.runtimes.of(&called);
        runtime.called(&extension.version, Status::Success, Duration::ZERO);
        let successes = || tools.runtimes.summary().of(Status::Success);
        assert_eq!(successes(), 1);
        writer.apply(Change {
            removals: vec![extension.id.clone()],
            ..change(2)
        });
        tools.runtimes.follow(tools.selector.catalog());
        assert!(tools.runtimes.get("e").is_none());
        assert_eq!(successes(), 1);
    }
}

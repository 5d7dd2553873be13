//! What this sidecar knows of each extension, read at each scrape.
//!
//! The catalog decides which series there are: they go with their extension, and no request can
//! make one. They begin with the first call; a success rate without calls is absent, not 0. Rates
//! and averages are this sidecar's own, since its start, rates since a reset: Prometheus adds sidecars
//! up by itself.
//!
//! `extension_circuit_breaker_failures_total` counts, as in the original, every failed attempt, not
//! every opening, and `..._recoveries_total` the times that a trial call closed a circuit; one that
//! an operator closed has not recovered.

use std::fmt::Error;
use std::sync::Arc;

use super::collector::Sources;
use super::page::{ConstHistogram, Page};
use crate::domain::breaker::CircuitState;
use crate::domain::entry::Entry;
use crate::domain::health::HealthSums;
use crate::domain::listing::PageRequest;
use crate::service::circuits::Circuit;
use crate::service::invoke::{Runtime, VersionRuntime};
use crate::service::meter::Counter;

type Labels<'a, const N: usize> = [(&'static str, &'a str); N];

/// An extension that was called, or that is auto-disabled.
struct Extension {
    entry: Arc<Entry>,
    calls: Option<Calls>,
}

/// The outcomes of calls.
struct Calls {
    runtime: Arc<Runtime>,
    sums: HealthSums,
    /// Of each version that the extension has and that was called.
    versions: Vec<OfVersion>,
}

/// The outcomes of calls of one version.
struct OfVersion {
    runtime: Arc<VersionRuntime>,
    durations: ConstHistogram,
}

impl Calls {
    /// None where a runtime was made without a call, as for a circuit that was forced, or a probe.
    fn of(entry: &Entry, runtime: Arc<Runtime>) -> Option<Self> {
        let versions = runtime.versions.all();
        let versions = versions.iter().filter(|it| entry.has(&it.version));
        let versions = versions.map(|it| {
            let (sum, buckets) = it.meter.durations();
            OfVersion {
                runtime: Arc::clone(it),
                durations: ConstHistogram::of_seconds(sum, buckets),
            }
        });
        let calls = Self {
            sums: runtime.health.sums(),
            versions: versions.collect(),
            runtime,
        };
        let any = calls.sums.counts.total() > 0
            || calls.invoked().next().is_some()
            || calls.runtime.meter.fallbacks.get() > 0
            || calls.runtime.in_flight() > 0;
        any.then_some(calls)
    }

    /// Versions that were called here. What routers call themselves, and report, is no invocation.
    fn invoked(&self) -> impl Iterator<Item = &OfVersion> {
        let versions = self.versions.iter();
        versions.filter(|it| it.durations.count() > 0)
    }
}

impl Sources {
    pub(super) fn extensions(&self, page: &mut Page<'_>) -> Result<(), Error> {
        let extensions = self.known();
        self.circuits(&extensions, page)?;
        health(&extensions, page)?;
        invocations(&extensions, page)
    }

    fn known(&self) -> Vec<Extension> {
        let (all, _) = self.selector.catalog.list(&PageRequest {
            limit: usize::MAX,
            ..PageRequest::default()
        });
        let all = all.entries.into_iter().map(|entry| {
            let runtime = self.stats.runtimes.known(entry.extension());
            let calls = runtime.and_then(|runtime| Calls::of(&entry, runtime));
            Extension { entry, calls }
        });
        all.filter(|known| known.calls.is_some() || known.entry.extension().auto_disabled)
            .collect()
    }

    fn circuits(&self, extensions: &[Extension], page: &mut Page<'_>) -> Result<(), Error> {
        let now = self.selector.clock.tick();
        let mut circuits = Vec::new();
        for Extension { entry, .. } in extensions {
            let extension = entry.extension();
            for candidate in entry.candidates() {
                let version = candidate.resolve(extension).version;
                if let Some(circuit) = self.selector.circuits.of(extension, version) {
                    let (id, version) = (extension.id.as_str(), version.as_str());
                    let labels = [("extension_id", id), ("version", version)];
                    circuits.push((labels, circuit.view(now).state, circuit));
                }
            }
        }
        let states = circuits.iter();
        let states = states.map(|(labels, state, _)| (*labels, number(*state)));
        page.gauges("extension_circuit_breaker_state", states)?;
        let counts = |count: fn(&Circuit) -> &Counter| {
            let circuits = circuits.iter();
            circuits.map(move |(labels, _, circuit)| (*labels, count(circuit).get()))
        };
        let failures = counts(|circuit| &circuit.failures);
        page.counters("extension_circuit_breaker_failures", failures)?;
        let recoveries = counts(|circuit| &circuit.recoveries);
        page.counters("extension_circuit_breaker_recoveries", recoveries)?;
        page.counters("extension_pushed_back", counts(|it| &it.pushed_back))
    }
}

impl Extension {
    fn labels(&self) -> Labels<'_, 1> {
        [("extension_id", self.entry.extension().id.as_str())]
    }
}

/// Those that were called, with their labels.
fn called(extensions: &[Extension]) -> impl Iterator<Item = (Labels<'_, 1>, &Calls)> {
    let called = extensions.iter();
    called.filter_map(|known| Some((known.labels(), known.calls.as_ref()?)))
}

/// The versions that were called here, with their labels.
fn versions(extensions: &[Extension]) -> impl Iterator<Item = (Labels<'_, 2>, &OfVersion)> {
    called(extensions).flat_map(|([id], calls)| {
        let invoked = calls.invoked();
        invoked.map(move |it| ([id, ("version", it.runtime.version.as_str())], it))
    })
}

fn health(extensions: &[Extension], page: &mut Page<'_>) -> Result<(), Error> {
    let rates = called(extensions).filter_map(|(labels, calls)| {
        let lately = calls.runtime.health.outcomes.since_reset();
        Some((labels, lately.success_rate()?))
    });
    page.gauges("extension_health_success_rate", rates)?;
    let latencies_ms = called(extensions).filter_map(|(labels, calls)| {
        let latency = calls.sums.avg_latency()?;
        Some((labels, latency.as_secs_f64() * 1e3))
    });
    page.gauges("extension_health_avg_latency_ms", latencies_ms)?;
    let auto_disabled = extensions.iter().map(|known| {
        let auto_disabled = known.entry.extension().auto_disabled;
        (known.labels(), u64::from(auto_disabled))
    });
    page.gauges("extension_auto_disabled", auto_disabled)
}

fn invocations(extensions: &[Extension], page: &mut Page<'_>) -> Result<(), Error> {
    let statuses = versions(extensions).flat_map(|([id, version], calls)| {
        let statuses = calls.runtime.meter.statuses();
        statuses.map(move |(status, count)| ([id, version, ("status", status.as_str())], count))
    });
    page.counters("extension_invocations", statuses)?;
    let invoked = || called(extensions).filter(|(_, calls)| calls.invoked().next().is_some());
    let retries = invoked().map(|(labels, calls)| (labels, calls.runtime.meter.retries.get()));
    page.counters("extension_invocation_retries", retries)?;
    let fallbacks = called(extensions).filter_map(|(labels, calls)| {
        let fallbacks = calls.runtime.meter.fallbacks.get();
        // An auto-disabled extension has no calls of its own.
        (fallbacks > 0 || calls.invoked().next().is_some()).then_some((labels, fallbacks))
    });
    page.counters("extension_fallbacks", fallbacks)?;
    let cancelled = invoked().map(|(labels, calls)| (labels, calls.runtime.meter.cancelled.get()));
    page.counters("extension_cancelled", cancelled)?;
    let durations = versions(extensions).map(|(labels, calls)| (labels, &calls.durations));
    page.family("extension_invocation_duration_seconds", durations)?;
    if called(extensions).next().is_none() {
        return Ok(());
    }
    let in_flight = called(extensions).map(|(_, calls)| calls.runtime.in_flight());
    let in_flight: usize = in_flight.sum();
    page.gauge("extension_invocations_in_flight", in_flight as u64)
}

const fn number(state: CircuitState) -> u64 {
    match state {
        CircuitState::Closed => 0,
        CircuitState::Open => 1,
        CircuitState::HalfOpen => 2,
    }
}

#[cfg(test)]
#[path = "extensions_tests.rs"]
mod tests;

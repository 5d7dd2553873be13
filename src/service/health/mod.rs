//! The health of extensions, as this sidecar reports it.
//!
//! **The fleet's** are counts, average latency, last success and last failure: this sidecar's own,
//! live, and with them what the others flushed. **This sidecar's own** are percentiles, of the last
//! one to two minutes, the circuit, and the success rate, of all its calls since it started. If it
//! has made none, the fleet's rate is used: "no data" must not be shown beside a thousand
//! successes. Before the first call anywhere there is no rate, which is not 0. A reset of its circuit
//! begins rate and state anew, by this sidecar's calls alone.
//!
//! An extension's circuit is its current version's; its state is the worst of the versions
//! that take part, see [`State`].

mod circuits;
mod standing;
mod summary;
mod teller;
mod versions;

use std::sync::Arc;
use std::time::Instant;

pub use circuits::{CircuitPage, CircuitPlace, CircuitQuery, CircuitRow};
pub use standing::{Condition, Standing};
pub use summary::Summary;
pub use teller::tell_summaries;
pub use versions::{FailureRow, State, VersionStanding};

use self::versions::overall;
use super::error::RegistryError;
use super::fleet::FleetFigures;
use super::invoke::Tools;
use crate::domain::breaker::CircuitState;
use crate::domain::entry::Entry;
use crate::domain::listing::{PageRequest, Position};

/// Reports the health of extensions.
#[derive(Debug)]
pub struct Health {
    pub(super) tools: Tools,
    fleet: Arc<FleetFigures>,
}

/// What a listing asks for.
#[derive(Debug, Clone)]
pub struct HealthQuery {
    /// Only extensions of which this is so.
    pub state: Option<StateFilter>,
    /// The most that are returned.
    pub limit: usize,
    /// Only extensions after this place.
    pub after: Option<Position>,
}

/// What a listing is to show of a state: one of extensions, or one of their circuits; a word that
/// means both finds both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StateFilter {
    /// Extensions in this state.
    pub state: Option<State>,
    /// Extensions whose circuit is in this state.
    pub circuit: Option<CircuitState>,
}

impl StateFilter {
    /// The names of all states that can be asked for: of extensions, the worst first, and of circuits.
    pub const NAMES: [&'static str; 9] = [
        "open",
        "half_open",
        "resting",
        "degraded",
        "ok",
        "no_data",
        "disabled",
        "auto_disabled",
        "closed",
    ];

    /// Reads the name of a state; `None` where there is none of that name.
    pub fn parse(text: &str) -> Option<Self> {
        let (state, circuit) = (State::named(text), CircuitState::named(text));
        let known = state.is_some() || circuit.is_some();
        known.then_some(Self { state, circuit })
    }

    /// Whether an extension of which nothing is known is among them.
    fn matches_the_unknown(self) -> bool {
        self.state == Some(State::NoData) || self.circuit == Some(CircuitState::Closed)
    }

    fn matches(self, standing: &Standing) -> bool {
        self.state == Some(standing.state) || self.circuit == Some(standing.circuit)
    }
}

/// Some extensions in the order of `list`, and how all are doing.
#[derive(Debug, Default)]
pub struct HealthPage {
    /// The extensions.
    pub standings: Vec<Standing>,
    /// Whether there are more after these.
    pub more: bool,
    /// All extensions together, whatever the page shows.
    pub summary: Summary,
}

impl Health {
    /// Reports what the runtimes and circuits of `tools` know, and `fleet` of the other sidecars.
    pub fn new(tools: Tools, fleet: Arc<FleetFigures>) -> Self {
        Self { tools, fleet }
    }

    /// How one extension is doing, enabled or not.
    ///
    /// # Errors
    /// No such extension.
    pub fn of(&self, id: &str) -> Result<Standing, RegistryError> {
        let entry = self.tools.selector.entry(id)?;
        Ok(self.standing(entry, Instant::now()))
    }

    /// A page of extensions.
    pub fn list(&self, query: &HealthQuery) -> HealthPage {
        let (now, mut page) = (Instant::now(), HealthPage::default());
        page.summary = self.summary();
        for entry in self.candidates(query) {
            let standing = self.standing(entry, now);
            if query.state.is_some_and(|state| !state.matches(&standing)) {
                continue;
            }
            if page.standings.len() == query.limit {
                page.more = true;
                break;
            }
            page.standings.push(standing);
        }
        page
    }

    /// All extensions together. What nothing is known of is not looked at: it is healthy.
    pub fn summary(&self) -> Summary {
        let (now, mut sums) = (Instant::now(), summary::Sums::default());
        for entry in self.known() {
            sums.add(&self.standing(entry, now));
        }
        let (total, enabled) = self.tools.selector.catalog().sizes();
        sums.summary(total, enabled)
    }

    /// What a page may show, in the order of `list`.
    fn candidates(&self, query: &HealthQuery) -> Box<dyn Iterator<Item = Arc<Entry>> + '_> {
        let after = query.after.clone();
        if query.state.is_none_or(StateFilter::matches_the_unknown) {
            return Box::new(self.tools.selector.catalog().walk(after));
        }
        let place = |entry: &Arc<Entry>| (entry.extension().kind, entry.extension().id.clone());
        let mut known = self.known();
        known.retain(|entry| after.as_ref().is_none_or(|after| place(entry) > *after));
        known.sort_by_cached_key(place);
        Box::new(known.into_iter())
    }

    /// The extensions of which anything is known besides their records: calls, here or elsewhere,
    /// circuits, being out of service. Of many, these are often few.
    fn known(&self) -> Vec<Arc<Entry>> {
        let catalog = self.tools.selector.catalog();
        let mut ids = catalog.out_of_service();
        ids.extend(self.tools.runtimes.ids());
        ids.extend(self.tools.circuits.ids());
        ids.extend(self.fleet.ids());
        ids.iter().filter_map(|id| catalog.get(id)).collect()
    }

    /// How every extension is doing, in the order of `list`.
    pub fn all(&self) -> impl Iterator<Item = Standing> {
        let (everything, _) = self.tools.selector.catalog().list(&PageRequest {
            limit: usize::MAX,
            ..PageRequest::default()
        });
        let now = Instant::now();
        let entries = everything.entries.into_iter();
        entries.map(move |entry| self.standing(entry, now))
    }

    /// Joins what is known of an extension: by its own calls, its circuits, and the others' figures.
    fn standing(&self, entry: Arc<Entry>, now: Instant) -> Standing {
        let (tools, extension) = (&self.tools, entry.extension());
        let runtime = tools.runtimes.known(extension);
        let runtime = runtime.as_deref();
        let circuit = tools.circuits.of(extension, &extension.version);
        let view = circuit.map(|circuit| circuit.view(tools.clock.at(now)));
        let opened_at = view.and_then(|view| view.opened_at);
        let health = runtime.map(|runtime| &runtime.health);
        let own = health.map(|health| health.sums()).unwrap_or_default();
        let others = self.fleet.of(extension);
        let sums = own.with(&others);
        let lately = health.and_then(|it| it.outcomes.since_reset().success_rate());
        // What the others counted may be from before the reset.
        let was_reset = health.is_some_and(|it| it.outcomes.was_reset());
        let elsewhere = others.counts.total() > 0 && !was_reset;
        let of_all = || sums.counts.success_rate().filter(|_| !was_reset);
        // An idle extension costs no look at a histogram.
        let latencies = health.map(|health| health.latency().snapshot(now));
        let percentile = |q| latencies.as_ref()?.percentile(q);
        let mut whole = Standing {
            success_rate: lately.or_else(of_all),
            p50: percentile(0.5),
            p95: percentile(0.95),
            p99: percentile(0.99),
            circuit: view.map_or(CircuitState::Closed, |view| view.state),
            opened_at: opened_at.map(|tick| tools.clock.wall(tick)),
            state: State::NoData,
            versions: Vec::new(),
            sums,
            entry,
        };
        let versions = whole.entry.taking_part();
        let versions = versions.map(|it| self.version(it, runtime, &whole, elsewhere, now));
        let versions: Vec<_> = versions.collect();
        whole.state = overall(&whole.entry, &versions);
        whole.versions = versions;
        whole
    }
}

#[cfg(test)]
mod tests;

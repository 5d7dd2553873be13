//! When an opening is decided on: at once alone, in company after the others have flushed.

use std::sync::atomic::Ordering;

use super::*;
use crate::domain::breaker::{FailureKind, Outcome, Reason, Tick, Transition};
use crate::domain::catalog::{Catalog, CatalogWriter, Change};
use crate::domain::testing::{change, entry, extension};
use crate::service::circuits::Circuit;
use crate::service::fleet::link::SETTLING;
use crate::service::fleet::testing::Store;
use crate::service::health_store::Sidecars;
use crate::service::observe::{Failing, Observer};
use crate::service::status::INVOCATIONS;
use crate::service::testing::tools;

const INTERVAL: Duration = Duration::from_secs(5);

struct Rig {
    store: Arc<Store>,
    openings: Arc<Openings>,
    tools: Tools,
    circuit: Arc<Circuit>,
    stop: CancellationToken,
    writer: CatalogWriter,
}

impl Rig {
    /// The sidecar `one` of `sidecars`, that serves `e`, whose circuit is open.
    fn start(sidecars: &[&str]) -> Self {
        let (catalog, mut writer) = Catalog::new();
        writer.apply(Change {
            upserts: vec![entry(extension("e"))],
            ..change(1)
        });
        let tools = tools(catalog);
        let served = tools.selector.catalog().get("e").unwrap();
        let setup = tools.runtimes.setup(&served);
        let settings = || setup.limits.breaker.clone();
        let version = &served.extension().version;
        let circuits = &tools.circuits;
        let circuit = circuits.get_or_create(served.extension(), version, settings);
        circuit.restore_open(tools.clock.tick(), INTERVAL);

        let link = Arc::new(Link::new(Arc::clone(&tools.circuits), SETTLING));
        let (connection, up) = (INVOCATIONS, true);
        link.observe(&Observation::NatsUp { connection, up });
        let alive = Alive::default();
        alive.counted(Sidecars {
            total: u64::try_from(sidecars.len()).unwrap(),
            instance_ids: sidecars.iter().map(|id| (*id).to_owned()).collect(),
        });
        let (store, openings) = (Arc::<Store>::default(), Arc::<Openings>::default());
        let disabler = AutoDisabler {
            store: Arc::clone(&store),
            openings: Arc::clone(&openings),
            link,
            tools: tools.clone(),
            others: Arc::default(),
            alive,
            instance_id: "one".into(),
            flush_interval: INTERVAL,
            max_percent: 100,
            write_cause: |_, _, _| String::new(),
        };
        let stop = CancellationToken::new();
        tokio::spawn(disabler.run(stop.clone()));
        let rig = Self {
            store,
            openings,
            tools,
            circuit,
            stop,
            writer,
        };
        rig.opens();
        rig
    }

    fn opens(&self) {
        self.opens_for(None);
    }

    fn opens_for(&self, time: Option<Duration>) {
        let transition = Transition {
            from: CircuitState::Closed,
            to: CircuitState::Open,
            at: Tick::default(),
            reason: Reason::ConsecutiveFailures,
            retry_at: time.map(Tick::at),
            failures: 2,
            last_failure: None,
            hearsay: false,
        };
        let served = self.tools.selector.catalog().get("e").unwrap();
        self.openings.observe(&Observation::Circuit {
            moved: Moved {
                id: served.extension().id.clone(),
                version: served.extension().version.clone(),
                transition,
            },
            current: true,
            failing: Failing::default(),
        });
    }

    /// How often the database has been asked to disable after another `time`.
    async fn asked_after(&self, time: Duration) -> u32 {
        sleep(time).await;
        self.store.0.load(Ordering::Relaxed)
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

#[tokio::test(start_paused = true)]
async fn in_company_an_opening_waits_for_what_the_others_had_seen() {
    let moment = Duration::from_millis(100);
    assert_eq!(Rig::start(&["one"]).asked_after(moment).await, 1);
    assert_eq!(Rig::start(&[]).asked_after(moment).await, 0, "not counted");
    let rig = Rig::start(&["one", "two"]);
    assert_eq!(rig.asked_after(INTERVAL - moment).await, 0);
    assert_eq!(rig.asked_after(2 * moment).await, 1);
    // A circuit that opens for a short time is found open.
    rig.opens_for(Some(INTERVAL));
    assert_eq!(rig.asked_after(INTERVAL / 2 + moment).await, 2);
    // Before our first flush only the others are counted.
    let rig = Rig::start(&["two"]);
    assert_eq!(rig.asked_after(INTERVAL - moment).await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_circuit_that_is_being_tried_is_decided_on_by_the_outcome() {
    for (outcome, asked) in [
        (Outcome::Failure(FailureKind::Error), 1),
        (Outcome::Success, 0),
    ] {
        let rig = Rig::start(&["one", "two"]);
        let later = rig.tools.clock.tick().plus(INTERVAL);
        let permit = rig.circuit.admit(later).permit.unwrap();
        assert_eq!(rig.asked_after(2 * INTERVAL).await, 0, "it is being tried");
        permit.record(later, outcome, Duration::ZERO);
        assert_eq!(rig.asked_after(TRIAL).await, asked, "{outcome:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_opened_again_by_reports_alone_is_not_decided_on() {
    let rig = Rig::start(&["one", "two"]);
    let now = rig.tools.clock.tick();
    rig.circuit.reset(now);
    for _ in 0..2 {
        let permit = rig.circuit.admit(now).permit.unwrap();
        let failed = Outcome::Failure(FailureKind::Reported);
        permit.record(now, failed, Duration::ZERO);
    }
    let view = rig.circuit.view(now);
    assert_eq!((view.state, view.hearsay), (CircuitState::Open, true));
    assert_eq!(rig.asked_after(2 * INTERVAL).await, 0);
}

/// As where the database answers, and its data cannot be read yet.
#[tokio::test(start_paused = true)]
async fn calls_of_what_files_define_take_nothing_out_of_service() {
    let mut rig = Rig::start(&["one", "two"]);
    rig.writer.apply(Change {
        upserts: vec![entry(extension("e"))],
        source: ActiveSource::Fixtures,
        ..change(2)
    });
    assert_eq!(rig.asked_after(2 * INTERVAL).await, 0);
}

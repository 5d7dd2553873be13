//! What a sidecar knows of the others: keepers in this process, on a real database.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use beamline_registry::adapters::postgres::{Pool, PostgresHealth};
use beamline_registry::config::{Settings, Surroundings};
use beamline_registry::domain::breaker;
use beamline_registry::domain::catalog::{ActiveSource, Catalog, Change};
use beamline_registry::domain::entry::{Entry, PreparedReply};
use beamline_registry::domain::extension::Incarnation;
use beamline_registry::domain::policy::Policy;
use beamline_registry::domain::quarantine::Quarantine;
use beamline_registry::domain::record::{EXTENSION, Fields, Gate};
use beamline_registry::domain::routing::Resolved;
use beamline_registry::domain::subject::SubjectPattern;
use beamline_registry::service::circuits::Circuits;
use beamline_registry::service::clock::Clock;
use beamline_registry::service::fleet::{Alive, FleetFigures, Keeper};
use beamline_registry::service::invoke::{Limits, Runtimes, Tools};
use beamline_registry::service::observe::Observers;
use beamline_registry::service::progress::Progress;
use beamline_registry::service::selection::Selector;
use beamline_registry::service::spans::Spans;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::*;
use crate::harness::TestDatabase;

/// Serves `e` alone, which is this one in the database.
fn tools(incarnation: Incarnation) -> Tools {
    let policy = Policy {
        allowed_subjects: vec![SubjectPattern::parse("beamline.ext.>").unwrap()],
        forbidden_prefixes: Vec::new(),
        max_timeout_ms: 1000,
        max_retries: 0,
    };
    let said = [
        ("id", r#""e""#),
        ("type", r#""pre""#),
        ("subject", r#""beamline.ext.e""#),
    ];
    let fields = Fields::read(EXTENSION, said);
    let prepare = |_: &Resolved<'_>| PreparedReply {
        bytes: bytes::Bytes::new(),
        state_at: 0,
    };
    let mut extension = Gate::of(&policy).extension(&fields).unwrap();
    extension.incarnation = Some(incarnation);
    let (catalog, mut writer) = Catalog::new();
    writer.apply(Change {
        upserts: vec![Arc::new(Entry::new(extension, &prepare))],
        removals: Vec::new(),
        quarantine: Quarantine::default(),
        source: ActiveSource::Database,
        epoch: Some("epoch".into()),
        revision: 1,
    });
    let (circuits, clock) = (Arc::<Circuits>::default(), Clock::default());
    let selector = Selector {
        catalog,
        environment: None,
        circuits: Arc::clone(&circuits),
        health_routing: false,
        min_success_rate: 0.8,
        clock,
    };
    let long = Duration::from_secs(60);
    let breaker = breaker::Settings {
        enabled: true,
        failure_threshold: 5,
        error_rate_threshold: 1.0,
        window: long,
        minimum_requests: 20,
        slow_calls: None,
        open_time: long,
        max_open_time: long,
        half_open_max_requests: 3,
        trial_limit: long,
    };
    Tools {
        selector: Arc::new(selector),
        runtimes: Arc::new(Runtimes::new(Limits {
            max_payload_bytes: 1000,
            max_metadata_bytes: 1000,
            max_in_flight: 1,
            breaker,
        })),
        circuits,
        clock,
        observers: Observers::new(Vec::new()),
        spans: Spans::default(),
    }
}

fn store(database: &TestDatabase, name: &str) -> PostgresHealth {
    let surroundings = Surroundings {
        env: BTreeMap::from([("EXTENSION_REGISTRY_DB_URL".into(), database.url().into())]),
        read_file: &|path| Ok(std::fs::read(path)?),
        host_name: "test".to_owned(),
        memory_limit: None,
        terminal: false,
        reads_everything: true,
    };
    let (settings, _, _) = Settings::load(BTreeMap::new(), &surroundings).unwrap();
    let pool = Pool::new(&settings.database.unwrap(), name).unwrap();
    let nobody = Observers::new(Vec::new());
    PostgresHealth::new(Arc::new(pool), name, Arc::default(), nobody)
}

struct Sidecar {
    tools: Tools,
    figures: Arc<FleetFigures>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Sidecar {
    /// A sidecar that has taken over what the database says.
    async fn start(fleet: &Fleet, name: &str) -> Self {
        let uuid = "SELECT replace(incarnation::text, '-', '') FROM extensions WHERE id = 'e'";
        let uuid = u128::from_str_radix(&fleet.value(uuid).await, 16).unwrap();
        let tools = tools(Incarnation(uuid));
        let figures = Arc::<FleetFigures>::default();
        let store = Arc::new(store(&fleet.rig.database, name));
        let interval = Duration::from_millis(50);
        let keeper = Keeper::new(
            store,
            tools.clone(),
            Arc::clone(&figures),
            Alive::default(),
            interval,
        );
        let (stop, restored) = (CancellationToken::new(), TaskTracker::new());
        restored.close();
        let applied = Progress::default().follow();
        let running = keeper.run(applied, restored.token(), stop.clone());
        let task = tokio::spawn(running);
        tokio::time::timeout(DEADLINE, restored.wait())
            .await
            .unwrap();
        Self {
            tools,
            figures,
            stop,
            task,
        }
    }

    fn succeed(&self, times: usize) {
        let entry = self.tools.selector.catalog().get("e").unwrap();
        let runtime = self.tools.runtimes.of(&entry);
        for _ in 0..times {
            let took = Some(Duration::from_millis(2));
            runtime.health.succeeded(took, Instant::now());
        }
    }

    /// Successes of the others.
    fn others(&self) -> u64 {
        let entry = self.tools.selector.catalog().get("e").unwrap();
        self.figures.of(entry.extension()).counts.successes
    }

    async fn wait_others(&self, wanted: u64) {
        eventually("what the others counted", DEADLINE, async || {
            let others = self.others();
            if others == wanted {
                Ok(())
            } else {
                Err(others)
            }
        })
        .await;
    }

    async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}

#[tokio::test]
async fn each_knows_what_the_others_counted_and_a_start_knows_it_all() {
    let fleet = Fleet::with(&["e"]).await;
    let a = Sidecar::start(&fleet, "a").await;
    let b = Sidecar::start(&fleet, "b").await;
    a.succeed(5);
    b.succeed(3);
    a.wait_others(3).await;
    b.wait_others(5).await;
    a.succeed(2);
    a.stop().await;
    b.wait_others(7).await;
    let c = Sidecar::start(&fleet, "c").await;
    b.succeed(1);
    c.wait_others(11).await;
    b.stop().await;
    c.stop().await;
    assert_eq!(fleet.sums("e").await, (11, 0));
}

#[tokio::test]
async fn a_sidecar_that_was_folded_does_not_take_its_own_counts_for_others() {
    let fleet = Fleet::with(&["e"]).await;
    let a = Sidecar::start(&fleet, "a").await;
    let b = Sidecar::start(&fleet, "b").await;
    a.succeed(5);
    b.succeed(3);
    a.wait_others(3).await;
    fleet.wait_sums("e", (8, 0)).await;
    // Silent for eleven minutes, as a laptop that slept, and folded in the same moment.
    let folded = "BEGIN;
        UPDATE sidecar_boots SET flushed_at = now() - interval '11 min' WHERE instance_id = 'a';
        SELECT health_fold(); COMMIT";
    fleet.rig.sql.batch_execute(folded).await.unwrap();
    let boots = "SELECT count(*) FROM sidecar_boots WHERE instance_id = 'a'";
    fleet.wait_value(boots, "2").await;
    a.succeed(2);
    b.succeed(1);
    b.wait_others(7).await;
    a.wait_others(4).await;
    fleet.wait_sums("e", (11, 0)).await;
    a.stop().await;
    b.stop().await;
}

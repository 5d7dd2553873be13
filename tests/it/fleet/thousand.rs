//! A thousand sidecars on one Postgres: `just fleet`. Everything of a sidecar that uses the database is
//! real, in this process: listener, reloader, keeper of health, overrides and claims. Listeners have a
//! connection each; the pools are shared by 20 sidecars, as behind a pooler.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use beamline_registry::adapters::postgres::migrate::migrate;
use beamline_registry::adapters::postgres::{
    Listener, Pool, PostgresHealth, PostgresSource, Reports,
};
use beamline_registry::domain::breaker;
use beamline_registry::domain::catalog::Catalog;
use beamline_registry::domain::entry::PreparedReply;
use beamline_registry::domain::reconcile::Everything;
use beamline_registry::service::circuits::Circuits;
use beamline_registry::service::clock::Clock;
use beamline_registry::service::fleet::changes::{ChangeEvents, ChangeTeller};
use beamline_registry::service::fleet::{Alive, FleetFigures, Keeper, OverrideKeeper, orders};
use beamline_registry::service::health_store::RevisionChanges;
use beamline_registry::service::invoke::{Limits, Runtimes, Tools};
use beamline_registry::service::observe::{Observation, Observer, Observers};
use beamline_registry::service::progress::Progress;
use beamline_registry::service::reload::{Parts, Reloader};
use beamline_registry::service::selection::Selector;
use beamline_registry::service::source::{Fixtures, SourceError};
use beamline_registry::service::spans::Spans;
use beamline_registry::service::status::{SourceMode, Status};
use tokio::sync::Notify;
use tokio::time::{interval, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::*;
use crate::harness::{Postgres, TestDatabase};
use crate::postgres_source::{policy, settings};
use crate::schema::{revision, run, value};

/// How many extensions; 2 % of their circuits are open, at every sidecar.
const EXTENSIONS: usize = 200;
const OPEN: usize = EXTENSIONS / 50;
const FLUSH: Duration = Duration::from_secs(5);
const SYNC: Duration = Duration::from_secs(60);
/// What is measured: a minute, with a change per second and one burst of a hundred.
const MEASURED: Duration = Duration::from_secs(60);
const BURST: usize = 100;

struct NoFixtures;

impl Fixtures for NoFixtures {
    async fn read(&self) -> Result<Everything, SourceError> {
        unreachable!("the mode is database")
    }
}

/// How often each revision was told.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<HashMap<u64, usize>>>);

impl ChangeEvents for Told {
    async fn tell(&self, _: &str, changes: &RevisionChanges) {
        *self.0.lock().unwrap().entry(changes.revision).or_default() += 1;
    }
}

/// What went wrong, by its words.
#[derive(Clone, Default)]
struct Troubles(Arc<Mutex<HashMap<String, usize>>>);

impl Observer for Troubles {
    fn observe(&self, observation: &Observation) {
        let trouble = match observation {
            Observation::StoreFailed { what, error } => format!("{what}: {error}"),
            Observation::FlushFailed(error) => format!("flush: {error}"),
            Observation::LoadFailed { error, .. } => format!("load: {error}"),
            _ => return,
        };
        *self.0.lock().unwrap().entry(trouble).or_default() += 1;
    }
}

struct Sidecar {
    catalog: Arc<Catalog>,
    tools: Tools,
}

struct Simulation {
    stop: CancellationToken,
    told: Told,
    troubles: Troubles,
    sidecars: Vec<Sidecar>,
}

impl Simulation {
    fn start(url: &str, size: usize) -> Self {
        let mut this = Self {
            stop: CancellationToken::new(),
            told: Told::default(),
            troubles: Troubles::default(),
            sidecars: Vec::new(),
        };
        let mut pool = Arc::new(Pool::new(&settings(url), "shared").unwrap());
        for number in 0..size {
            if number % 20 == 0 {
                pool = Arc::new(Pool::new(&settings(url), "shared").unwrap());
            }
            let sidecar = this.sidecar(url, Arc::clone(&pool), &format!("s{number}"));
            this.sidecars.push(sidecar);
        }
        this
    }

    /// Starts all of a sidecar that the database sees.
    fn sidecar(&self, url: &str, pool: Arc<Pool>, name: &str) -> Sidecar {
        let observers = Observers::new(vec![Box::new(self.troubles.clone())]);
        let (catalog, writer) = Catalog::new();
        let status = Arc::new(Status::new(SourceMode::Database, SYNC));
        for connection in ["lookup", "control", "invoke"] {
            status.nats_link(connection, true);
        }
        let (progress, alive) = (Progress::default(), Alive::default());
        let overridden = Arc::<Notify>::default();
        let tools = tools(Arc::clone(&catalog), observers.clone());
        let store = PostgresHealth::new(Arc::clone(&pool), name, Arc::default(), observers.clone());
        let store = Arc::new(store);
        let keeper = Keeper::new(
            Arc::clone(&store),
            tools.clone(),
            Arc::<FleetFigures>::default(),
            alive.clone(),
            FLUSH,
        );
        let (_orders, queue) = orders();
        let overrides = OverrideKeeper::new(Arc::clone(&store), tools.clone(), queue, SYNC);
        let teller = ChangeTeller {
            store,
            events: self.told.clone(),
            catalog: Arc::clone(&catalog),
            progress: progress.clone(),
            alive: alive.clone(),
            status: Arc::clone(&status),
            observers: observers.clone(),
        };
        let restored = TaskTracker::new();
        let (stop, applied) = (self.stop.clone(), progress.follow());
        tokio::spawn(keeper.run(applied, restored.token(), stop.clone()));
        let (news, applied) = (Arc::clone(&overridden), progress.follow());
        tokio::spawn(overrides.run(news, applied, restored.token(), stop.clone()));
        tokio::spawn(teller.run(stop.clone()));
        let (reloader, reload) = Reloader::new(Parts {
            writer,
            prepare: Arc::new(|_: &_| PreparedReply {
                bytes: bytes::Bytes::new(),
                state_at: 0,
            }),
            database: Some(PostgresSource::new(Arc::clone(&pool), Arc::new(policy())).into()),
            fixtures: None::<NoFixtures>,
            status: Arc::clone(&status),
            progress: progress.clone(),
            observers: observers.clone(),
            applied: Box::new(|| {}),
            sync_interval: SYNC,
        });
        let reports = Reports {
            reload,
            overrides: overridden,
            progress,
            alive,
            status,
            observers,
            pool,
        };
        let listener = Listener::new(&settings(url), name, reports).unwrap();
        tokio::spawn(reloader.run(stop.clone()));
        tokio::spawn(listener.run(stop));
        Sidecar { catalog, tools }
    }

    /// How many have this revision.
    fn at(&self, revision: u64) -> usize {
        let have = |it: &&Sidecar| it.catalog.head().revision >= revision;
        self.sidecars.iter().filter(have).count()
    }

    /// Calls of three extensions at each sidecar, as often as they have something to flush, and circuits
    /// that are open all the time.
    async fn live(&self) {
        let mut beat = interval(FLUSH / 2);
        loop {
            beat.tick().await;
            for (number, sidecar) in self.sidecars.iter().enumerate() {
                let called = (0..3).map(|n| (number * 7 + n) % EXTENSIONS);
                for extension in called {
                    let Some(entry) = sidecar.catalog.get(format!("e{extension}").as_str()) else {
                        continue;
                    };
                    let health = &sidecar.tools.runtimes.of(&entry).health;
                    health.succeeded(Some(Duration::from_millis(2)), Instant::now());
                }
                for open in 0..OPEN {
                    if let Some(entry) = sidecar.catalog.get(format!("e{}", open * 50).as_str()) {
                        let setup = sidecar.tools.runtimes.setup(&entry);
                        let settings = || setup.limits.breaker.clone();
                        let extension = entry.extension();
                        let circuits = &sidecar.tools.circuits;
                        let circuit =
                            circuits.get_or_create(extension, &extension.version, settings);
                        circuit.restore_open(sidecar.tools.clock.tick(), MEASURED * 2);
                    }
                }
            }
        }
    }
}

fn tools(catalog: Arc<Catalog>, observers: Observers) -> Tools {
    let (circuits, clock) = (Arc::<Circuits>::default(), Clock::default());
    let breaker = breaker::Settings {
        enabled: true,
        failure_threshold: 5,
        error_rate_threshold: 1.0,
        window: MEASURED,
        minimum_requests: 20,
        slow_calls: None,
        open_time: MEASURED * 2,
        max_open_time: MEASURED * 2,
        half_open_max_requests: 3,
        trial_limit: MEASURED,
    };
    let selector = Selector {
        catalog,
        environment: None,
        circuits: Arc::clone(&circuits),
        health_routing: false,
        min_success_rate: 0.8,
        clock,
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
        observers,
        spans: Spans::default(),
    }
}

/// CPU time of the server, all its processes, those that ended included.
fn cpu(postmaster: u32) -> Duration {
    let ticks = |pid: &str, ended: bool| -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let fields: Vec<u64> = stat
            .rsplit(')')
            .next()
            .unwrap_or_default()
            .split_whitespace()
            .skip(11)
            .take(if ended { 4 } else { 2 })
            .map(|field| field.parse().unwrap_or_default())
            .collect();
        fields.iter().sum()
    };
    let of_server = |pid: &str| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let parent = stat.rsplit(')').next().unwrap_or_default();
        parent.split_whitespace().nth(1) == Some(&postmaster.to_string())
    };
    let children: u64 = Path::new("/proc")
        .read_dir()
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()) && of_server(name))
        .map(|pid| ticks(&pid, false))
        .sum();
    Duration::from_millis(10 * (children + ticks(&postmaster.to_string(), true)))
}

/// A change per second, and halfway a burst of a hundred; how long each of the single ones took.
async fn changes(sql: &tokio_postgres::Client) -> Vec<Duration> {
    let begun = tokio::time::Instant::now();
    let mut took = Vec::new();
    let seconds = u32::try_from(MEASURED.as_secs()).unwrap();
    for second in 0..seconds {
        sleep_until(begun + Duration::from_secs(1) * second).await;
        let times = if second == seconds / 2 { BURST } else { 1 };
        for _ in 0..times {
            let id = rand::random_range(0..EXTENSIONS);
            let change =
                format!("UPDATE extensions SET timeout_ms = timeout_ms + 1 WHERE id = 'e{id}'");
            let asked = Instant::now();
            run(sql, &change).await;
            if times == 1 {
                took.push(asked.elapsed());
            }
        }
    }
    took.sort();
    took
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes and a thousand connections: just fleet"]
async fn a_thousand_sidecars_cost_their_database_little() {
    #[expect(
        clippy::disallowed_methods,
        reason = "a setting of the tests, not of the daemon"
    )]
    let size = std::env::var("BEAMLINE_FLEET").map_or(1000, |size| size.parse().unwrap());
    let server = Postgres::private().await;
    let database = TestDatabase::create_on(&server).await;
    let mut sql = database.connect().await;
    migrate(&mut sql, DEADLINE).await.unwrap();
    let extensions = format!(
        "INSERT INTO extensions (id, type, subject, config)
         SELECT 'e' || n, 'pre', 'beamline.ext.e' || n, '{{\"lowercase\": true}}'
         FROM generate_series(0, {}) AS n; ANALYZE",
        EXTENSIONS - 1
    );
    run(&sql, &extensions).await;
    let postmaster = server.process().expect("a native server").pid();
    let measured = async |what: &str| {
        let (before, begun) = (cpu(postmaster), Instant::now());
        let took = changes(&sql).await;
        let used = cpu(postmaster) - before;
        let share = used.as_secs_f64() / begun.elapsed().as_secs_f64();
        let (median, most) = (took[took.len() / 2], took[took.len() * 9 / 10]);
        let percent = 100.0 * share;
        println!("{what}: commits p50 {median:?}, p90 {most:?}; Postgres {percent:.1} % of a core");
        (share, median)
    };
    let (alone, median_alone) = measured("alone").await;

    let fleet = Simulation::start(&database.url(), size);
    let current = u64::try_from(revision(&sql).await).unwrap();
    eventually("all have begun", DEADLINE * 10, async || {
        let begun = fleet.at(current);
        if begun == size { Ok(()) } else { Err(begun) }
    })
    .await;
    let measuring = async {
        let flushed = "SELECT count(*) FROM live_sidecars";
        eventually("all have flushed", DEADLINE * 10, async || {
            let flushed = value(&sql, flushed).await;
            if flushed == size.to_string() {
                Ok(())
            } else {
                Err(flushed)
            }
        })
        .await;
        // Each knows by now how many there are.
        sleep(2 * FLUSH).await;
        measured("with the fleet").await
    };
    let (with_fleet, median) = tokio::select! {
        () = fleet.live() => unreachable!("it goes on"),
        figures = measuring => figures,
    };

    let last = u64::try_from(revision(&sql).await).unwrap();
    eventually("all have the last change", DEADLINE, async || {
        let have = fleet.at(last);
        if have == size { Ok(()) } else { Err(have) }
    })
    .await;
    eventually("all changes are told", DEADLINE, async || {
        value(&sql, "SELECT revision FROM event_claims").await == last.to_string()
    })
    .await;
    let told = fleet.told.0.lock().unwrap().clone();
    fleet.stop.cancel();
    println!(
        "{size} sidecars; {} revisions told; {:?}",
        told.len(),
        fleet.troubles.0
    );
    assert!(told.values().all(|times| *times == 1), "told once");
    let since = u64::try_from(BURST).unwrap() + MEASURED.as_secs() - 1;
    let missing: Vec<_> = (last - since + 1..=last)
        .filter(|it| !told.contains_key(it))
        .collect();
    assert_eq!(missing, [0; 0], "all are told");
    assert!(with_fleet - alone <= 0.25, "{with_fleet}");
    assert!(
        median <= median_alone.mul_f64(1.1) + Duration::from_millis(1),
        "{median:?}"
    );
}

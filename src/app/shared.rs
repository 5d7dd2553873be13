//! What the parts of the daemon share, and how each part is made from it.

use std::sync::Arc;

use rand::distr::{Alphanumeric, SampleString};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::automatic::Automatic;
use super::deployment::{layout, mode, policy, uses_database, uses_fixtures};
use crate::adapters::fixtures::FixturesSource;
use crate::adapters::http;
use crate::adapters::http::live::Feed;
use crate::adapters::nats::events::{self, EventQueue};
use crate::adapters::nats::server as nats;
use crate::adapters::nats::verbs::Verbs;
use crate::adapters::postgres::{
    Listener, Pool, PostgresDefinitions, PostgresHealth, PostgresSource, Reports, SetupError,
};
use crate::adapters::telemetry::log::LogObserver;
use crate::adapters::telemetry::metrics::{Metrics, Sources};
use crate::config::Settings;
use crate::documents;
use crate::documents::desk::Desk;
use crate::documents::event::Envelopes;
use crate::domain::catalog::{Catalog, CatalogWriter};
use crate::service::administration::Administration;
use crate::service::circuit_control::CircuitControl;
use crate::service::circuits::Circuits;
use crate::service::clock::Clock;
use crate::service::definitions::Definitions;
use crate::service::fleet::{self, Alive, FleetFigures, OverrideHandle, OverrideQueue};
use crate::service::health::Health;
use crate::service::invoke::{Follower, Limits, Runtimes, Tools};
use crate::service::live::{self, Notes};
use crate::service::lookup::Lookups;
use crate::service::meter::Count;
use crate::service::observe::Observers;
use crate::service::progress::Progress;
use crate::service::read::Reads;
use crate::service::readiness::Readiness;
use crate::service::reload::{Parts, ReloadHandle, Reloader};
use crate::service::selection::Selector;
use crate::service::skipped::Skipped;
use crate::service::spans::Spans;
use crate::service::stats::Stats;
use crate::service::status::Status;

/// Length of the random text that sets a boot's event ids apart from the last boot's.
const BOOT_ID: usize = 8;

/// The owner of the catalog's writer.
pub(super) type SourceReloader = Reloader<PostgresSource, FixturesSource>;

/// The daemon's shared state.
pub(super) struct Shared {
    pub(super) settings: Settings,
    pub(super) catalog: Arc<Catalog>,
    pub(super) status: Arc<Status>,
    pub(super) progress: Progress,
    pub(super) observers: Observers,
    pub(super) readiness: Arc<Readiness>,
    lookups: Arc<Lookups>,
    stats: Arc<Stats>,
    metrics: Arc<Metrics>,
    pub(super) tools: Tools,
    /// What the other sidecars counted, as last read from the database.
    pub(super) fleet: Arc<FleetFigures>,
    /// How extensions are doing, by this sidecar and the fleet.
    pub(super) health: Arc<Health>,
    /// Notified when an override may have changed.
    pub(super) overridden: Arc<Notify>,
    /// The sidecars there are.
    pub(super) alive: Alive,
    overrides: OverrideHandle,
    /// What happens automatically.
    pub(super) automatic: Automatic,
    /// The end of the grace period, for HTTP.
    pub(super) give_up: CancellationToken,
    pool: Option<Arc<Pool>>,
    /// What the fleet shares through the database, where there is one.
    pub(super) store: Option<Arc<PostgresHealth>>,
}

/// What has one owner only, for the part that takes it.
pub(super) struct Unshared {
    pub(super) writer: CatalogWriter,
    pub(super) events: EventQueue,
    pub(super) overrides: OverrideQueue,
    pub(super) notes: Notes,
}

impl Shared {
    /// Everything that exists before anything runs.
    ///
    /// # Errors
    /// Database settings that cannot work, such as an unreadable certificate.
    pub(super) fn new(
        settings: Settings,
        spans: Spans,
        log_lines_dropped: Count,
    ) -> Result<(Self, Unshared), SetupError> {
        let (catalog, writer) = Catalog::new();
        let instance_id = settings.identity.instance_id.clone();
        let pool = uses_database(&settings).map(|database| Pool::new(database, &instance_id));
        let pool = pool.transpose()?.map(Arc::new);
        let status = Arc::new(Status::new(mode(&settings), settings.source.sync_interval));
        let circuits = Arc::new(Circuits::default());
        let (limits, health) = (&settings.limits, &settings.health);
        let runtimes = Arc::new(Runtimes::new(Limits {
            max_payload_bytes: limits.max_payload_bytes,
            max_metadata_bytes: limits.max_metadata_bytes,
            max_in_flight: limits.max_in_flight_per_extension,
            breaker: settings.breaker.clone(),
        }));
        let clock = Clock::default();
        let selector = Arc::new(Selector {
            catalog: Arc::clone(&catalog),
            environment: settings.identity.environment.clone(),
            circuits: Arc::clone(&circuits),
            health_routing: health.routing,
            min_success_rate: health.min_success_rate,
            clock,
        });
        let lookups = Arc::new(Lookups::new(Arc::clone(&selector)));
        let boot = Alphanumeric.sample_string(&mut rand::rng(), BOOT_ID);
        let envelopes = Envelopes::new(&instance_id, boot, clock);
        let (event_observer, events) = events::channel(envelopes);
        let skipped = Arc::<Skipped>::default();
        let alive = Alive::default();
        let stats = Arc::new(Stats {
            catalog: Arc::clone(&catalog),
            status: Arc::clone(&status),
            lookups: Arc::clone(&lookups),
            runtimes: Arc::clone(&runtimes),
            skipped: Arc::clone(&skipped),
            alive: alive.clone(),
            settings: settings.distinct.clone(),
            instance_id: instance_id.clone(),
            started: Instant::now(),
        });
        let metrics = Arc::new(Metrics::new(Sources {
            stats: Arc::clone(&stats),
            selector: Arc::clone(&selector),
            log_lines_dropped,
            events_dropped: events.dropped.clone(),
        }));
        let changes = event_observer.changes(&instance_id);
        let automatic = Automatic::new(health.auto_disable, &circuits, changes);
        let mut observers = automatic.observers();
        observers.push(Box::new(LogObserver::default()));
        observers.push(Box::new(metrics.observer()));
        observers.push(Box::new(event_observer));
        let (note_observer, notes) = live::notes();
        observers.push(Box::new(note_observer));
        let observers = Observers::new(observers);
        let store = pool.clone().map(|pool| {
            let (skipped, observers) = (Arc::clone(&skipped), observers.clone());
            Arc::new(PostgresHealth::new(pool, &instance_id, skipped, observers))
        });
        let tools = Tools {
            selector,
            runtimes,
            circuits,
            clock,
            observers: observers.clone(),
            spans,
        };
        let fleet = Arc::<FleetFigures>::default();
        let (overrides, queue) = fleet::orders();
        let shared = Self {
            health: Arc::new(Health::new(tools.clone(), Arc::clone(&fleet))),
            catalog,
            status,
            progress: Progress::default(),
            observers,
            readiness: Arc::default(),
            lookups,
            stats,
            metrics,
            tools,
            fleet,
            overridden: Arc::default(),
            alive,
            overrides,
            automatic,
            give_up: CancellationToken::new(),
            pool,
            store,
            settings,
        };
        let unshared = Unshared {
            writer,
            events,
            overrides: queue,
            notes,
        };
        Ok((shared, unshared))
    }

    /// The owner of the catalog's writer, and the way to reach it.
    pub(super) fn reloader(&self, writer: CatalogWriter) -> (SourceReloader, ReloadHandle) {
        let settings = &self.settings;
        let policy = policy(settings);
        let pool = self.pool.clone();
        let database = |pool| Arc::new(PostgresSource::new(pool, Arc::new(policy.clone())));
        let folder = settings.source.fixtures_dir.clone();
        let follower = Follower::new(self.tools.clone());
        Reloader::new(Parts {
            writer,
            prepare: Arc::new(documents::lookup::prepare),
            database: pool.map(database),
            fixtures: uses_fixtures(settings).then(|| FixturesSource::new(folder, policy)),
            status: Arc::clone(&self.status),
            progress: self.progress.clone(),
            observers: self.observers.clone(),
            applied: Box::new(move || follower.follow()),
            sync_interval: settings.source.sync_interval,
        })
    }

    /// The listener for changes in the database, where there is one.
    pub(super) fn listener(&self, reload: ReloadHandle) -> Result<Option<Listener>, SetupError> {
        let settings = &self.settings;
        let (Some(database), Some(pool)) = (uses_database(settings), self.pool.clone()) else {
            return Ok(None);
        };
        let reports = Reports {
            reload,
            overrides: Arc::clone(&self.overridden),
            progress: self.progress.clone(),
            alive: self.alive.clone(),
            status: Arc::clone(&self.status),
            observers: self.observers.clone(),
            pool,
        };
        Listener::new(database, &settings.identity.instance_id, reports).map(Some)
    }

    /// What answers requests of operators, whichever way they come.
    pub(super) fn desk(&self, reload: ReloadHandle) -> Arc<Desk> {
        let pool = self.pool.clone();
        let definitions = |pool| Arc::new(PostgresDefinitions::new(pool)) as Arc<dyn Definitions>;
        let changes = Administration {
            definitions: pool.map(definitions),
            policy: policy(&self.settings),
            tools: self.tools.clone(),
            reload: reload.clone(),
            progress: self.progress.clone(),
            overrides: self.store.is_some().then(|| self.overrides.clone()),
        };
        Arc::new(Desk {
            reads: Reads::new(
                Arc::clone(&self.tools.selector),
                Arc::clone(&self.tools.runtimes),
            ),
            health: Arc::clone(&self.health),
            stats: Arc::clone(&self.stats),
            changes: Arc::new(changes),
            reload,
            progress: self.progress.clone(),
        })
    }

    /// The data of the status page, until `stop`.
    pub(super) fn feed(&self, desk: Arc<Desk>, stop: CancellationToken) -> Arc<Feed> {
        Arc::new(Feed::new(desk, self.observers.clone(), stop))
    }

    /// What the HTTP server answers from.
    pub(super) fn http_state(&self, desk: Arc<Desk>, feed: Arc<Feed>) -> http::State {
        let (settings, metrics) = (&self.settings, Arc::clone(&self.metrics));
        let addr = settings.http.addr;
        http::State {
            readiness: Arc::clone(&self.readiness),
            render_metrics: Arc::new(move |format| match format {
                http::MetricsFormat::Text => metrics.render_text(),
                http::MetricsFormat::OpenMetrics => metrics.render(),
            }),
            access: Arc::new(http::Access {
                tokens: settings.tokens.clone().map(http::Tokens::new),
                admin_enabled: settings.admin.enabled,
                require_name: settings.admin.require_actor_subject,
                local: addr.is_none_or(|addr| addr.ip().is_loopback()),
                hosts: settings.http.hosts.clone().unwrap_or_default(),
            }),
            desk,
            feed,
            observers: self.observers.clone(),
            give_up: self.give_up.clone(),
        }
    }

    /// What the NATS side needs to serve.
    pub(super) fn nats_parts(&self, desk: Arc<Desk>) -> nats::Parts {
        let settings = &self.settings;
        let fleet = self.store.is_some().then(|| self.overrides.clone());
        nats::Parts {
            layout: layout(settings),
            reply_prefixes: settings.subjects.reply_prefixes.clone(),
            lookups: Arc::clone(&self.lookups),
            verbs: Arc::new(Verbs {
                desk,
                tools: self.tools.clone(),
                circuits: CircuitControl::new(self.tools.clone(), fleet),
                administration: settings.admin.clone(),
            }),
            max_in_flight: settings.limits.max_in_flight,
            status: Arc::clone(&self.status),
            observers: self.observers.clone(),
        }
    }
}

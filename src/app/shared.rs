//! What the parts of the daemon share, and how each part is made from it.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;

use rand::distr::{Alphanumeric, SampleString};

use crate::adapters::fixtures::FixturesSource;
use crate::adapters::http;
use crate::adapters::nats::events::{self, EventQueue};
use crate::adapters::nats::replies::ReplyRules;
use crate::adapters::nats::server as nats;
use crate::adapters::nats::subjects::Layout;
use crate::adapters::nats::verbs::{Administration, Verbs};
use crate::adapters::postgres::{Listener, Pool, PostgresSource, Reports, SetupError};
use crate::adapters::telemetry::log::LogObserver;
use crate::adapters::telemetry::metrics::Metrics;
use crate::config::Settings;
use crate::documents;
use crate::documents::event::Envelopes;
use crate::domain::catalog::{Catalog, CatalogWriter};
use crate::domain::policy::Policy;
use crate::domain::source::SourceMode;
use crate::service::lookup::Lookups;
use crate::service::observe::Observers;
use crate::service::progress::Progress;
use crate::service::read::Reads;
use crate::service::readiness::Readiness;
use crate::service::reload::{Parts, ReloadHandle, Reloader};
use crate::service::stats::Stats;
use crate::service::status::Status;

/// Length of the random text that sets a boot's event ids apart from the last boot's.
const BOOT_ID: usize = 8;

/// The daemon's shared state.
pub(super) struct Shared {
    pub(super) catalog: Arc<Catalog>,
    pub(super) status: Arc<Status>,
    pub(super) progress: Progress,
    pub(super) observers: Observers,
    pub(super) readiness: Arc<Readiness>,
    lookups: Arc<Lookups>,
    stats: Arc<Stats>,
    reply_rules: Arc<ReplyRules>,
    overloaded: Arc<AtomicU64>,
    metrics: Arc<Metrics>,
}

impl Shared {
    /// Everything that exists before anything runs; the events wait for a connection.
    pub(super) fn new(settings: &Settings) -> (Self, CatalogWriter, EventQueue) {
        let (catalog, writer) = Catalog::new();
        let status = Arc::new(Status::new(mode(settings), settings.source.sync_interval));
        let environment = settings.identity.environment.clone();
        let lookups = Arc::new(Lookups::new(Arc::clone(&catalog), environment));
        let instance_id = settings.identity.instance_id.clone();
        let boot = Alphanumeric.sample_string(&mut rand::rng(), BOOT_ID);
        let (event_observer, events) = events::channel(Envelopes::new(&instance_id, boot));
    }
}

/// `auto` without a database means fixtures.
fn mode(settings: &Settings) -> SourceMode {
    match settings.source.mode {
        SourceMode::Auto if settings.database.is_none() => SourceMode::Fixtures,
        mode => mode,
    }
}

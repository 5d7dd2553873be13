//! What is known about the sources and links, for `stats`, metrics and reply headers.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::observe::ListenerState;

/// Which source the operator chose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceMode {
    /// Postgres only.
    Database,
    /// Files only.
    Fixtures,
    /// Postgres, and files until it has answered once.
    Auto,
}

impl SourceMode {
    /// The mode's name in configuration and `stats`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Database => "database",
            Self::Fixtures => "fixtures",
            Self::Auto => "auto",
        }
    }
}

/// The last load that changed something.
#[derive(Debug, Clone, Copy)]
pub struct LastReload {
    /// When it was applied.
    pub at: SystemTime,
    /// How long it took.
    pub duration: Duration,
}

/// What a reply has to say about the age and origin of its data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Annotations {
    /// For how long the database has been away, when that is longer than the sync interval.
    pub stale_ms: Option<u64>,
    /// Whether `auto` serves fixtures.
    pub fixtures: bool,
}

#[derive(Debug)]
struct Loads {
    count: u64,
    errors: u64,
    last_reload: Option<LastReload>,
    last_contact: Option<Instant>,
    away_since: Option<Instant>,
    listener: ListenerState,
    last_error: Option<String>,
}

/// Shared state of sources and links. Written rarely, read by every reply as one relaxed load.
#[derive(Debug)]
pub struct Status {
    mode: SourceMode,
    sync_interval: Duration,
    /// Whether replies need annotations at all: almost never.
    remarkable: AtomicBool,
    auto_fixtures: AtomicBool,
    nats_links_down: AtomicU64,
    loads: Mutex<Loads>,
}

impl Status {
    /// A status in which nothing has been loaded.
    pub fn new(mode: SourceMode, sync_interval: Duration) -> Self {
        Self {
            mode,
            sync_interval,
            remarkable: AtomicBool::new(false),
            auto_fixtures: AtomicBool::new(false),
            nats_links_down: AtomicU64::new(0),
            loads: Mutex::new(Loads {
                count: 0,
                errors: 0,
                last_reload: None,
                last_contact: None,
                away_since: None,
                listener: ListenerState::Off,
                last_error: None,
            }),
        }
    }

    /// The source the operator chose.
    pub fn mode(&self) -> SourceMode {
        self.mode
    }

    /// What replies have to say about their data; `None` nearly always.
    pub fn annotations(&self) -> Option<Annotations> {
        if !self.remarkable.load(Ordering::Relaxed) {
            return None;
        }
        let away = self.loads().away_since.map(|since| since.elapsed());
        let stale_ms = away.filter(|away| *away > self.sync_interval).map(millis);
        let fixtures = self.auto_fixtures.load(Ordering::Relaxed);
        (stale_ms.is_some() || fixtures).then_some(Annotations { stale_ms, fixtures })
    }

    /// Notes a successful read; true if the database was away before.
    pub(super) fn database_answered(&self) -> bool {
        let mut loads = self.loads();
        let was_away = loads.away_since.take().is_some() || loads.last_contact.is_none();
        loads.last_contact = Some(Instant::now());
        self.refresh(&loads);
        was_away
    }

    /// Notes a failed read; true if the database was there before.
    pub(super) fn database_failed(&self) -> bool {
        let mut loads = self.loads();
        loads.errors += 1;
        let was_there = loads.away_since.is_none();
        loads.away_since.get_or_insert_with(Instant::now);
        self.refresh(&loads);
        was_there
    }

    /// Notes a read of fixtures that failed.
    pub(super) fn fixtures_failed(&self) {
        self.loads().errors += 1;
    }

    /// Notes why a load failed, until one succeeds.
    pub(super) fn load_failed(&self, error: String) {
        self.loads().last_error = Some(error);
    }

    /// Notes a load that was applied.
    pub(super) fn applied(&self, changed: bool, duration: Duration, fixtures: bool) {
        let mut loads = self.loads();
        loads.count += 1;
        loads.last_error = None;
        if changed {
            loads.last_reload = Some(LastReload {
                at: SystemTime::now(),
                duration,
            });
        }
        self.auto_fixtures
            .store(self.mode == SourceMode::Auto && fixtures, Ordering::Relaxed);
        self.refresh(&loads);
    }

    /// Notes how changes are learnt of; the state before.
    pub fn set_listener(&self, state: ListenerState) -> ListenerState {
        std::mem::replace(&mut self.loads().listener, state)
    }

    /// Notes that a connection to NATS came or went.
    pub fn nats_link(&self, up: bool) {
        if up {
            let _ = self
                .nats_links_down
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| {
                    Some(n.saturating_sub(1))
                });
        } else {
            self.nats_links_down.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Whether every connection to NATS is there.
    pub fn nats_up(&self) -> bool {
        self.nats_links_down.load(Ordering::Relaxed) == 0
    }

    /// How changes are learnt of.
    pub fn listener(&self) -> ListenerState {
        self.loads().listener
    }

    /// Whether the last read of the database succeeded; `None` before the first.
    pub fn database_up(&self) -> Option<bool> {
        let loads = self.loads();
        match (loads.away_since, loads.last_contact) {
            (Some(_), _) => Some(false),
            (None, Some(_)) => Some(true),
            (None, None) => None,
        }
    }

    /// How long ago the database last confirmed the data; `None` before the first time.
    pub fn staleness(&self) -> Option<Duration> {
        self.loads().last_contact.map(|contact| contact.elapsed())
    }

    /// Loads applied, loads failed, and the last load that changed something.
    pub fn load_figures(&self) -> (u64, u64, Option<LastReload>) {
        let loads = self.loads();
        (loads.count, loads.errors, loads.last_reload)
    }

    /// Why the last load failed; `None` if it did not.
    pub fn last_error(&self) -> Option<String> {
        self.loads().last_error.clone()
    }

    fn refresh(&self, loads: &Loads) {
        let remarkable = loads.away_since.is_some() || self.auto_fixtures.load(Ordering::Relaxed);
        self.remarkable.store(remarkable, Ordering::Relaxed);
    }

    fn loads(&self) -> MutexGuard<'_, Loads> {
        self.loads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A duration in whole milliseconds.
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

//! What is known about the sources and links, for `stats`, metrics and reply headers.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::clock::millis;
use super::observe::ListenerState;
use super::trouble::DatabaseError;
use crate::domain::lock::locked;
use crate::domain::quote::quoted_within;
pub use crate::domain::source::SourceMode;

/// The most bytes that are kept of why a load failed.
const MAX_ERROR: usize = 1000;

/// The name of the connection that extensions are called on.
pub const INVOCATIONS: &str = "invoke";

/// The last load that changed something.
#[derive(Debug, Clone, Copy)]
pub struct LastReload {
    /// When it was applied.
    pub at: Instant,
    /// How long it took.
    pub duration: Duration,
}

/// What a reply reports about the age and origin of its data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Annotations {
    /// How long ago the database last answered (or this started, if it never has), when it cannot
    /// be used now and that is longer than the sync interval.
    pub stale_ms: Option<u64>,
    /// Whether `auto` serves fixtures.
    pub fixtures: bool,
}

/// Why the database cannot be used now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Down {
    /// The latest reason.
    pub error: DatabaseError,
    /// When it was first found so.
    pub since: Instant,
}

/// What is known of the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DatabaseState {
    /// There is none, or it has not been asked yet.
    Off,
    /// Its data could be read when that was last tried, and it answers.
    Up,
    /// It cannot be used.
    Down(Down),
}

impl DatabaseState {
    /// The state's name in `stats`. Only a database that does not answer has the state `away`.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Up => "up",
            Self::Down(down) if down.error.is_unreachable() => "away",
            Self::Down(_) => "failing",
        }
    }
}

#[derive(Debug, Default)]
struct Loads {
    count: u64,
    errors: u64,
    last_reload: Option<LastReload>,
    /// The one clock of staleness: when the database last confirmed that the data is what it has.
    last_answer: Option<Instant>,
    down: Option<Down>,
    listener: ListenerState,
    last_error: Option<String>,
}

/// Shared state of sources and links. Written rarely, read by every reply as one relaxed load.
#[derive(Debug)]
pub struct Status {
    mode: SourceMode,
    sync_interval: Duration,
    started: Instant,
    /// Whether replies need annotations at all: almost never.
    remarkable: AtomicBool,
    auto_fixtures: AtomicBool,
    /// Connections to NATS and whether each is there.
    nats_links: Mutex<Vec<(&'static str, bool)>>,
    loads: Mutex<Loads>,
}

impl Status {
    /// A status in which nothing has been loaded.
    pub fn new(mode: SourceMode, sync_interval: Duration) -> Self {
        Self {
            mode,
            sync_interval,
            started: Instant::now(),
            remarkable: AtomicBool::new(false),
            auto_fixtures: AtomicBool::new(false),
            nats_links: Mutex::default(),
            loads: Mutex::default(),
        }
    }

    /// The source the operator chose.
    pub fn mode(&self) -> SourceMode {
        self.mode
    }

    /// What replies report about their data; `None` nearly always.
    pub fn annotations(&self) -> Option<Annotations> {
        if !self.remarkable.load(Ordering::Relaxed) {
            return None;
        }
        let loads = locked(&self.loads);
        let answered = loads.last_answer.unwrap_or(self.started);
        let stale = loads.down.is_some().then(|| answered.elapsed());
        drop(loads);
        let stale_ms = stale
            .filter(|stale| *stale > self.sync_interval)
            .map(millis);
        let fixtures = self.auto_fixtures.load(Ordering::Relaxed);
        (stale_ms.is_some() || fixtures).then_some(Annotations { stale_ms, fixtures })
    }

    /// Notes a load from the database that succeeded as a whole; true if that is a change.
    pub(super) fn database_answered(&self) -> bool {
        let mut loads = locked(&self.loads);
        let was_down = loads.down.take().is_some() || loads.last_answer.is_none();
        loads.last_answer = Some(Instant::now());
        loads.last_error = None;
        self.refresh(&loads);
        was_down
    }

    /// Notes that the database has answered on the connection that carries notifications. What it
    /// was that failed has to be tried again before that is over.
    pub fn database_alive(&self) {
        let mut loads = locked(&self.loads);
        if loads.down.is_none() && loads.last_answer.is_some() {
            loads.last_answer = Some(Instant::now());
        }
    }

    /// Notes a failed read; true if that, or its kind, is a change.
    pub(super) fn database_failed(&self, error: &DatabaseError) -> bool {
        self.goes_down(&mut locked(&self.loads), error)
    }

    /// Notes that the database is silent; true if that is a change.
    pub fn database_silent(&self, error: &DatabaseError) -> bool {
        let mut loads = locked(&self.loads);
        loads.last_error = Some(error.outside());
        self.goes_down(&mut loads, error)
    }

    fn goes_down(&self, loads: &mut Loads, error: &DatabaseError) -> bool {
        let before = loads.down.take();
        let news = before
            .as_ref()
            .is_none_or(|down| down.error.trouble != error.trouble);
        loads.down = Some(Down {
            error: error.clone(),
            since: before.map_or_else(Instant::now, |down| down.since),
        });
        self.refresh(loads);
        news
    }

    /// Counts a load that failed, and notes why, until one succeeds: where it is the database, one of
    /// that.
    pub(super) fn load_failed(&self, error: &str) {
        let mut loads = locked(&self.loads);
        loads.errors += 1;
        loads.last_error = Some(quoted_within(error, MAX_ERROR));
    }

    /// Notes a load that was applied.
    pub(super) fn applied(&self, changed: bool, duration: Duration, fixtures: bool) {
        let mut loads = locked(&self.loads);
        loads.count += 1;
        // A database that cannot be used is repaired neither by files that are served instead, nor by
        // a first read: see `database_answered`.
        if loads.down.is_none() {
            loads.last_error = None;
        }
        if changed {
            loads.last_reload = Some(LastReload {
                at: Instant::now(),
                duration,
            });
        }
        self.auto_fixtures
            .store(self.mode == SourceMode::Auto && fixtures, Ordering::Relaxed);
        self.refresh(&loads);
    }

    /// Notes how changes are learnt of; the state before.
    pub fn set_listener(&self, state: ListenerState) -> ListenerState {
        std::mem::replace(&mut locked(&self.loads).listener, state)
    }

    /// Notes that a connection to NATS is there or not; the first note makes it known.
    pub fn nats_link(&self, connection: &'static str, up: bool) {
        let mut links = locked(&self.nats_links);
        match links.iter_mut().find(|(name, _)| *name == connection) {
            Some(link) => link.1 = up,
            None => links.push((connection, up)),
        }
    }

    /// Whether every connection to NATS is there.
    pub fn nats_up(&self) -> bool {
        let links = locked(&self.nats_links);
        !links.is_empty() && links.iter().all(|(_, up)| *up)
    }

    /// How changes are learnt of.
    pub fn listener(&self) -> ListenerState {
        locked(&self.loads).listener
    }

    /// What is known of the database.
    pub fn database(&self) -> DatabaseState {
        let loads = locked(&self.loads);
        match (&loads.down, loads.last_answer) {
            (Some(down), _) => DatabaseState::Down(down.clone()),
            (None, Some(_)) => DatabaseState::Up,
            (None, None) => DatabaseState::Off,
        }
    }

    /// Whether the database can be used; `None` before it was asked.
    pub fn database_up(&self) -> Option<bool> {
        match self.database() {
            DatabaseState::Off => None,
            DatabaseState::Up => Some(true),
            DatabaseState::Down(_) => Some(false),
        }
    }

    /// How long ago the database last confirmed the data; `None` before the first time.
    pub fn staleness(&self) -> Option<Duration> {
        let answered = locked(&self.loads).last_answer;
        answered.map(|answered| answered.elapsed())
    }

    /// Loads applied, loads failed, and the last load that changed something.
    pub fn load_figures(&self) -> (u64, u64, Option<LastReload>) {
        let loads = locked(&self.loads);
        (loads.count, loads.errors, loads.last_reload)
    }

    /// Why the last load failed; `None` if it did not.
    pub fn last_error(&self) -> Option<String> {
        locked(&self.loads).last_error.clone()
    }

    fn refresh(&self, loads: &Loads) {
        let remarkable = loads.down.is_some() || self.auto_fixtures.load(Ordering::Relaxed);
        self.remarkable.store(remarkable, Ordering::Relaxed);
    }
}

#[cfg(test)]
#[path = "status_tests.rs"]
mod tests;

//! What is known about the sources and links, for `stats`, metrics and reply headers.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::clock::Clock;
use super::observe::ListenerState;
pub use crate::domain::source::SourceMode;

/// The name of the connection that extensions are called on.
pub const INVOCATIONS: &str = "invoke";

/// The last load that changed something.
#[derive(Debug, Clone, Copy)]
pub struct LastReload {
    /// When it was applied.
    at: Instant,
    /// How long it took.
    pub duration: Duration,
}

impl LastReload {
    /// When it was applied, by the wall clock as it is set now.
    pub fn at(&self) -> SystemTime {
        Clock::default().wall_of(self.at.into_std())
    }
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
            remarkable: AtomicBool::new(false),
            auto_fixtures: AtomicBool::new(false),
            nats_links: Mutex::default(),
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

    /// Notes why a load failed, until one succeeds: with a database that is away, one of it.
    pub(super) fn load_failed(&self, error: String) {
        self.loads().last_error = Some(error);
    }

    /// Notes a load that was applied.
    pub(super) fn applied(&self, changed: bool, duration: Duration, fixtures: bool) {
        let mut loads = self.loads();
        loads.count += 1;
        // Files that are served instead do not mend a database that is away.
        if !(fixtures && loads.away_since.is_some()) {
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
        std::mem::replace(&mut self.loads().listener, state)
    }

    /// Notes that a connection to NATS is there or not; the first note makes it known.
    pub fn nats_link(&self, connection: &'static str, up: bool) {
        let mut links = self
            .nats_links
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        match links.iter_mut().find(|(name, _)| *name == connection) {
            Some(link) => link.1 = up,
            None => links.push((connection, up)),
        }
    }

    /// Whether every connection to NATS is there.
    pub fn nats_up(&self) -> bool {
        let links = self
            .nats_links
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        !links.is_empty() && links.iter().all(|(_, up)| *up)
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

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(60);
    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn replies_tell_of_a_database_away_longer_than_the_sync_interval() {
        let status = Status::new(SourceMode::Database, INTERVAL);
        assert_eq!((status.database_up(), status.staleness()), (None, None));
        assert!(
            status.database_answered(),
            "it is news that the database is there"
        );
        assert!(!status.database_answered());
        assert_eq!(status.annotations(), None);

        assert!(status.database_failed(), "it is news that it is away");
        tokio::time::advance(INTERVAL).await;
        assert!(
            !status.database_failed(),
            "it has been away since the first failure"
        );
        assert_eq!(
            (status.database_up(), status.annotations()),
            (Some(false), None)
        );
        tokio::time::advance(SECOND).await;
        let told = Annotations {
            stale_ms: Some(61_000),
            fixtures: false,
        };
        assert_eq!(status.annotations(), Some(told));
        assert_eq!(status.staleness(), Some(INTERVAL + SECOND));

        assert!(status.database_answered());
        assert_eq!(
            (status.database_up(), status.annotations()),
            (Some(true), None)
        );
        assert_eq!(status.staleness(), Some(Duration::ZERO));
    }

    #[tokio::test(start_paused = true)]
    async fn fixtures_are_told_of_only_where_a_database_was_hoped_for() {
        for (mode, told) in [(SourceMode::Auto, true), (SourceMode::Fixtures, false)] {
            let status = Status::new(mode, INTERVAL);
            status.applied(true, SECOND, true);
            assert_eq!(status.annotations().is_some_and(|told| told.fixtures), told);
            status.applied(true, SECOND, false);
            assert_eq!(status.annotations(), None);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_load_that_changed_something_is_the_last_reload() {
        let status = Status::new(SourceMode::Database, INTERVAL);
        status.applied(true, SECOND, false);
        status.applied(false, INTERVAL, false);
        status.fixtures_failed();
        status.database_failed();
        let (loads, errors, last) = status.load_figures();
        assert_eq!((loads, errors), (2, 2));
        assert_eq!(last.unwrap().duration, SECOND);
    }

    #[test]
    fn files_served_instead_do_not_hide_why_the_database_is_away() {
        let status = Status::new(SourceMode::Auto, INTERVAL);
        status.database_failed();
        status.load_failed("the database is away".into());
        status.applied(true, SECOND, true);
        assert_eq!(status.last_error().as_deref(), Some("the database is away"));
        status.database_answered();
        status.applied(true, SECOND, false);
        assert_eq!(status.last_error(), None);
    }

    #[test]
    fn nats_is_up_while_every_link_is() {
        let status = Status::new(SourceMode::Fixtures, INTERVAL);
        for (connection, up, all_up) in [
            ("main", true, true),
            ("lookup", false, false),
            ("main", false, false),
            ("main", false, false),
            ("main", true, false),
            ("lookup", true, true),
            ("lookup", true, true),
            ("lookup", false, false),
        ] {
            status.nats_link(connection, up);
            assert_eq!(status.nats_up(), all_up, "{connection} {up}");
        }
    }

    #[test]
    fn the_listener_tells_its_state_before() {
        let status = Status::new(SourceMode::Database, INTERVAL);
        assert_eq!(
            status.set_listener(ListenerState::Listening),
            ListenerState::Off
        );
        assert_eq!(status.listener(), ListenerState::Listening);
    }
}

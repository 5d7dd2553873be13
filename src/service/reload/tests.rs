//! Which source serves when: the auto mode's way from files to the database and no way back.
//!
//! The sources are stand-ins for the ports; what real files and a real Postgres do is shown by the
//! integration tests. Time is paused: whatever waits, waits for nothing real.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::task::JoinHandle;

use super::*;
use crate::domain::catalog::{ActiveSource, Catalog};
use crate::domain::ids::ExtensionId;
use crate::domain::reconcile::{Delta, Everything};
use crate::domain::testing::{extension, prepare};
use crate::service::observe::{Observation, Observer};
use crate::service::source::{Read, Want};
use crate::service::status::{DatabaseState, SourceMode};
use crate::service::trouble::{DatabaseError, Trouble};

const SYNC_INTERVAL: Duration = Duration::from_secs(60);

/// How long a silent database is waited for.
const SILENCE: Duration = Duration::from_secs(10);

/// A database with one extension per revision, which may be unreachable, silent, or hide rows from
/// whatever looks at all of them.
#[derive(Debug, Default)]
struct Switch {
    up: AtomicBool,
    silent: AtomicBool,
    hides: AtomicBool,
    revision: AtomicU64,
    reads: AtomicU64,
    digests: AtomicU64,
    connections: AtomicU64,
}

impl Database for Switch {
    async fn read(&self, want: &Want) -> Result<Read, SourceError> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        if self.silent.load(Ordering::Relaxed) {
            tokio::time::sleep(SILENCE).await;
        }
        if !self.up.load(Ordering::Relaxed) {
            return Err(DatabaseError::unreachable("switched off").into());
        }
        let revision = self.revision.load(Ordering::Relaxed);
        let known = want.known.as_ref().map_or(0, |known| known.revision);
        let names = (known + 1..=revision).map(|revision| format!("db{revision}"));
        let extensions = names.clone().map(|name| extension(&name)).collect();
        Ok(match &want.known {
            Some(known) if known.revision == revision => Read::Unchanged,
            Some(_) => Read::Delta(Delta {
                revision,
                touched: names.collect(),
                extensions,
                faults: Vec::new(),
            }),
            None => Read::Everything(Everything {
                source: ActiveSource::Database,
                epoch: Some("epoch".into()),
                revision,
                extensions,
                faults: Vec::new(),
            }),
        })
    }

    async fn digest(&self) -> Result<(u64, u64), SourceError> {
        self.digests.fetch_add(1, Ordering::Relaxed);
        if self.hides.load(Ordering::Relaxed) {
            return Err(DatabaseError::new(Trouble::Hidden, "row security").into());
        }
        Ok((self.revision.load(Ordering::Relaxed), 0))
    }

    fn connections_made(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }
}

/// A folder with one file, which may be missing, and how often it was read.
#[derive(Debug, Default)]
struct OneFile {
    missing: AtomicBool,
    reads: AtomicU64,
}

impl Fixtures for Arc<OneFile> {
    async fn read(&self) -> Result<Everything, SourceError> {
        if self.missing.load(Ordering::Relaxed) {
            return Err(SourceError::Unreadable("no such folder".into()));
        }
        self.reads.fetch_add(1, Ordering::Relaxed);
        Ok(Everything {
            source: ActiveSource::Fixtures,
            epoch: None,
            revision: 0,
            extensions: vec![extension("file")],
            faults: Vec::new(),
        })
    }
}

/// Keeps the changes of source, whether the database could be used, the revisions loaded, how many
/// loads failed, and which one was announced when what follows from the next one was done.
#[derive(Clone, Default)]
struct Moves {
    sources: Arc<Mutex<Vec<(ActiveSource, ActiveSource)>>>,
    usable: Arc<Mutex<Vec<bool>>>,
    loaded: Arc<Mutex<Vec<(u64, usize)>>>,
    failed: Arc<AtomicU64>,
    announced: Arc<Mutex<Vec<u64>>>,
}

impl Observer for Moves {
    fn observe(&self, observation: &Observation) {
        match observation {
            Observation::SourceChanged { from, to } => {
                self.sources.lock().unwrap().push((*from, *to));
            }
            Observation::DatabaseUp => self.usable.lock().unwrap().push(true),
            Observation::DatabaseDown(_) => self.usable.lock().unwrap().push(false),
            Observation::Loaded(load) => {
                let told = (load.revision, load.counts.added);
                self.loaded.lock().unwrap().push(told);
            }
            Observation::LoadFailed { .. } => {
                self.failed.fetch_add(1, Ordering::Relaxed);
            }
            _ => {}
        }
    }
}

struct Running {
    catalog: Arc<Catalog>,
    database: Arc<Switch>,
    files: Arc<OneFile>,
    status: Arc<Status>,
    moves: Moves,
    handle: ReloadHandle,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

fn start(mode: SourceMode, up: bool) -> Running {
    let (catalog, writer) = Catalog::new();
    let database = Arc::new(Switch::default());
    database.up.store(up, Ordering::Relaxed);
    database.revision.store(1, Ordering::Relaxed);
    let files = Arc::<OneFile>::default();
    let status = Arc::new(Status::new(mode, SYNC_INTERVAL));
    let (moves, progress) = (Moves::default(), Progress::default());
    let (announced, before) = (Arc::clone(&moves.announced), progress.clone());
    let (reloader, handle) = Reloader::new(Parts {
        writer,
        prepare: Arc::new(prepare),
        database: Some(Arc::clone(&database)),
        fixtures: Some(Arc::clone(&files)),
        status: Arc::clone(&status),
        progress,
        observers: Observers::new(vec![Box::new(moves.clone())]),
        applied: Box::new(move || announced.lock().unwrap().push(before.current())),
        sync_interval: SYNC_INTERVAL,
    });
    let stop = CancellationToken::new();
    let task = tokio::spawn(reloader.run(stop.clone()));
    Running {
        catalog,
        database,
        files,
        status,
        moves,
        handle,
        stop,
        task,
    }
}

impl Running {
    /// Advances time until `condition`, at most by `limit`.
    async fn within(&self, limit: Duration, condition: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + limit;
        while !condition(self) {
            assert!(
                Instant::now() < deadline,
                "not within {limit:?}: {:?}",
                self.catalog.head()
            );
            tokio::time::advance(Duration::from_millis(10)).await;
        }
    }

    fn serves(&self, source: ActiveSource, id: &str) -> bool {
        self.catalog.head().source == source && self.catalog.get(id).is_some()
    }

    fn reads(&self) -> u64 {
        self.database.reads.load(Ordering::Relaxed)
    }

    fn files_read(&self) -> u64 {
        self.files.reads.load(Ordering::Relaxed)
    }

    async fn stopped(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn auto_goes_from_files_to_the_database_and_never_back() {
    let run = start(SourceMode::Auto, false);
    run.within(Duration::from_secs(1), |run| {
        run.serves(ActiveSource::Fixtures, "file")
    })
    .await;
    run.database.up.store(true, Ordering::Relaxed);
    run.within(Duration::from_secs(11), |run| {
        run.serves(ActiveSource::Database, "db1")
    })
    .await;
    assert!(run.catalog.get("file").is_none());

    run.database.up.store(false, Ordering::Relaxed);
    assert_eq!(
        run.handle.reload(None).await.unwrap_err().code(),
        "database_unavailable"
    );
    let error = run.status.last_error().unwrap();
    assert_eq!(error, "the database is unreachable");
    run.handle.hint(Hint::Files);
    let reads = run.reads();
    run.within(Duration::from_secs(60), |run| run.reads() > reads + 3)
        .await;
    assert!(run.serves(ActiveSource::Database, "db1"));
    let (from, to) = (ActiveSource::Fixtures, ActiveSource::Database);
    assert_eq!(*run.moves.sources.lock().unwrap(), [(from, to)]);
    run.stopped().await;
}

#[tokio::test(start_paused = true)]
async fn files_that_change_do_not_slow_down_the_way_to_the_database() {
    let run = start(SourceMode::Auto, false);
    run.within(Duration::from_secs(1), |run| {
        run.serves(ActiveSource::Fixtures, "file")
    })
    .await;
    assert_eq!(run.status.database_up(), Some(false));
    let report = run.handle.reload(None).await.unwrap();
    assert_eq!((report.source, report.total), (ActiveSource::Fixtures, 1));
    let reads = run.reads();
    run.handle.hint(Hint::Files);
    run.within(Duration::from_secs(1), |run| run.reads() > reads)
        .await;
    run.database.up.store(true, Ordering::Relaxed);
    // The longest pause, doubled by jitter; a sync interval is far longer.
    run.within(LONGEST_RETRY * 2, |run| {
        run.serves(ActiveSource::Database, "db1")
    })
    .await;
    run.stopped().await;
}

#[tokio::test(start_paused = true)]
async fn an_edit_is_served_while_a_silent_database_is_waited_for() {
    let run = start(SourceMode::Auto, false);
    run.within(Duration::from_secs(1), |run| {
        run.serves(ActiveSource::Fixtures, "file")
    })
    .await;
    run.database.silent.store(true, Ordering::Relaxed);
    let reads = run.reads();
    run.within(LONGEST_RETRY * 2, |run| run.reads() > reads)
        .await;
    for _ in 0..3 {
        let files_read = run.files_read();
        run.handle.hint(Hint::Files);
        run.within(Duration::from_secs(1), |run| run.files_read() > files_read)
            .await;
    }
    assert_eq!(run.reads(), reads + 1, "the database is still waited for");
    run.database.up.store(true, Ordering::Relaxed);
    run.within(SILENCE, |run| run.serves(ActiveSource::Database, "db1"))
        .await;
    assert_eq!(run.reads(), reads + 1);
    run.stopped().await;
}

#[tokio::test(start_paused = true)]
async fn files_that_could_not_be_read_are_read_again_without_another_edit() {
    let run = start(SourceMode::Auto, false);
    run.within(Duration::from_secs(1), |run| {
        run.serves(ActiveSource::Fixtures, "file")
    })
    .await;
    run.files.missing.store(true, Ordering::Relaxed);
    let files_read = run.files_read();
    run.handle.hint(Hint::Files);
    run.within(Duration::from_secs(1), |run| {
        let error = run.status.last_error();
        error.is_some_and(|it| it.contains("no such folder"))
    })
    .await;
    assert!(run.serves(ActiveSource::Fixtures, "file"));
    run.files.missing.store(false, Ordering::Relaxed);
    run.within(LONGEST_RETRY * 2, |run| run.files_read() > files_read)
        .await;
    let reads = run.reads();
    run.within(LONGEST_RETRY * 3, |run| run.reads() > reads)
        .await;
    assert_eq!(run.files_read(), files_read + 1, "once is enough");
    run.stopped().await;
}

/// `stats` counts what the metric does.
#[tokio::test(start_paused = true)]
async fn a_load_that_fails_is_one_error_also_where_neither_source_can_be_read() {
    let run = start(SourceMode::Auto, false);
    run.files.missing.store(true, Ordering::Relaxed);
    let failed = |run: &Running| run.moves.failed.load(Ordering::Relaxed);
    run.within(SYNC_INTERVAL, |run| failed(run) > 2).await;
    assert_eq!(run.status.load_figures().1, failed(&run));
    run.stopped().await;
}

#[tokio::test(start_paused = true)]
async fn the_timer_finds_what_no_notification_told_of() {
    let run = start(SourceMode::Database, true);
    run.within(Duration::from_secs(1), |run| {
        run.serves(ActiveSource::Database, "db1")
    })
    .await;
    run.database.revision.store(2, Ordering::Relaxed);
    run.within(SYNC_INTERVAL * 2, |run| {
        run.serves(ActiveSource::Database, "db2")
    })
    .await;
    run.database.revision.store(3, Ordering::Relaxed);
    run.handle.hint(Hint::Database);
    run.within(Duration::from_secs(1), |run| {
        run.serves(ActiveSource::Database, "db3")
    })
    .await;
    let one = ExtensionId::parse("db3").unwrap();
    let report = run.handle.reload(Some(one)).await.unwrap();
    assert!(report.counts.is_empty());
    assert_eq!((report.total, report.revision), (3, 3));
    let handle = run.handle.clone();
    run.stopped().await;
    assert_eq!(
        handle.reload(None).await.unwrap_err().code(),
        "shutting_down"
    );
}

#[tokio::test(start_paused = true)]
async fn hints_that_never_pause_put_off_neither_the_sync_nor_the_next_attempt() {
    let run = start(SourceMode::Auto, true);
    run.within(Duration::from_secs(1), |run| {
        run.serves(ActiveSource::Database, "db1")
    })
    .await;
    run.within(SYNC_INTERVAL * 12, |run| {
        run.handle.hint(Hint::Database);
        run.database.digests.load(Ordering::Relaxed) > 0
    })
    .await;
    run.stopped().await;

    let run = start(SourceMode::Auto, false);
    run.within(Duration::from_secs(1), |run| {
        run.serves(ActiveSource::Fixtures, "file")
    })
    .await;
    run.database.up.store(true, Ordering::Relaxed);
    run.within(LONGEST_RETRY * 2, |run| {
        run.handle.hint(Hint::Files);
        run.serves(ActiveSource::Database, "db1")
    })
    .await;
    run.stopped().await;
}

#[tokio::test(start_paused = true)]
async fn the_database_mode_serves_nothing_until_the_database_answers() {
    let run = start(SourceMode::Database, false);
    run.within(Duration::from_secs(60), |run| run.reads() > 3)
        .await;
    assert_eq!(run.catalog.head().source, ActiveSource::None);
    run.database.up.store(true, Ordering::Relaxed);
    run.within(LONGEST_RETRY * 2, |run| {
        run.serves(ActiveSource::Database, "db1")
    })
    .await;
    run.stopped().await;
}

#[tokio::test(start_paused = true)]
async fn while_only_a_part_can_be_read_the_database_stays_down() {
    let run = start(SourceMode::Database, true);
    run.within(Duration::from_secs(1), |run| {
        run.serves(ActiveSource::Database, "db1")
    })
    .await;
    run.database.hides.store(true, Ordering::Relaxed);
    run.handle.hint(Hint::Reconnected);
    let down = |run: &Running| run.status.database_up() == Some(false);
    run.within(Duration::from_secs(1), down).await;
    let before = run.status.database();
    let reads = run.reads();
    run.within(SYNC_INTERVAL, |run| run.reads() > reads + 3)
        .await;
    match (before, run.status.database()) {
        (DatabaseState::Down(before), DatabaseState::Down(now)) => {
            assert_eq!(before, now, "since when, too");
        }
        states => panic!("{states:?}"),
    }
    let (stale, error) = (run.status.staleness(), run.status.last_error());
    assert!(stale > Some(Duration::from_millis(500)), "{stale:?}");
    assert!(error.is_some(), "why it is down");

    run.database.hides.store(false, Ordering::Relaxed);
    run.within(LONGEST_RETRY * 2, |run| !down(run)).await;
    assert_eq!(run.status.last_error(), None);
    assert_eq!(*run.moves.usable.lock().unwrap(), [true, false, true]);
    run.stopped().await;
}

/// A connection that breaks between a read and the comparison of digests: what was read is served.
#[tokio::test(start_paused = true)]
async fn a_change_is_told_once_although_its_load_fails_after_it() {
    let run = start(SourceMode::Database, true);
    run.within(Duration::from_secs(1), |run| {
        run.serves(ActiveSource::Database, "db1")
    })
    .await;
    run.database.hides.store(true, Ordering::Relaxed);
    run.database.revision.store(2, Ordering::Relaxed);
    run.handle.hint(Hint::Reconnected);
    let down = |run: &Running| run.status.database_up() == Some(false);
    run.within(Duration::from_secs(1), down).await;
    assert!(run.serves(ActiveSource::Database, "db2"));
    run.database.hides.store(false, Ordering::Relaxed);
    run.within(LONGEST_RETRY * 2, |run| !down(run)).await;
    assert_eq!(*run.moves.loaded.lock().unwrap(), [(1, 1), (2, 1)]);
    run.stopped().await;
}

#[tokio::test(start_paused = true)]
async fn a_revision_is_announced_after_what_follows_from_it_is_done() {
    let run = start(SourceMode::Database, true);
    for revision in 1..=3 {
        run.database.revision.store(revision, Ordering::Relaxed);
        run.handle.hint(Hint::Database);
        let id = format!("db{revision}");
        let served = |run: &Running| run.serves(ActiveSource::Database, &id);
        run.within(Duration::from_secs(1), served).await;
    }
    assert_eq!(*run.moves.announced.lock().unwrap(), [0, 1, 2]);
    run.stopped().await;
}

//! One load: choose the source, and read it; [`applied`] makes it visible and reports it.

mod applied;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use self::applied::Applied;
use super::Parts;
use super::inbox::{Dirty, ReloadReport};
use crate::domain::catalog::ActiveSource;
use crate::domain::ids::ExtensionId;
use crate::domain::reconcile;
use crate::service::observe::{Observation, Trigger};
use crate::service::source::{Database, Fixtures, Known, Read, SourceError, Want};
use crate::service::status::SourceMode;
use crate::service::trouble::DatabaseError;

/// Every this many syncs the digests are compared too: rows can change without a revision,
/// under `pg_restore --disable-triggers` for one.
const SYNCS_PER_DIGEST: u32 = 10;

/// When the digests are due. After a connection was lost it may be another server that answers,
/// whose history has the same number for something else (an asynchronous failover, a restore).
#[derive(Debug, Default)]
struct Digests {
    syncs: u32,
    reconnected: bool,
    connections_made: u64,
}

impl Digests {
    fn are_due(&self) -> bool {
        self.reconnected || self.syncs >= SYNCS_PER_DIGEST
    }

    /// Whatever was read or compared by now is the server's that has answered.
    fn done(&mut self) {
        self.syncs = 0;
        self.reconnected = false;
    }
}

type Loaded = Result<Applied, SourceError>;

/// Reads sources into the catalog; owned by the one task that may.
pub struct Loader<D, F> {
    pub(super) parts: Parts<D, F>,
    /// Edits of files during a load.
    dirty: Arc<Dirty>,
    /// Whether the last read of the files succeeded.
    files_are_read: bool,
    digests: Digests,
}

impl<D: Database, F: Fixtures> Loader<D, F> {
    pub(super) fn new(parts: Parts<D, F>, dirty: Arc<Dirty>) -> Self {
        Self {
            parts,
            dirty,
            files_are_read: false,
            digests: Digests::default(),
        }
    }

    /// Reads the source in force and applies it. A failure changes nothing. A request has everything
    /// read, or the extension `also` whether or not it has changed.
    pub(super) async fn load(
        &mut self,
        trigger: Trigger,
        also: Option<&ExtensionId>,
    ) -> Result<ReloadReport, SourceError> {
        let started = Instant::now();
        let result = match self.parts.status.mode() {
            SourceMode::Fixtures => self.load_fixtures().await,
            SourceMode::Database => self.load_database(trigger, also).await,
            SourceMode::Auto => self.load_auto(trigger, also).await,
        };
        self.tell(trigger, &result, started.elapsed());
        result.map(|applied| {
            let head = self.parts.writer.catalog().head();
            ReloadReport {
                counts: applied.counts,
                total: self.parts.writer.catalog().sizes().0,
                duration: started.elapsed(),
                revision: head.revision,
                source: head.source,
            }
        })
    }

    /// Takes notice of a load that panicked; what was served before is served still.
    pub(super) fn panicked(&self, trigger: Trigger) {
        self.tell(trigger, &Err(SourceError::Bug), Duration::ZERO);
    }

    /// Has the digests compared at the next good read.
    pub(super) fn compare(&mut self) {
        self.digests.reconnected = true;
    }

    /// The database first, files while none has answered since the start.
    async fn load_auto(&mut self, trigger: Trigger, also: Option<&ExtensionId>) -> Loaded {
        if trigger == Trigger::Files && self.serves() != ActiveSource::Database {
            // An edit is served at once; a database that comes back is found by the retries.
            return self.load_fixtures().await;
        }
        let error = match self.load_database(trigger, also).await {
            // Files serve only while no database has answered since the start.
            Err(error) if self.serves() != ActiveSource::Database => error,
            other => return other,
        };
        match trigger {
            // A request for a reload gets what there is.
            Trigger::Request => self.load_fixtures().await,
            // At the start, and where an edit could not be read when it came.
            _ if !self.files_are_read => {
                let applied = self.load_fixtures().await?;
                self.tell_success(trigger, &applied, applied.duration);
                self.parts.progress.loaded();
                Err(error)
            }
            _ => Err(error),
        }
    }

    /// Where the data comes from that is served.
    fn serves(&self) -> ActiveSource {
        self.parts.writer.catalog().head().source
    }

    async fn load_fixtures(&mut self) -> Loaded {
        let started = Instant::now();
        let Some(fixtures) = &self.parts.fixtures else {
            return Err(SourceError::Unreadable("no folder is configured".into()));
        };
        let read = fixtures.read().await;
        self.files_are_read = read.is_ok();
        Ok(self.apply_read(Read::Everything(read?), started))
    }

    async fn load_database(&mut self, trigger: Trigger, also: Option<&ExtensionId>) -> Loaded {
        let started = Instant::now();
        let result = self.read_and_apply(trigger, also, started).await;
        match &result {
            // Not before all of it succeeded: what one query may read, the next may not.
            Ok(_) => {
                if self.parts.status.database_answered() {
                    self.observe(&Observation::DatabaseUp);
                }
            }
            Err(SourceError::Database(error)) => {
                self.digests.reconnected = true;
                if self.parts.status.database_failed(error) {
                    let down = Observation::DatabaseDown(error.clone());
                    self.observe(&down);
                }
            }
            Err(_) => {}
        }
        result
    }

    /// Reads what is asked for, applies it, and compares digests where that is due: also after
    /// a change, for rows that did not change may differ.
    async fn read_and_apply(
        &mut self,
        trigger: Trigger,
        also: Option<&ExtensionId>,
        started: Instant,
    ) -> Loaded {
        let want = self.want(trigger, also);
        let read = self.read(&want).await?;
        if trigger == Trigger::Timer {
            self.digests.syncs += 1;
        }
        let made = self.database()?.connections_made();
        if made != self.digests.connections_made {
            self.digests.connections_made = made;
            self.digests.reconnected = true;
        }
        let whole = matches!(read, Read::Everything(_));
        let applied = self.apply_read(read, started);
        if whole {
            self.digests.done();
            return Ok(applied);
        }
        match self.compared(started).await {
            Ok(None) => Ok(applied),
            Ok(Some(everything)) => Ok(applied.and(everything)),
            Err(error) => {
                // What is served by now is reported, although the load as a whole has failed: the next
                // one finds nothing new.
                if applied.news {
                    self.tell_success(trigger, &applied, applied.duration);
                }
                Err(error)
            }
        }
    }

    /// Compares digests where that is due; what was applied since they differ.
    async fn compared(&mut self, started: Instant) -> Result<Option<Applied>, SourceError> {
        if !self.digests.are_due() {
            return Ok(None);
        }
        let (revision, digest) = self.database()?.digest().await?;
        let head = self.parts.writer.catalog().head();
        if (revision, digest) == (head.revision, head.digest) {
            self.digests.done();
        } else if revision == head.revision {
            self.observe(&Observation::DigestDiffers(revision));
            let everything = self.database()?.read(&Want::default()).await?;
            self.digests.done();
            return Ok(Some(self.apply_read(everything, started)));
        }
        // Else it has changed between the two reads: they are due until they can be compared.
        Ok(None)
    }

    /// Reads the database. One that is silent takes its time: where files serve, their edits are
    /// served meanwhile.
    async fn read(&mut self, want: &Want) -> Result<Read, SourceError> {
        let database = Arc::clone(self.database()?);
        let mut reading = pin!(database.read(want));
        loop {
            let files_serve = self.serves() == ActiveSource::Fixtures;
            tokio::select! {
                biased;
                read = &mut reading => return read,
                () = self.dirty.edit(), if files_serve => {}
            }
            let started = Instant::now();
            let result = self.load_fixtures().await;
            self.tell(Trigger::Files, &result, started.elapsed());
        }
    }

    fn database(&self) -> Result<&Arc<D>, SourceError> {
        let none = || DatabaseError::unreachable("no database is configured");
        Ok(self.parts.database.as_ref().ok_or_else(none)?)
    }

    fn want(&self, trigger: Trigger, also: Option<&ExtensionId>) -> Want {
        if trigger == Trigger::Request && also.is_none() {
            return Want::default();
        }
        Want {
            known: self.known(),
            also: also.cloned(),
            told: trigger == Trigger::Notification,
        }
    }

    fn apply_read(&mut self, read: Read, started: Instant) -> Applied {
        let catalog = self.parts.writer.catalog();
        let change = match read {
            Read::Unchanged => return self.nothing_new(started),
            Read::Delta(delta) => reconcile::with_delta(catalog, delta, &*self.parts.prepare),
            Read::Everything(all) => reconcile::with_everything(catalog, all, &*self.parts.prepare),
        };
        self.apply(change, started)
    }

    /// What the catalog holds of the database, if its data is the database's.
    fn known(&self) -> Option<Known> {
        let head = self.parts.writer.catalog().head();
        let epoch = head.epoch.clone()?;
        (head.source == ActiveSource::Database).then(|| Known {
            epoch,
            revision: head.revision,
        })
    }
}

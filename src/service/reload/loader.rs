//! One load: choose the source, read it, apply it, report it.

use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Parts;
use super::inbox::{Edits, ReloadReport, Want as Scope};
use crate::domain::catalog::{ActiveSource, Catalog, CatalogWriter, Change, Counts};
use crate::domain::entry::{Entry, PrepareReply};
use crate::domain::reconcile;
use crate::domain::record;
use crate::service::boundary::survived_now;
use crate::service::health_store::MAX_CHANGES;
use crate::service::observe::{Changed, Observation, Observers, Trigger};
use crate::service::progress::Progress;
use crate::service::source::{Database, Fixtures, Known, Read, SourceError, Want};
use crate::service::status::{SourceMode, Status};
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
/// The most faults of one load that are reported one by one.
const MAX_TOLD: usize = 100;

/// Reads sources into the catalog; owned by the one task that may.
pub struct Loader<D, F> {
    writer: CatalogWriter,
    prepare: Arc<PrepareReply>,
    database: Option<Arc<D>>,
    fixtures: Option<F>,
    edits: Edits,
    /// Whether the last read of the files succeeded.
    files_are_read: bool,
    status: Arc<Status>,
    progress: Progress,
    observers: Observers,
    applied: Box<dyn Fn() + Send + Sync>,
    digests: Digests,
}

impl<D, F> fmt::Debug for Loader<D, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loader")
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

impl<D: Database, F: Fixtures> Loader<D, F> {
    pub(super) fn new(parts: Parts<D, F>, edits: Edits) -> Self {
        Self {
            writer: parts.writer,
            prepare: parts.prepare,
            database: parts.database.map(Arc::new),
            fixtures: parts.fixtures,
            edits,
            files_are_read: false,
            status: parts.status,
            progress: parts.progress,
            observers: parts.observers,
            applied: parts.applied,
            digests: Digests::default(),
        }
    }

    /// Reads the source in force and applies it. A failure changes nothing.
    pub(super) async fn load(
        &mut self,
        trigger: Trigger,
        scope: Option<&Scope>,
    ) -> Result<ReloadReport, SourceError> {
        let started = Instant::now();
        let result = self.load_source(trigger, scope).await;
        self.tell(trigger, &result, started.elapsed());
        result.map(|applied| {
            let head = self.writer.catalog().head();
            ReloadReport {
                counts: applied.counts,
                total: self.writer.catalog().sizes().0,
                duration: started.elapsed(),
                revision: head.revision,
                source: head.source,
            }
        })
    }

    /// Takes notice of a load that panicked; what was served before is served still.
    pub(super) fn panicked(&self, trigger: Trigger) {
        let error = SourceError::Bug;
        self.status.load_failed(&error.to_string());
        self.observers
            .observe(&Observation::LoadFailed { trigger, error });
    }

    /// The observers.
    pub(super) fn observers(&self) -> &Observers {
        &self.observers
    }

    /// Whether the database cannot be used.
    pub(super) fn database_is_down(&self) -> bool {
        self.status.database_up() == Some(false)
    }

    /// Has the digests compared at the next good read.
    pub(super) fn compare(&mut self) {
        self.digests.reconnected = true;
    }

    async fn load_source(
        &mut self,
        trigger: Trigger,
        scope: Option<&Scope>,
    ) -> Result<Applied, SourceError> {
        match self.status.mode() {
            SourceMode::Fixtures => self.load_fixtures().await,
            SourceMode::Database => self.load_database(trigger, scope).await,
            SourceMode::Auto => self.load_auto(trigger, scope).await,
        }
    }

    /// The database first, files while none has answered since the start.
    async fn load_auto(
        &mut self,
        trigger: Trigger,
        scope: Option<&Scope>,
    ) -> Result<Applied, SourceError> {
        let serving = self.writer.catalog().head().source;
        if trigger == Trigger::Files && serving != ActiveSource::Database {
            // An edit is served at once; a database that comes back is found by the retries.
            return self.load_fixtures().await;
        }
        let error = match self.load_database(trigger, scope).await {
            Err(error) if self.may_use_fixtures() => error,
            other => return other,
        };
        match trigger {
            // A request for a reload gets what there is.
            Trigger::Request => self.load_fixtures().await,
            // At the start, and where an edit could not be read when it came.
            _ if !self.files_are_read => {
                let applied = self.load_fixtures().await?;
                self.tell_success(trigger, &applied, applied.duration);
                self.progress.loaded();
                Err(error)
            }
            _ => Err(error),
        }
    }

    /// Fixtures serve only while no database has answered since the start.
    fn may_use_fixtures(&self) -> bool {
        self.writer.catalog().head().source != ActiveSource::Database
    }

    async fn load_fixtures(&mut self) -> Result<Applied, SourceError> {
        let started = Instant::now();
        let Some(fixtures) = &self.fixtures else {
            return Err(SourceError::Unreadable("no folder is configured".into()));
        };
        let read = fixtures.read().await;
        self.files_are_read = read.is_ok();
        match read {
            Ok(everything) => Ok(self.apply_read(Read::Everything(everything), started)),
            Err(error) => {
                self.status.fixtures_failed();
                Err(error)
            }
        }
    }

    async fn load_database(
        &mut self,
        trigger: Trigger,
        scope: Option<&Scope>,
    ) -> Result<Applied, SourceError> {
        let started = Instant::now();
        let result = self.read_and_apply(trigger, scope, started).await;
        match &result {
            // Not before all of it succeeded: what one query may read, the next may not.
            Ok(_) => {
                if self.status.database_answered() {
                    self.observers.observe(&Observation::DatabaseUp);
                }
            }
            Err(SourceError::Database(error)) => {
                self.digests.reconnected = true;
                if self.status.database_failed(error) {
                    let down = Observation::DatabaseDown(error.clone());
                    self.observers.observe(&down);
                }
            }
            Err(_) => {}
        }
        result
    }

    /// Reads what `scope` asks for, applies it, and compares digests where that is due: also after
    /// a change, for rows that did not change may differ.
    async fn read_and_apply(
        &mut self,
        trigger: Trigger,
        scope: Option<&Scope>,
        started: Instant,
    ) -> Result<Applied, SourceError> {
        let want = self.want(scope, trigger);
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
        let head = self.writer.catalog().head();
        if (revision, digest) == (head.revision, head.digest) {
            self.digests.done();
        } else if revision == head.revision {
            self.observers
                .observe(&Observation::DigestDiffers { revision });
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
            let files_serve = self.writer.catalog().head().source == ActiveSource::Fixtures;
            tokio::select! {
                biased;
                read = &mut reading => return read,
                () = self.edits.next(), if files_serve => {}
            }
            let started = Instant::now();
            let result = self.load_fixtures().await;
            self.tell(Trigger::Files, &result, started.elapsed());
        }
    }

    fn database(&self) -> Result<&Arc<D>, SourceError> {
        let none = || DatabaseError::unreachable("no database is configured");
        Ok(self.database.as_ref().ok_or_else(none)?)
    }

    fn want(&self, scope: Option<&Scope>, trigger: Trigger) -> Want {
        let also = match scope {
            Some(Scope::Everything) => return Want::default(),
            Some(Scope::One(id)) => Some(id.clone()),
            None => None,
        };
        Want {
            known: self.known(),
            also,
            told: trigger == Trigger::Notification,
        }
    }

    fn apply_read(&mut self, read: Read, started: Instant) -> Applied {
        let catalog = self.writer.catalog();
        let change = match read {
            Read::Unchanged => return self.nothing_new(started),
            Read::Delta(delta) => reconcile::with_delta(catalog, delta, &*self.prepare),
            Read::Everything(all) => reconcile::with_everything(catalog, all, &*self.prepare),
        };
        self.apply(change, started)
    }

    /// What the catalog holds of the database, if its data is the database's.
    fn known(&self) -> Option<Known> {
        let head = self.writer.catalog().head();
        let epoch = head.epoch.clone()?;
        (head.source == ActiveSource::Database).then(|| Known {
            epoch,
            revision: head.revision,
        })
    }

    fn nothing_new(&self, started: Instant) -> Applied {
        let duration = started.elapsed();
        self.status.applied(false, duration, false);
        Applied {
            duration,
            ..Applied::default()
        }
    }

    fn apply(&mut self, change: Change, started: Instant) -> Applied {
        let catalog = Arc::clone(self.writer.catalog());
        let (before, known_faults) = (catalog.head(), catalog.quarantine());
        let fixtures = change.source == ActiveSource::Fixtures;
        let warnings: Vec<_> = change
            .upserts
            .iter()
            .flat_map(|entry| warnings(&catalog, entry))
            .collect();
        let changed = changed(&change);
        let counts = self.writer.apply(change);
        let head = catalog.head();
        self.progress.announce(head.revision);
        survived_now(&self.observers, || (self.applied)());

        for warning in &warnings {
            self.observers.observe(warning);
        }
        let quarantine = catalog.quarantine();
        let faults = quarantine.faults();
        let mut news = faults.filter(|fault| !known_faults.knows(fault));
        for fault in news.by_ref().take(MAX_TOLD) {
            let (origin, reason) = (fault.origin.clone(), fault.reason.clone());
            self.observers
                .observe(&Observation::Quarantined { origin, reason });
        }
        let untold = news.count();
        if untold > 0 {
            self.observers.observe(&Observation::Quarantined {
                origin: format!("and {untold} more"),
                reason: "too many at once to name each".to_owned(),
            });
        }
        let news = !counts.is_empty()
            || before.source != head.source
            || before.epoch != head.epoch
            || known_faults != quarantine;
        let duration = started.elapsed();
        self.status.applied(news, duration, fixtures);
        let moved = before.source != ActiveSource::None && before.source != head.source;
        Applied {
            counts,
            changed,
            news,
            from: moved.then_some(before.source),
            duration,
        }
    }

    fn tell(&self, trigger: Trigger, result: &Result<Applied, SourceError>, duration: Duration) {
        match result {
            Ok(applied) => {
                self.tell_success(trigger, applied, duration);
                self.progress.loaded();
            }
            Err(error) => {
                self.status.load_failed(&error.outside());
                self.observers.observe(&Observation::LoadFailed {
                    trigger,
                    error: error.clone(),
                });
            }
        }
    }

    fn tell_success(&self, trigger: Trigger, applied: &Applied, duration: Duration) {
        if !applied.news {
            self.observers.observe(&Observation::Unchanged { duration });
            return;
        }
        let catalog = self.writer.catalog();
        let (head, (total, enabled)) = (catalog.head(), catalog.sizes());
        if let Some(from) = applied.from {
            self.observers.observe(&Observation::SourceChanged {
                from,
                to: head.source,
            });
        }
        self.observers.observe(&Observation::Loaded {
            trigger,
            source: head.source,
            counts: applied.counts,
            changed: applied.changed.clone(),
            revision: head.revision,
            total,
            enabled,
            quarantined: catalog.quarantine().faults().len(),
            duration,
        });
    }
}

/// Which extensions a change touches, and its actor: that is known if something is left, and all of
/// it was last changed by the same actor.
fn changed(change: &Change) -> Changed {
    let upserts = change.upserts.iter().map(|entry| entry.extension());
    let ids = upserts.clone().map(|extension| &extension.id);
    let ids = ids.chain(&change.removals).take(MAX_CHANGES);
    let mut actors = upserts.map(|extension| extension.provenance.updated_by.as_deref());
    let by = actors.next().flatten();
    Changed {
        ids: ids.cloned().collect(),
        by: by
            .filter(|by| actors.all(|it| it == Some(by)))
            .map(Box::from),
    }
}

/// What an entry has that is not served as written. What is ignored is reported once for as long as
/// it stays so.
fn warnings(catalog: &Catalog, entry: &Entry) -> Vec<Observation> {
    let extension = entry.extension();
    let id = &extension.id;
    let cuts = extension.all_cuts().map(|what| Observation::Cut {
        id: id.clone(),
        what,
    });
    let known = catalog.get(id).map(|old| record::ignored(old.extension()));
    let known = known.unwrap_or_default();
    let ignored = record::ignored(extension).into_iter();
    let ignored = ignored.filter(|what| !known.contains(what));
    let ignored = ignored.map(|what| Observation::Ignored {
        id: id.clone(),
        what,
    });
    cuts.chain(ignored).collect()
}

/// What a load did.
#[derive(Default)]
struct Applied {
    counts: Counts,
    changed: Changed,
    /// Whether it is worth reporting: something changed, or the source did.
    news: bool,
    /// The source before, if it changed.
    from: Option<ActiveSource>,
    duration: Duration,
}

impl Applied {
    /// Both, one after the other.
    fn and(self, then: Self) -> Self {
        Self {
            counts: Counts {
                added: self.counts.added + then.counts.added,
                updated: self.counts.updated + then.counts.updated,
                removed: self.counts.removed + then.counts.removed,
            },
            changed: match then.changed.ids.is_empty() {
                true => self.changed,
                false => then.changed,
            },
            news: self.news || then.news,
            from: self.from.or(then.from),
            duration: then.duration,
        }
    }
}

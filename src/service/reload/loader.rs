//! One load: choose the source, read it, apply what it says, tell everyone.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Parts;
use super::inbox::{ReloadReport, Want as Scope};
use crate::domain::catalog::{ActiveSource, Catalog, CatalogWriter, Change, Counts};
use crate::domain::definition;
use crate::domain::entry::{Entry, PrepareReply};
use crate::domain::reconcile;
use crate::service::observe::{Observation, Observers, Trigger};
use crate::service::progress::Progress;
use crate::service::source::{Database, Fixtures, Known, Read, SourceError, Want};
use crate::service::status::{SourceMode, Status};

/// Every so many syncs the digests are compared too: rows can change without a revision,
/// under `pg_restore --disable-triggers` for one.
const SYNCS_PER_DIGEST: u32 = 10;

/// Reads sources into the catalog; owned by the one task that may.
pub struct Loader<D, F> {
    writer: CatalogWriter,
    prepare: Arc<PrepareReply>,
    database: Option<D>,
    fixtures: Option<F>,
    status: Arc<Status>,
    progress: Progress,
    observers: Observers,
    applied: Box<dyn Fn() + Send + Sync>,
    syncs: u32,
}

impl<D, F> fmt::Debug for Loader<D, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loader")
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

impl<D: Database, F: Fixtures> Loader<D, F> {
    pub(super) fn new(parts: Parts<D, F>) -> Self {
        Self {
            writer: parts.writer,
            prepare: parts.prepare,
            database: parts.database,
            fixtures: parts.fixtures,
            status: parts.status,
            progress: parts.progress,
            observers: parts.observers,
            applied: parts.applied,
            syncs: 0,
        }
    }

    /// Reads the source in force and applies what it says. A failure changes nothing.
    pub(super) async fn load(
        &mut self,
        trigger: Trigger,
        scope: Option<&Scope>,
    ) -> Result<ReloadReport, SourceError> {
        let started = Instant::now();
        let result = self.load_source(trigger, scope).await;
        match &result {
            Ok(change) => self.tell_success(trigger, change, started.elapsed()),
            Err(error) => {
                self.status.load_failed(error.to_string());
                self.observers.observe(&Observation::LoadFailed {
                    trigger,
                    error: error.clone(),
                });
            }
        }
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

    /// Whether the last read of the database failed.
    pub(super) fn database_is_away(&self) -> bool {
        self.status.database_up() == Some(false)
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
            // Whoever asks for a reload gets what there is.
            Trigger::Request => self.load_fixtures().await,
            _ if serving == ActiveSource::None => {
                let applied = self.load_fixtures().await?;
                self.tell_success(trigger, &applied, applied.duration);
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
        match fixtures.read().await {
            Ok(everything) => {
                let change =
                    reconcile::with_everything(self.writer.catalog(), everything, &*self.prepare);
                Ok(self.apply(change, started))
            }
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
        let result = self.read_database(trigger, scope).await;
        match &result {
            Ok(_) if self.status.database_answered() => {
                self.observers.observe(&Observation::DatabaseUp(true));
            }
            Err(_) if self.status.database_failed() => {
                self.observers.observe(&Observation::DatabaseUp(false));
            }
            _ => {}
        }
        let catalog = Arc::clone(self.writer.catalog());
        match result? {
            Read::Unchanged => Ok(self.nothing_new(started)),
            Read::Delta(delta) => {
                let change = reconcile::with_delta(&catalog, delta, &*self.prepare);
                Ok(self.apply(change, started))
            }
            Read::Everything(everything) => {
                let change = reconcile::with_everything(&catalog, everything, &*self.prepare);
                Ok(self.apply(change, started))
            }
        }
    }

    async fn read_database(
        &mut self,
        trigger: Trigger,
        scope: Option<&Scope>,
    ) -> Result<Read, SourceError> {
        let Some(database) = &self.database else {
            return Err(SourceError::Away("no database is configured".into()));
        };
        let mut want = Want::default();
        match scope {
            Some(Scope::Everything) => {}
            Some(Scope::One(id)) => {
                want.known = self.known();
                want.also = Some(id.clone());
            }
            None => want.known = self.known(),
        }
        let read = database.read(&want).await?;
        if trigger == Trigger::Timer {
            self.syncs += 1;
        }
        if self.syncs < SYNCS_PER_DIGEST || !matches!(read, Read::Unchanged) {
            return Ok(read);
        }
        self.syncs = 0;
        let (revision, digest) = database.digest().await?;
        let head = self.writer.catalog().head();
        if revision != head.revision || digest == head.digest {
            return Ok(read);
        }
        self.observers
            .observe(&Observation::DigestDiffers { revision });
        database.read(&Want::default()).await
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
            counts: Counts::default(),
            news: false,
            from: None,
            duration,
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
        let counts = self.writer.apply(change);
        let head = catalog.head();
        self.progress.announce(head.revision);
        (self.applied)();

        for warning in &warnings {
            self.observers.observe(warning);
        }
        let quarantine = catalog.quarantine();
        for fault in quarantine
            .faults()
            .filter(|fault| !known_faults.knows(fault))
        {
            let (origin, reason) = (fault.origin.clone(), fault.reason.clone());
            self.observers
                .observe(&Observation::Quarantined { origin, reason });
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
            news,
            from: moved.then_some(before.source),
            duration,
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
            revision: head.revision,
            total,
            enabled,
            quarantined: catalog.quarantine().faults().len(),
            duration,
        });
    }
}

/// What an entry says and is not served as it says. What is ignored is told once for as long as it
/// stays so.
fn warnings(catalog: &Catalog, entry: &Entry) -> Vec<Observation> {
    let extension = entry.extension();
    let id = &extension.id;
    let cuts = extension.all_cuts().map(|what| Observation::Cut {
        id: id.clone(),
        what,
    });
    let known = catalog
        .get(id)
        .and_then(|old| definition::ignored(old.extension()));
    let ignored = definition::ignored(extension).filter(|what| known.as_ref() != Some(what));
    let ignored = ignored.map(|what| Observation::Ignored {
        id: id.clone(),
        what,
    });
    cuts.chain(ignored).collect()
}

/// What a load did.
struct Applied {
    counts: Counts,
    /// Whether anybody would care: something changed, or the source did.
    news: bool,
    /// The source before, if it changed.
    from: Option<ActiveSource>,
    duration: Duration,
}

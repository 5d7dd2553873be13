//! What becomes of a change whose caller goes, and of one that is not served here.

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::domain::actor::Actor;
use crate::domain::catalog::{ActiveSource, Catalog, Change};
use crate::domain::extension::Extension;
use crate::domain::reconcile::Everything;
use crate::domain::subject::SubjectPattern;
use crate::domain::testing::{change, entry, extension, prepare};
use crate::service::definitions::Pending;
use crate::service::observe::Observers;
use crate::service::reload::{self, Parts, Reloader};
use crate::service::source::{Database, Fixtures, Read, SourceError, Want};
use crate::service::status::{SourceMode, Status};
use crate::service::testing::tools;

/// Commits on command.
#[derive(Debug, Default)]
struct Slow {
    begun: Notify,
    go_on: Notify,
    committed: Notify,
}

impl Definitions for Slow {
    fn write<'a>(&'a self, _: &'a Write, _: &'a Policy) -> Pending<'a, Written> {
        Box::pin(async move {
            self.begun.notify_one();
            self.go_on.notified().await;
            self.committed.notify_one();
            Ok(Written::At(1))
        })
    }

    fn switch<'a>(&'a self, _: &'a Switch, _: &'a Policy) -> Pending<'a, Switched> {
        Box::pin(async { Ok(Switched::default()) })
    }

    fn audit<'a>(&'a self, _: &'a AuditQuery) -> Pending<'a, (Vec<AuditEntry>, bool)> {
        Box::pin(async { Ok((Vec::new(), false)) })
    }
}

fn administration(slow: &Arc<Slow>) -> Arc<Administration> {
    let (catalog, _) = Catalog::new();
    with(slow, catalog, reload::nobodys_handle(), Progress::default())
}

fn with(
    slow: &Arc<Slow>,
    catalog: Arc<Catalog>,
    reload: ReloadHandle,
    progress: Progress,
) -> Arc<Administration> {
    Arc::new(Administration {
        definitions: Some(Arc::clone(slow) as Arc<dyn Definitions>),
        policy: Policy {
            allowed_subjects: vec![SubjectPattern::parse(">").unwrap()],
            forbidden_prefixes: Vec::new(),
            max_timeout_ms: 1000,
            max_retries: 3,
        },
        tools: tools(catalog),
        reload,
        progress,
        overrides: None,
    })
}

fn disable() -> Write {
    Write {
        id: ExtensionId::parse("x").unwrap(),
        command: Command::Disable,
        if_revision: None,
        actor: Actor::anonymous(),
        dry_run: false,
    }
}

#[tokio::test]
async fn a_change_goes_on_when_its_caller_is_gone() {
    let slow = Arc::<Slow>::default();
    let change = administration(&slow).change(disable(), Values::default());
    tokio::select! {
        biased;
        _ = change => panic!("nobody has let it go on"),
        () = slow.begun.notified() => {}
    }
    slow.go_on.notify_one();
    slow.committed.notified().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_committed_is_never_denied() {
    let slow = Arc::<Slow>::default();
    let administration = administration(&slow);
    let change = || Arc::clone(&administration).change(disable(), Values::default());
    slow.go_on.notify_one();
    let changed = change().await;
    assert!(
        matches!(changed, Ok(Changed::Committed(1))),
        "revision 1 never comes: {changed:?}"
    );
    slow.begun.notified().await;
    let (changed, ()) = tokio::join!(change(), async {
        slow.begun.notified().await;
        administration.progress.announce(1);
        slow.go_on.notify_one();
    });
    assert!(
        matches!(changed, Ok(Changed::Committed(1))),
        "nor does a record: {changed:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_deletion_is_not_answered_with_what_was_made_since_by_its_id() {
    let (catalog, mut writer) = Catalog::new();
    let anew = Extension {
        revision: 2,
        ..extension("x")
    };
    writer.apply(Change {
        upserts: vec![entry(anew)],
        ..change(2)
    });
    let (slow, progress) = (Arc::<Slow>::default(), Progress::default());
    let reload = reload::nobodys_handle();
    let administration = with(&slow, catalog, reload, progress.clone());
    let delete = Write {
        command: Command::Delete,
        ..disable()
    };
    let deleting = administration.change(delete, Values::default());
    let (deleted, ()) = tokio::join!(deleting, async {
        slow.begun.notified().await;
        progress.announce(2);
        slow.go_on.notify_one();
    });
    assert!(matches!(deleted, Ok(Changed::Committed(1))), "{deleted:?}");
}

/// A server that has taken over without the last commits: nothing but `x`, at revision 1.
#[derive(Debug)]
struct Successor;

impl Database for Successor {
    async fn read(&self, _: &Want) -> Result<Read, SourceError> {
        let x = Extension {
            revision: 1,
            enabled: false,
            ..extension("x")
        };
        Ok(Read::Everything(Everything {
            source: ActiveSource::Database,
            epoch: Some("epoch".into()),
            revision: 1,
            extensions: vec![x],
            faults: Vec::new(),
        }))
    }

    async fn digest(&self) -> Result<(u64, u64), SourceError> {
        unreachable!("everything is read")
    }

    fn connections_made(&self) -> u64 {
        0
    }
}

impl Fixtures for Successor {
    async fn read(&self) -> Result<Everything, SourceError> {
        unreachable!("the mode is database")
    }
}

/// What is served then has higher revisions than the change, of which the database knows nothing.
#[tokio::test(start_paused = true)]
async fn after_a_failover_that_lost_commits_a_change_is_not_answered_with_what_was_lost() {
    for is_read in [true, false] {
        let (catalog, mut writer) = Catalog::new();
        let lost = Extension {
            revision: 5,
            ..extension("x")
        };
        writer.apply(Change {
            upserts: vec![entry(lost)],
            ..change(5)
        });
        let progress = Progress::default();
        progress.announce(5);
        let (reloader, handle) = Reloader::new(Parts {
            writer,
            prepare: Arc::new(prepare),
            database: Some(Arc::new(Successor)),
            fixtures: None::<Successor>,
            status: Arc::new(Status::new(SourceMode::Database, SERVED_WITHIN)),
            progress: progress.clone(),
            observers: Observers::new(Vec::new()),
            applied: Box::new(|| {}),
            sync_interval: SERVED_WITHIN,
        });
        let slow = Arc::<Slow>::default();
        let administration = with(&slow, catalog, handle, progress);
        let changing = administration.change(disable(), Values::default());
        let loading = async {
            slow.begun.notified().await;
            slow.go_on.notify_one();
            slow.committed.notified().await;
            match is_read {
                true => reloader.run(CancellationToken::new()).await,
                false => std::future::pending().await,
            }
        };
        let changed = tokio::select! {
            changed = changing => changed,
            () = loading => unreachable!("it has no end"),
        };
        match changed {
            Ok(Changed::Record(entry, 1)) if is_read => {
                assert_eq!(entry.extension().revision, 1);
            }
            Ok(Changed::Committed(1)) if !is_read => {}
            other => panic!("{other:?}"),
        }
    }
}

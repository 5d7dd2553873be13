//! What becomes of a change whose caller goes, and of one that is not served here.

use tokio::sync::Notify;

use super::*;
use crate::domain::catalog::Catalog;
use crate::domain::subject::SubjectPattern;
use crate::service::reload;
use crate::service::testing::tools;

/// Commits on command.
#[derive(Debug, Default)]
struct Slow {
    begun: Notify,
    go_on: Notify,
    committed: Notify,
}

impl Definitions for Slow {
    async fn write(&self, _: &Write, _: &Policy) -> Result<Written, WriteError> {
        self.begun.notify_one();
        self.go_on.notified().await;
        self.committed.notify_one();
        Ok(Written::At(1))
    }

    async fn switch(&self, _: &Switch, _: &Policy) -> Result<Switched, WriteError> {
        Ok(Switched::default())
    }

    async fn audit(&self, _: &AuditQuery) -> Result<(Vec<AuditEntry>, bool), WriteError> {
        Ok((Vec::new(), false))
    }
}

fn administration(slow: &Arc<Slow>) -> Arc<Administration<Slow>> {
    let (catalog, _) = Catalog::new();
    Arc::new(Administration {
        definitions: Some(Arc::clone(slow)),
        policy: Policy {
            allowed_subjects: vec![SubjectPattern::parse(">").unwrap()],
            forbidden_prefixes: Vec::new(),
            max_timeout_ms: 1000,
            max_retries: 3,
        },
        tools: tools(catalog),
        reload: reload::nobodys_handle(),
        progress: Progress::default(),
        overrides: None,
    })
}

fn disable() -> ChangeRequest {
    ChangeRequest {
        id: ExtensionId::parse("x").unwrap(),
        command: Command::Disable,
        if_revision: None,
        dry_run: false,
        values: Values::default(),
    }
}

#[tokio::test]
async fn a_change_goes_on_when_its_caller_is_gone() {
    let slow = Arc::<Slow>::default();
    let change = administration(&slow).change(disable(), Actor::anonymous());
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
    slow.go_on.notify_one();
    let administration = administration(&slow);
    let changed = Arc::clone(&administration).change(disable(), Actor::anonymous());
    let changed = changed.await;
    assert!(
        matches!(changed, Ok(Changed::Committed(1))),
        "revision 1 never comes: {changed:?}"
    );
    administration.progress.announce(1);
    slow.go_on.notify_one();
    let changed = administration.change(disable(), Actor::anonymous()).await;
    assert!(
        matches!(changed, Ok(Changed::Committed(1))),
        "nor does a record: {changed:?}"
    );
}

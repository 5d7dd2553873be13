//! Events of changes, each published by the one sidecar that claims its revision.

use std::future::Future;
use std::time::SystemTime;

use super::StoreError;
use crate::domain::words::words;

words! {
    /// What a change event reports.
    pub enum ChangeKind {
        /// The extension is new.
        Created = "extension_created",
        /// Its definition, a version or an instance changed.
        Updated = "extension_updated",
        /// It is gone.
        Deleted = "extension_deleted",
        /// An operator enabled it.
        Enabled = "extension_enabled",
        /// An operator disabled it.
        Disabled = "extension_disabled",
        /// It was auto-disabled.
        AutoDisabled = "auto_disabled",
        /// It was enabled again automatically.
        AutoEnabled = "auto_enabled",
        /// A version of it failed and lost its share.
        RolloutHalted = "rollout_halted",
    }
}

/// One change of one extension.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Whose; as found, which may break the rules of ids.
    pub extension: Box<str>,
    /// What.
    pub kind: ChangeKind,
    /// The names of the fields that changed; none for a creation or a deletion.
    pub fields: Vec<Box<str>>,
    /// Of an automatic change the reason, a JSON document.
    pub reason: Option<Box<str>>,
}

/// All changes of one revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevisionChanges {
    /// The revision.
    pub revision: u64,
    /// When they were made, by the database's clock, as the audit has it; `None` for a time that no
    /// event can write.
    pub at: Option<SystemTime>,
    /// How many changes it has.
    pub total: u64,
    /// How many of them made an extension.
    pub created: u64,
    /// How many of them deleted one.
    pub deleted: u64,
    /// Their actor.
    pub changed_by: Option<Box<str>>,
    /// The first of them, at most [`MAX_CHANGES`].
    pub changes: Vec<Change>,
}

/// The most changes published of one revision.
pub const MAX_CHANGES: usize = 100;

/// Revisions whose events are now ours alone to publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed {
    /// The last one claimed; lower than asked for when there are many: ask again.
    pub up_to: u64,
    /// Those that still have audit entries, in order.
    pub revisions: Vec<RevisionChanges>,
}

/// Events that are published once per fleet.
pub trait Claims: Send + Sync + 'static {
    /// Claims what is unclaimed up to `revision`, and reads its changes; `None` when there is
    /// nothing, or the database is of another epoch.
    ///
    /// At most once: events of a sidecar that dies between this answer and publishing are lost.
    fn claim(
        &self,
        epoch: &str,
        revision: u64,
    ) -> impl Future<Output = Result<Option<Claimed>, StoreError>> + Send;
}

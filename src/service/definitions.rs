//! Port: writing definitions, and reading the audit.

use std::fmt::Debug;
use std::time::{Duration, SystemTime};

use futures_util::future::BoxFuture;
use serde_json::value::RawValue;

use crate::domain::actor::Actor;
use crate::domain::edit::{Command, EditError};
use crate::domain::extension::Extension;
use crate::domain::ids::ExtensionId;
use crate::domain::policy::Policy;
use crate::domain::selector::Selector;
use crate::service::trouble::DatabaseError;

/// One change of one extension.
#[derive(Debug, Clone)]
pub struct Write {
    /// The extension.
    pub id: ExtensionId,
    /// What is to be done.
    pub command: Command,
    /// The revision that its record must have.
    pub if_revision: Option<u64>,
    /// Its actor.
    pub actor: Actor,
    /// Whether everything is done but the commit.
    pub dry_run: bool,
}

/// A change of many extensions: all or none.
#[derive(Debug, Clone)]
pub struct Switch {
    /// Which.
    pub which: Which,
    /// Whether they are to serve.
    pub enabled: bool,
    /// Its actor.
    pub actor: Actor,
    /// Whether everything is done but the commit.
    pub dry_run: bool,
}

/// Which extensions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// These, all of which must be there.
    Ids(Vec<ExtensionId>),
    /// All that it matches when they are written.
    Matching(Selector),
}

impl Which {
    /// The field of a request that says so.
    pub const fn field(&self) -> &'static str {
        match self {
            Self::Ids(_) => "ids",
            Self::Matching(_) => "selector",
        }
    }
}

/// The result of a switch; ids in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Switched {
    /// Whose record is another now.
    pub changed: Vec<String>,
    /// The ids that were like this already.
    pub unchanged: Vec<String>,
    /// The revision that the change took; the catalog's if there was none.
    pub revision: u64,
}

/// The result of a dry run.
#[derive(Debug, Clone, PartialEq)]
pub struct Rehearsal {
    /// The fields that would change.
    pub changed: Vec<String>,
    /// The record as it would be; `None` where there would be none, or a faulty one.
    pub record: Option<Extension>,
}

/// The result of a write.
#[derive(Debug, Clone, PartialEq)]
pub enum Written {
    /// Nothing: it was a dry run.
    Rehearsed(Box<Rehearsal>),
    /// It is committed, in this revision.
    At(u64),
    /// There was nothing to change: the record has been like this since this revision.
    Nothing(u64),
}

/// Why a write was not made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WriteError {
    /// A rule is broken, by this one of many extensions perhaps.
    Refused(Option<String>, EditError),
    /// Nothing was written: the database did not do it.
    Failed(DatabaseError),
    /// COMMIT got no answer, and its outcome could not be found out.
    Unknown(String),
}

/// What entries of the audit say was done. The table `extension_audit_log` takes no other.
pub const ACTIONS: [&str; 14] = [
    "created",
    "updated",
    "deleted",
    "enabled",
    "disabled",
    "auto_disabled",
    "auto_enabled",
    "version_put",
    "version_deleted",
    "promoted",
    "instance_put",
    "instance_deleted",
    "circuit_override",
    "rollout_halted",
];

/// An entry of the audit.
#[derive(Debug)]
pub struct AuditEntry {
    /// Its number.
    pub id: i64,
    /// Whose change it is; the extension may be gone.
    pub extension_id: Box<str>,
    /// What was done, see [`ACTIONS`].
    pub action: Box<str>,
    /// Its actor.
    pub changed_by: Option<Box<str>>,
    /// How that is known.
    pub actor_source: Box<str>,
    /// `{"old": ..., "new": ...}`.
    pub changes: Option<Box<RawValue>>,
    /// When, if a reply can carry it.
    pub timestamp: Option<SystemTime>,
    /// In which revision.
    pub revision: Option<u64>,
}

/// A given moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// This one.
    At(SystemTime),
    /// So long before now.
    Ago(Duration),
}

/// Which entries to read, newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditQuery {
    /// Only of this extension.
    pub extension: Option<ExtensionId>,
    /// Only what this one changed.
    pub by: Option<String>,
    /// Only this action.
    pub action: Option<String>,
    /// Only from this moment on.
    pub since: Option<When>,
    /// Only up to this moment.
    pub until: Option<When>,
    /// Only entries before this one.
    pub before: Option<u64>,
    /// The most that are returned.
    pub limit: usize,
}

/// A write or a page under way; boxed, as administration is not in a hurry.
pub type Pending<'a, T> = BoxFuture<'a, Result<T, WriteError>>;

/// Stores definitions.
pub trait Definitions: Debug + Send + Sync {
    /// Carries a write out, with its audit entry and its revision, in one transaction.
    ///
    /// # Errors
    /// Nothing was written, unless the error says that the outcome is unknown.
    fn write<'a>(&'a self, write: &'a Write, policy: &'a Policy) -> Pending<'a, Written>;

    /// Carries a switch out likewise.
    ///
    /// # Errors
    /// Nothing was written, unless the error says that the outcome is unknown.
    fn switch<'a>(&'a self, switch: &'a Switch, policy: &'a Policy) -> Pending<'a, Switched>;

    /// Reads entries, newest first, and whether there are more.
    ///
    /// # Errors
    /// Why the database gave none.
    fn audit<'a>(&'a self, query: &'a AuditQuery) -> Pending<'a, (Vec<AuditEntry>, bool)>;
}

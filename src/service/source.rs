//! Ports: where extensions come from.

use std::future::Future;

use thiserror::Error;

use crate::domain::ids::ExtensionId;
use crate::domain::reconcile::{Delta, Everything};
use crate::service::trouble::DatabaseError;

/// Why a source gave nothing. `Display` is for the log; no secrets.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SourceError {
    /// The database did not give its data.
    #[error("{}", reading(.0, &.0.to_string()))]
    Database(#[from] DatabaseError),
    /// The folder of fixtures cannot be read at all.
    #[error("fixtures cannot be read: {0}")]
    Unreadable(String),
    /// This program failed while it read.
    #[error("a bug in this program ended the load; see the panic in the log")]
    Bug,
}

/// "Unreachable" needs no detail; anything else is about a database that answers.
fn reading(error: &DatabaseError, text: &str) -> String {
    match error.is_unreachable() {
        true => text.to_owned(),
        false => format!("cannot read the database: {text}"),
    }
}

impl SourceError {
    /// The same for callers, `stats` and `/readyz`: not which database it is.
    pub fn outside(&self) -> String {
        match self {
            Self::Database(error) => reading(error, &error.outside()),
            other => other.to_string(),
        }
    }
}

/// What the catalog holds already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// The database's identity.
    pub epoch: Box<str>,
    /// The revision applied last.
    pub revision: u64,
}

/// What a read of the database gave.
#[derive(Debug)]
pub enum Read {
    /// Nothing has changed since the revision known; one row was read.
    Unchanged,
    /// What has changed since.
    Delta(Delta),
    /// All there is, because it was asked for or the database is not the one known.
    Everything(Everything),
}

/// What is asked of the database.
#[derive(Debug, Default)]
pub struct Want {
    /// What the catalog holds; `None` asks for everything.
    pub known: Option<Known>,
    /// An id to read again even if it has not changed.
    pub also: Option<ExtensionId>,
    /// Whether there was a notification: then a first look at the revision is spared.
    pub told: bool,
}

/// The database as a source. Every read is of one moment, and bounded in time.
pub trait Database: Send + Sync + 'static {
    /// Reads what `want` asks for.
    fn read(&self, want: &Want) -> impl Future<Output = Result<Read, SourceError>> + Send;

    /// The database's revision and the digest of all its definitions, computed there.
    fn digest(&self) -> impl Future<Output = Result<(u64, u64), SourceError>> + Send;

    /// How many connections were made so far: when it grows, one may have been lost, and with it
    /// the certainty that this is the same server.
    fn connections_made(&self) -> u64;
}

/// Files as a source.
pub trait Fixtures: Send + Sync + 'static {
    /// Reads every file.
    fn read(&self) -> impl Future<Output = Result<Everything, SourceError>> + Send;
}

//! Administration's desk: arguments in, document out, for every transport.
//!
//! An adapter decodes what is its own (a subject, a path, a header), and hands the rest over here.

#[cfg(test)]
pub(crate) mod testing;
mod writes;

use std::sync::Arc;

use bytes::Bytes;

use super::circuits::{self, CircuitsArguments};
use super::explain::{self, ExplainArguments};
use super::health::{self, HealthArguments};
use super::list::{self, ListArguments};
use super::request::{self, Freshness, Read, context, required};
use super::stats;
use super::stored::{self, GetArguments};
use crate::domain::entry::Entry;
use crate::service::administration::Administration;
use crate::service::error::RegistryError;
use crate::service::health::Health;
use crate::service::lookup::named;
use crate::service::progress::Progress;
use crate::service::read::Reads;
use crate::service::reload::ReloadHandle;
use crate::service::stats::Stats;

/// A successful answer.
#[derive(Debug)]
pub struct Answer {
    /// The JSON document.
    pub body: Bytes,
    /// The catalog's revision, for the requests that answer it.
    pub revision: Option<u64>,
    /// The revision of the record that the document is.
    pub record: Option<u64>,
}

impl Answer {
    /// An answer without the catalog's revision.
    pub fn plain(body: Bytes) -> Self {
        Self {
            body,
            revision: None,
            record: None,
        }
    }

    /// An answer with the catalog's revision.
    pub fn at(revision: u64, body: Bytes) -> Self {
        Self {
            revision: Some(revision),
            ..Self::plain(body)
        }
    }

    /// The same, being the record as it is since `record`.
    pub fn of_record(self, record: u64) -> Self {
        Self {
            record: Some(record),
            ..self
        }
    }
}

/// The use cases behind the desk.
#[derive(Debug)]
pub struct Desk {
    /// Records and listings.
    pub reads: Reads,
    /// How extensions are doing.
    pub health: Arc<Health>,
    /// This sidecar's figures.
    pub stats: Arc<Stats>,
    /// Changes of definitions.
    pub changes: Arc<Administration>,
    /// The reload path.
    pub reload: ReloadHandle,
    /// Revisions as they are applied.
    pub progress: Progress,
}

/// Reads. Where they take `max_bytes`, that is the largest answer that can be sent. Arguments are
/// checked before anything is waited for: whether they are valid must not depend on the moment.
#[expect(
    clippy::missing_errors_doc,
    reason = "sections 3.1 and 3.3 of the contract list them"
)]
impl Desk {
    /// Waits until the catalog is as new as asked for.
    pub async fn fresh(&self, freshness: Freshness) -> Result<(), RegistryError> {
        let waits = self
            .progress
            .wait(freshness.min_revision, freshness.wait_ms);
        waits.await
    }

    /// The stored record of an extension.
    pub async fn get(&self, read: &Read<GetArguments>) -> Result<Answer, RegistryError> {
        let id = required("id", read.arguments.id.as_deref())?;
        request::id(Some(id))?;
        self.fresh(read.freshness).await?;
        let (entry, revision) = self.reads.get(id)?;
        let extension = entry.extension();
        let answer = Answer::at(revision, stored::stored(extension));
        Ok(answer.of_record(extension.revision))
    }

    /// Why a lookup answers what it answers.
    pub async fn explain(&self, read: &Read<ExplainArguments>) -> Result<Answer, RegistryError> {
        let id = required("id", read.arguments.id.as_deref())?;
        let version = read.arguments.version.as_deref();
        named(version)?;
        request::id(Some(id))?;
        let context = context(read.arguments.context.as_deref())?;
        self.fresh(read.freshness).await?;
        let explanation = self.reads.explain(id, version, context)?;
        let body = explain::explained(&explanation);
        Ok(Answer::at(explanation.revision, body))
    }

    /// A page of the catalog.
    pub async fn list(
        &self,
        read: &Read<ListArguments>,
        max_bytes: usize,
    ) -> Result<Answer, RegistryError> {
        let query = read.arguments.query()?;
        self.fresh(read.freshness).await?;
        let (page, revision) = self.reads.list(&query);
        let states = |entry: &Arc<Entry>| (self.reads.state(entry), self.health.state(entry));
        let body = list::page(&page, max_bytes, states)?;
        Ok(Answer::at(revision, body))
    }

    /// How one extension is doing, where `arguments` name one, with its last failures for an
    /// `operator`; else a page of all.
    pub async fn health(
        &self,
        read: &Read<HealthArguments>,
        operator: bool,
        max_bytes: usize,
    ) -> Result<Answer, RegistryError> {
        let Some(id) = read.arguments.id.as_deref() else {
            let query = read.arguments.query()?;
            self.fresh(read.freshness).await?;
            let page = health::page(&self.health.list(&query), max_bytes)?;
            return Ok(Answer::plain(page));
        };
        request::id(Some(id))?;
        self.fresh(read.freshness).await?;
        let standing = self.health.of(id)?;
        let failures = operator.then(|| self.health.failures(&standing.entry));
        let body = health::health(&standing, failures.as_deref());
        Ok(Answer::plain(body))
    }

    /// A page of this sidecar's circuits.
    pub async fn circuits(
        &self,
        read: &Read<CircuitsArguments>,
        max_bytes: usize,
    ) -> Result<Answer, RegistryError> {
        request::id(read.arguments.id.as_deref())?;
        let query = read.arguments.query()?;
        self.fresh(read.freshness).await?;
        let page = self.health.circuits(&query)?;
        Ok(Answer::plain(circuits::page(&page, max_bytes)?))
    }

    /// This sidecar at a glance.
    pub async fn stats(
        &self,
        freshness: Freshness,
        max_bytes: usize,
    ) -> Result<Answer, RegistryError> {
        self.fresh(freshness).await?;
        let (revision, stats) = stats::stats(&self.stats, max_bytes);
        Ok(Answer::at(revision, stats))
    }
}

//! The port: a transaction of a database that takes definitions.

use std::future::Future;

use thiserror::Error;

use super::wanted::Wanted;
use crate::domain::extension::Extension;
use crate::domain::ids::ExtensionId;
use crate::domain::quarantine::Fault;
use crate::service::trouble::DatabaseError;

/// Why the database did not do what an import wanted. `Display` is fit for operators; except for
/// [`StoreError::Unknown`], nothing was written.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum StoreError {
    /// Nothing was written.
    #[error("{0}; nothing was written")]
    Failed(DatabaseError),
    /// COMMIT got no answer, and its outcome could not be found out.
    #[error(
        "{0}: it is unknown whether the import was committed, all of it or nothing: import again \
         with --dry-run to see"
    )]
    Unknown(String),
}

/// What the database holds at one moment.
#[derive(Debug, Default)]
pub struct Stored {
    /// The valid records, with their parts in the order of their names.
    pub extensions: Vec<Extension>,
    /// What is not valid.
    pub faults: Vec<Fault>,
}

/// A transaction of a database that takes definitions. It waits for other writers of them, and
/// keeps them waiting from [`Transaction::lock`] on. Dropped without [`Transaction::commit`], it
/// changes nothing.
pub trait Transaction: Sized {
    /// JSON texts as the database writes them: two that mean the same to it come out the same.
    fn as_written(&self, texts: &[&str]) -> impl Future<Output = Result<Vec<String>, StoreError>>;

    /// Keeps all others from changing definitions. The transaction comes back locked, or ends.
    fn lock(self) -> impl Future<Output = Result<Self, StoreError>>;

    /// Everything there is, this transaction's changes included.
    fn stored(&self) -> impl Future<Output = Result<Stored, StoreError>>;

    /// The holders of these subjects: subject and id, which may break the rules of ids.
    fn holders(
        &self,
        subjects: &[&str],
    ) -> impl Future<Output = Result<Vec<(String, String)>, StoreError>>;

    /// Takes their subjects from extensions that are about to get others, all at once.
    fn vacate(&self, ids: &[&ExtensionId]) -> impl Future<Output = Result<(), StoreError>>;

    /// Adds extensions with their parts.
    fn create(&self, wanted: &[&Wanted<'_>]) -> impl Future<Output = Result<(), StoreError>>;

    /// Replaces extensions with their parts.
    fn replace(&self, wanted: &[&Wanted<'_>]) -> impl Future<Output = Result<(), StoreError>>;

    /// Commits, and answers the revision that the changes took, if there were any.
    fn commit(self) -> impl Future<Output = Result<Option<u64>, StoreError>>;

    /// Ends without a change.
    fn roll_back(self) -> impl Future<Output = ()>;
}

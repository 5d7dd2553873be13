//! The database to files.

use thiserror::Error;

use super::ports::{Folder, WriteError, Written};
use crate::domain::quarantine::Fault;
use crate::domain::reconcile::Everything;
use crate::service::source::{Database, Read, SourceError, Want};

/// Why nothing was exported; or a part, see [`WriteError::Partly`].
#[derive(Debug, Error)]
pub enum ExportError {
    /// The database gave nothing.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// Files could not be written.
    #[error(transparent)]
    Folder(#[from] WriteError),
    /// The database gave changes only, though everything was asked for.
    #[error("the database returned only a part of the definitions")]
    Partial,
    /// Rows that no file can express; an export without them would lose them.
    #[error("{} rows are in quarantine", .0.len())]
    Quarantined(Vec<Fault>),
}

/// Writes all definitions of `database` to `folder`, and returns the number of extensions and the
/// result for the files.
///
/// # Errors
/// See [`ExportError`].
pub async fn export(
    database: &impl Database,
    folder: &impl Folder,
) -> Result<(usize, Written), ExportError> {
    // Nothing is known, so everything is asked for; a part would lose the rest.
    let Read::Everything(Everything {
        mut extensions,
        faults,
        ..
    }) = database.read(&Want::default()).await?
    else {
        return Err(ExportError::Partial);
    };
    if !faults.is_empty() {
        return Err(ExportError::Quarantined(faults));
    }
    extensions.sort_unstable_by(|a, b| a.id.cmp(&b.id));
    let count = extensions.len();
    let written = folder.write(extensions).await?;
    Ok((count, written))
}

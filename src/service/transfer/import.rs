//! Files to the database: compared, written, read back and only then committed.

use std::collections::HashMap;

use super::alike::write_alike;
use super::compare::{Comparison, Report};
use super::portions::{MAX_ITEMS, portions};
use super::ports::{StoreError, Transaction};
use super::verify::verify;
use super::wanted::Wanted;
use crate::domain::ids::ExtensionId;
use crate::domain::quote::quoted;
use crate::domain::reconcile::Everything;
use crate::domain::record::{beyond_limits, refusals, size, unstorable};

/// How to import.
pub struct Import {
    /// Whether extensions that are there in another shape are replaced.
    pub overwrite: bool,
    /// Whether everything is done but the commit.
    pub dry_run: bool,
}

/// The result of an import.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Written, in this revision; `None` when there was nothing to write.
    Imported(Option<u64>),
    /// Everything was done but the commit.
    Tried,
    /// Refused for what was found: nothing was written.
    Refused(Refusal),
}

/// Why an import was refused.
#[derive(Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The files have faults, one per line.
    Faults(Vec<String>),
    /// Extensions are there in another shape, and are not to be replaced.
    Different,
    /// Subjects that stay with others, one per line.
    SubjectsTaken(Vec<String>),
    /// The database does not hold what was written.
    NotAsWritten(String),
}

/// Makes the database match `files`, in one transaction, which `begin` begins if they are sound.
///
/// # Errors
/// Why the database could not be read or written.
pub async fn import<T: Transaction>(
    begin: impl Future<Output = Result<T, StoreError>>,
    files: Everything,
    how: &Import,
) -> Result<(Report, Outcome), StoreError> {
    let faults = faults(&files);
    if !faults.is_empty() {
        let refused = Outcome::Refused(Refusal::Faults(faults));
        return Ok((Report::default(), refused));
    }
    let mut extensions = files.extensions;
    extensions.sort_unstable_by(|a, b| a.id.cmp(&b.id));
    let mut wanted: Vec<_> = extensions.iter().map(Wanted::from).collect();

    let transaction = begin.await?;
    write_alike(&transaction, &mut wanted).await?;
    let transaction = transaction.lock().await?;
    let before = transaction.stored().await?;
    let comparison = Comparison::new(&wanted, &before);
    let refusal = match refusal(&transaction, &comparison, how).await? {
        Some(refusal) => Some(refusal),
        None => {
            let after = transaction.stored().await?;
            verify(&wanted, &before, &after).map(Refusal::NotAsWritten)
        }
    };
    let outcome = match refusal {
        Some(refusal) => Outcome::Refused(refusal),
        None if how.dry_run => Outcome::Tried,
        None => {
            let revision = transaction.commit().await?;
            return Ok((comparison.report, Outcome::Imported(revision)));
        }
    };
    transaction.roll_back().await;
    Ok((comparison.report, outcome))
}

/// Everything that is wrong with the files themselves. Values beyond a limit alone are not: the
/// database may hold them already, see [`unwritable`].
fn faults(files: &Everything) -> Vec<String> {
    let read = files.faults.iter();
    let mut faults: Vec<_> = read
        .map(|fault| format!("{}: {}", fault.origin, fault.reason))
        .collect();
    let mut holders: HashMap<&str, &ExtensionId> = HashMap::new();
    let mut beyond = 0;
    for extension in &files.extensions {
        let id = &extension.id;
        let mut own = beyond_limits(extension);
        beyond += own.len();
        own.extend(unstorable(extension));
        faults.extend(own.iter().map(|it| format!("{id}: {it}")));
        let subject = extension.subject.as_str();
        match holders.get(subject) {
            Some(other) => faults.push(format!(
                "{id}: `subject` {subject} is already used by {other}"
            )),
            None => drop(holders.insert(subject, id)),
        }
    }
    if faults.len() == beyond {
        faults.clear();
    }
    faults
}

/// What no other write would take. What is in the database already stays as it is, so that an export
/// of it can be imported.
fn unwritable(comparison: &Comparison<'_>) -> Vec<String> {
    let mut faults = Vec::new();
    for wanted in comparison.absent.iter().chain(&comparison.different) {
        let beyond = beyond_limits(wanted.extension).into_iter();
        let refused = beyond.chain(refusals(wanted.extension));
        faults.extend(refused.map(|it| format!("{}: {it}", wanted.extension.id)));
    }
    faults
}

/// Writes, unless something prevents it.
async fn refusal(
    transaction: &impl Transaction,
    comparison: &Comparison<'_>,
    how: &Import,
) -> Result<Option<Refusal>, StoreError> {
    let refused = unwritable(comparison);
    if !refused.is_empty() {
        return Ok(Some(Refusal::Faults(refused)));
    }
    if !comparison.different.is_empty() && !how.overwrite {
        return Ok(Some(Refusal::Different));
    }
    let (absent, replaced) = (&comparison.absent, &comparison.different);
    let moving = match moving(transaction, absent, replaced).await? {
        Ok(moving) => moving,
        Err(taken) => return Ok(Some(Refusal::SubjectsTaken(taken))),
    };
    if !moving.is_empty() {
        transaction.vacate(&moving).await?;
    }
    let bytes_of = |it: &&Wanted<'_>| size(&it.record);
    for some in portions(replaced, MAX_ITEMS, bytes_of) {
        transaction.replace(some).await?;
    }
    for some in portions(absent, MAX_ITEMS, bytes_of) {
        transaction.create(some).await?;
    }
    Ok(None)
}

/// Which of the extensions to be replaced must give up a subject that another one is to have; the
/// inner error names subjects that are not given up.
async fn moving<'a>(
    transaction: &impl Transaction,
    absent: &[&Wanted<'_>],
    replaced: &[&'a Wanted<'a>],
) -> Result<Result<Vec<&'a ExtensionId>, Vec<String>>, StoreError> {
    let wanted: HashMap<&str, &ExtensionId> = absent
        .iter()
        .chain(replaced)
        .map(|it| (it.extension.subject.as_str(), &it.extension.id))
        .collect();
    let ids = replaced.iter().map(|it| &it.extension.id);
    let movers: HashMap<&str, &ExtensionId> = ids.map(|id| (id.as_str(), id)).collect();
    let subjects: Vec<_> = wanted.keys().copied().collect();
    let (mut moving, mut taken) = (Vec::new(), Vec::new());
    for (subject, holder) in transaction.holders(&subjects).await? {
        let Some(heir) = wanted.get(subject.as_str()) else {
            continue;
        };
        if heir.as_str() == holder {
            continue;
        }
        match movers.get(holder.as_str()) {
            Some(mover) => moving.push(*mover),
            None => taken.push(format!(
                "{heir}: `subject` {subject} is taken by {}",
                quoted(&holder)
            )),
        }
    }
    taken.sort_unstable();
    Ok(match taken.is_empty() {
        true => Ok(moving),
        false => Err(taken),
    })
}

//! Files to the database: compared, written, read back and only then committed.

use std::collections::{HashMap, HashSet};

use super::compare::Comparison;
use super::ports::{Store, StoreError, Stored, Transaction};
use crate::domain::definition::{Difference, differences, json_bytes, json_fields, same};
use crate::domain::edit::record_faults;
use crate::domain::extension::Extension;
use crate::domain::ids::ExtensionId;
use crate::domain::reconcile::Everything;

/// The most extensions that one statement writes: enough that what each statement costs does not
/// matter, few enough that progress shows.
const MAX_STATEMENT: usize = 1000;
/// And the most bytes of JSON, so that no statement outgrows what the database takes.
const MAX_STATEMENT_BYTES: usize = 16 << 20;

/// How to import.
pub struct Import<'a> {
    /// Who is to stand in the audit.
    pub changed_by: &'a str,
    /// Whether extensions that are there in another shape are replaced.
    pub overwrite: bool,
    /// Whether everything is done but the commit.
    pub dry_run: bool,
    /// Is told how many extensions were written, as it goes on.
    pub progress: &'a dyn Fn(usize),
}

/// How many of what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Extensions.
    pub extensions: usize,
    /// Their versions besides the current ones.
    pub versions: usize,
    /// Their instances.
    pub instances: usize,
}

impl Tally {
    fn of<'a>(extensions: impl IntoIterator<Item = &'a Extension>) -> Self {
        let mut tally = Self::default();
        for extension in extensions {
            tally.extensions += 1;
            tally.versions += extension.versions.len();
            tally.instances += extension.instances.len();
        }
        tally
    }
}

/// What an import found and did.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Were not there.
    pub absent: Tally,
    /// Were there, the same.
    pub identical: Tally,
    /// Were there, different.
    pub different: Tally,
    /// The differences by id: the database first, then the files.
    pub differences: Vec<(ExtensionId, Vec<Difference>)>,
    /// Extensions of the database that the files do not name.
    pub others: usize,
}

/// What came of an import.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Written, in this revision; `None` when there was nothing to write, or in a dry run.
    Imported(Option<u64>),
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

/// Makes the database hold what `files` say, in one transaction.
///
/// # Errors
/// Why the database could not be read or written.
pub async fn import<S: Store>(
    store: &S,
    files: Everything,
    how: &Import<'_>,
) -> Result<(Report, Outcome), StoreError> {
    let faults = faults(&files);
    if !faults.is_empty() {
        let refused = Outcome::Refused(Refusal::Faults(faults));
        return Ok((Report::default(), refused));
    }
    let mut wanted = files.extensions;
    wanted.sort_unstable_by(|a, b| a.id.cmp(&b.id));

    let transaction = store.begin(how.changed_by).await?;
    if let Err(reason) = write_alike(&transaction, &mut wanted).await? {
        transaction.roll_back().await;
        let refused = Outcome::Refused(Refusal::Faults(vec![reason]));
        return Ok((Report::default(), refused));
    }
    let transaction = transaction.lock().await?;
    let before = transaction.stored().await?;
    let comparison = Comparison::new(&wanted, &before);
    let report = report(&comparison);
    let refusal = match refusal(&transaction, &comparison, how).await? {
        Some(refusal) => Some(refusal),
        None => verify(&wanted, &before, &transaction.stored().await?).map(Refusal::NotAsWritten),
    };
    let outcome = match refusal {
        Some(refusal) => {
            transaction.roll_back().await;
            Outcome::Refused(refusal)
        }
        None if how.dry_run => {
            transaction.roll_back().await;
            Outcome::Imported(None)
        }
        None => Outcome::Imported(transaction.commit().await?),
    };
    Ok((report, outcome))
}

/// Everything that is wrong with the files themselves.
fn faults(files: &Everything) -> Vec<String> {
    let read = files.faults.iter();
    let mut faults: Vec<_> = read
        .map(|fault| format!("{}: {}", fault.origin, fault.reason))
        .collect();
    let mut holders: HashMap<&str, &ExtensionId> = HashMap::new();
    for extension in &files.extensions {
        let id = &extension.id;
        faults.extend(
            record_faults(extension)
                .iter()
                .map(|it| format!("{id}: {it}")),
        );
        let subject = extension.subject.as_str();
        match holders.get(subject) {
            Some(other) => faults.push(format!("{id}: `subject` {subject} is that of {other}")),
            None => drop(holders.insert(subject, id)),
        }
    }
    faults
}

/// Rewrites all JSON as the database writes it, so that it can be compared as text. The inner error
/// is a text that means something else there.
async fn write_alike(
    transaction: &impl Transaction,
    wanted: &mut [Extension],
) -> Result<Result<(), String>, StoreError> {
    let mut fields: Vec<_> = wanted.iter_mut().flat_map(json_fields).collect();
    let texts: Vec<_> = fields.iter().map(|field| field.text()).collect();
    let unique: Vec<_> = texts
        .iter()
        .copied()
        .collect::<HashSet<_>>()
        .into_iter()
        .collect();
    let written = transaction.as_written(&unique).await?;
    let alike: HashMap<String, String> = unique
        .iter()
        .map(ToString::to_string)
        .zip(written)
        .collect();
    for field in &mut fields {
        let text = alike.get(field.text()).cloned().unwrap_or_default();
        if let Err(rule) = field.rewrite(&text) {
            return Ok(Err(format!("{text}: {rule}")));
        }
    }
    Ok(Ok(()))
}

fn report(comparison: &Comparison<'_>) -> Report {
    let different = &comparison.different;
    Report {
        absent: Tally::of(comparison.absent.iter().copied()),
        identical: Tally::of(comparison.identical.iter().copied()),
        different: Tally::of(different.iter().map(|it| it.wanted)),
        differences: different
            .iter()
            .map(|it| (it.wanted.id.clone(), it.differences.clone()))
            .collect(),
        others: comparison.others,
    }
}

/// Writes, unless something stands against it.
async fn refusal(
    transaction: &impl Transaction,
    comparison: &Comparison<'_>,
    how: &Import<'_>,
) -> Result<Option<Refusal>, StoreError> {
    if !comparison.different.is_empty() && !how.overwrite {
        return Ok(Some(Refusal::Different));
    }
    let replaced: Vec<_> = comparison.different.iter().map(|it| it.wanted).collect();
    let moving = match moving(transaction, &comparison.absent, &replaced).await? {
        Ok(moving) => moving,
        Err(taken) => return Ok(Some(Refusal::SubjectsTaken(taken))),
    };
    if !moving.is_empty() {
        transaction.vacate(&moving).await?;
    }
    for some in statements(&replaced) {
        transaction.replace(some).await?;
        (how.progress)(some.len());
    }
    for some in statements(&comparison.absent) {
        transaction.create(some).await?;
        (how.progress)(some.len());
    }
    Ok(None)
}

/// Which of the extensions to be replaced must give up a subject that another one is to have; the
/// inner error names subjects that nobody gives up.
async fn moving<'a>(
    transaction: &impl Transaction,
    absent: &[&Extension],
    replaced: &[&'a Extension],
) -> Result<Result<Vec<&'a ExtensionId>, Vec<String>>, StoreError> {
    let wanted: HashMap<&str, &ExtensionId> = absent
        .iter()
        .chain(replaced)
        .map(|it| (it.subject.as_str(), &it.id))
        .collect();
    let movers: HashMap<&str, &ExtensionId> =
        replaced.iter().map(|it| (it.id.as_str(), &it.id)).collect();
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
            None => taken.push(format!("{heir}: `subject` {subject} is taken by {holder}")),
        }
    }
    taken.sort_unstable();
    Ok(if taken.is_empty() {
        Ok(moving)
    } else {
        Err(taken)
    })
}

/// Cuts a list into what one statement takes.
fn statements<'a, 'b>(all: &'b [&'a Extension]) -> impl Iterator<Item = &'b [&'a Extension]> {
    let mut rest = all;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = |it: &&&Extension| {
            bytes += json_bytes(it);
            bytes <= MAX_STATEMENT_BYTES
        };
        let count = rest.iter().take(MAX_STATEMENT).take_while(fits).count();
        let (some, later) = rest.split_at_checked(count.max(1))?;
        rest = later;
        Some(some)
    })
}

/// What is wrong with what the database holds `after` the import; nothing else may have changed.
fn verify(wanted: &[Extension], before: &Stored, after: &Stored) -> Option<String> {
    let held: HashMap<_, _> = after.extensions.iter().map(|it| (&it.id, it)).collect();
    let replaced: HashSet<_> = wanted.iter().map(|it| it.id.as_str()).collect();
    for wanted in wanted {
        match held.get(&wanted.id) {
            None => return Some(format!("{} is not there after it was written", wanted.id)),
            Some(held) if !same(held, wanted) => {
                let fields = differences(held, wanted).into_iter().map(|it| it.field);
                let fields: Vec<_> = fields.collect();
                return Some(format!("{}: {} differ", wanted.id, fields.join(", ")));
            }
            Some(_) => {}
        }
    }
    for fault in &after.faults {
        let id = fault.extension.as_ref().map(|it| it.id.as_str());
        if id.is_some_and(|id| replaced.contains(id)) {
            return Some(format!("{}: {}", fault.origin, fault.reason));
        }
    }
    let others = |stored: &Stored| -> usize {
        let ids = stored.extensions.iter().map(|it| it.id.as_str());
        ids.filter(|id| !replaced.contains(id)).count()
    };
    let untouched = before
        .extensions
        .iter()
        .filter(|it| !replaced.contains(it.id.as_str()));
    for other in untouched {
        if held.get(&other.id).is_none_or(|held| *held != other) {
            return Some(format!("{} was changed, though no file names it", other.id));
        }
    }
    if others(before) != others(after) || after.extensions.len() != others(after) + wanted.len() {
        return Some("the number of extensions is not what it should be".to_owned());
    }
    None
}

//! From a command to steps, or to the rule it breaks.

use super::command::Command;
use super::promote;
use crate::domain::ids::{InstanceId, VersionName};
use crate::domain::policy::Policy;
use crate::domain::record::{
    self, FieldFault, Fields, Gate, MAX_PARTS, MAX_RECORD_BYTES, NO_HALT, Record, Value,
};
use crate::domain::rollout::Rollout;

/// A record as it is stored, before anything about it is checked: what is broken must be fixable.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stored {
    /// All of it.
    pub record: Record<'static>,
    /// The revision of its last change.
    pub revision: u64,
}

/// Why a command is not carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EditError {
    /// There is no such extension.
    NotFound,
    /// There is no such version.
    VersionNotFound(VersionName),
    /// There is no such instance.
    InstanceNotFound(InstanceId),
    /// The id is taken.
    AlreadyExists,
    /// Another extension has the subject.
    SubjectTaken,
    /// The record is of another revision than the command was meant for.
    Conflict(u64),
    /// The current version cannot be removed; another one has to be promoted first.
    CurrentVersion,
    /// The current version has no row of its own: its fields are the extension's.
    NoRow,
    /// The record would hold more than this many bytes.
    TooLarge(usize),
    /// Fields that break rules.
    Invalid(Vec<FieldFault>),
}

/// One change of what is stored about the extension.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Add it.
    Insert(Fields<'static>),
    /// Write these of its own fields, and touch no other: a value that the daemon would write another
    /// way stays as it is.
    Update(Fields<'static>),
    /// Write these two, and touch no other: a switch must work on any record.
    Switch {
        /// Whether operators have it enabled.
        enabled: bool,
        /// Whether the daemon has taken it out of service.
        auto_disabled: bool,
    },
    /// Have every sidecar reset the circuits that no override holds.
    ResetCircuits,
    /// Remove it with all its parts.
    Delete,
    /// Add or replace a version.
    PutVersion(Fields<'static>),
    /// Write what is current into a row of its version, disabled, every field of its own but those
    /// that were the extension's before it was promoted; rules, rollout and priority that the row
    /// has stay, else those come back that it had then.
    KeepCurrent,
    /// Note what the row of a version that has become the current one holds and the extension
    /// cannot: its rules, and which of its fields are null.
    Remember(VersionName),
    /// Remove that row. One that named the current version when this one was current before, and was
    /// not changed since, is made what it was then.
    TakeRow(VersionName),
    /// Disable a version, whatever else its row holds. As it is stored, as it may break rules.
    DisableVersion(String),
    /// Remove a version.
    DeleteVersion(VersionName),
    /// Add or replace an instance.
    PutInstance(Fields<'static>),
    /// Remove an instance.
    DeleteInstance(InstanceId),
    /// Give instances without a version this one.
    FillInstances(VersionName),
}

/// What carries a command out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// The name of the whole in the audit, where the steps' own names would not show it.
    pub action: Option<&'static str>,
    /// In this order; none where there is nothing to do.
    pub steps: Vec<Step>,
}

impl From<Step> for Plan {
    fn from(step: Step) -> Self {
        Self {
            action: None,
            steps: vec![step],
        }
    }
}

/// Decides what `command` does to the record that is `stored`.
///
/// # Errors
/// The rule it breaks; nothing is to be changed then.
pub fn plan(
    stored: Option<&Stored>,
    command: &Command,
    if_revision: Option<u64>,
    policy: &Policy,
) -> Result<Plan, EditError> {
    let faults = command.faults(policy);
    if !faults.is_empty() {
        return Err(EditError::Invalid(faults));
    }
    let stored = match (stored, command) {
        (None, Command::Create(fields)) => return create(fields, policy),
        (Some(_), Command::Create(_)) => return Err(EditError::AlreadyExists),
        (None, _) => return Err(EditError::NotFound),
        (Some(stored), _) => stored,
    };
    if if_revision.is_some_and(|wanted| wanted != stored.revision) {
        return Err(EditError::Conflict(stored.revision));
    }
    let record = &stored.record;
    match command {
        Command::Create(_) => Err(EditError::AlreadyExists),
        Command::Update(patch) => update(record, patch, policy),
        Command::Delete => Ok(Step::Delete.into()),
        Command::Enable => enable(&record.own, policy),
        Command::Disable => Ok(disable(&record.own)),
        Command::PutVersion(fields) => put_version(record, fields, policy),
        Command::UpdateVersion(version, patch) => update_version(record, version, patch, policy),
        Command::Share(version, share) => {
            no_halt("halt", share.halts() && record.runs(version))?;
            let row = row(record, version)?;
            let rollout = share.over(row.get("rollout"));
            let patch = [("rollout", rollout)].into_iter().collect();
            update_version(record, version, &patch, policy)
        }
        Command::DeleteVersion(version) => delete_version(record, version),
        Command::Promote(version) => promote::plan(record, version, policy),
        Command::PutInstance(fields) => put_instance(record, fields, policy),
        Command::DeleteInstance(instance) => delete_instance(record, instance),
    }
}

fn create(fields: &Fields<'static>, policy: &Policy) -> Result<Plan, EditError> {
    let made = Gate::strict(policy).extension(fields);
    let made = record::extension(&made.map_err(EditError::Invalid)?).into_owned();
    let after = Record {
        own: made.clone(),
        ..Record::default()
    };
    bounded(None, &after)?;
    Ok(Step::Insert(made).into())
}

/// The result must be faultless; limits bind only what is mentioned, as a row's values beyond them
/// are cut when it is served.
fn update(
    record: &Record<'static>,
    patch: &Fields<'static>,
    policy: &Policy,
) -> Result<Plan, EditError> {
    let after = Record {
        own: record.own.with(patch),
        ..record.clone()
    };
    let result = Gate::of(policy).extension(&after.own);
    let result = result.map_err(EditError::Invalid)?;
    // From now on its row would name the current version.
    let row = after.version(result.version.as_str());
    let becomes_current = !record.runs(&result.version);
    no_halt("version", becomes_current && row.is_some_and(halts))?;
    bounded(Some(record), &after)?;
    let written = record::extension(&result).mentioned_by(patch);
    Ok(Step::Update(written.into_owned()).into())
}

/// Enabling is a person's word over the daemon's: it takes back what the daemon has done, and is named
/// as a person's deed. Circuits are reset in any case: a sidecar may see no change of the record, or
/// only the last of several.
fn enable(own: &Fields<'_>, policy: &Policy) -> Result<Plan, EditError> {
    let checked = Gate::of(policy).extension(own);
    let checked = checked.map_err(EditError::Invalid)?;
    let switch = Step::Switch {
        enabled: true,
        auto_disabled: false,
    };
    let changes = !checked.enabled || checked.auto_disabled;
    let steps = changes.then_some(switch).into_iter();
    Ok(Plan {
        action: Some("enabled"),
        steps: steps.chain([Step::ResetCircuits]).collect(),
    })
}

/// Never refused: whatever is wrong with the record is one more reason to switch it off.
fn disable(own: &Fields<'_>) -> Plan {
    let step = Step::Switch {
        enabled: false,
        auto_disabled: *own.get("auto_disabled") == Value::Switch(true),
    };
    step.into()
}

fn put_version(
    record: &Record<'static>,
    fields: &Fields<'static>,
    policy: &Policy,
) -> Result<Plan, EditError> {
    let version = Gate::strict(policy).version(fields, running(record));
    let version = version.map_err(EditError::Invalid)?;
    no_halt("rollout", record.runs(&version.version) && version.halts())?;
    let written = record::version(&version).into_owned();
    let mut after = record.clone();
    replace(&mut after.versions, "version", written.clone());
    one_more("version", record.versions.len(), after.versions.len())?;
    bounded(Some(record), &after)?;
    Ok(Step::PutVersion(written).into())
}

/// As an update of the extension: limits bind only what is mentioned.
fn update_version(
    record: &Record<'static>,
    name: &VersionName,
    patch: &Fields<'static>,
    policy: &Policy,
) -> Result<Plan, EditError> {
    no_halt("rollout", record.runs(name) && halts(patch))?;
    let fields = row(record, name)?.with(patch);
    let checked = Gate::of(policy).version(&fields, running(record));
    let version = checked.map_err(EditError::Invalid)?;
    no_halt("rollout", record.runs(&version.version) && version.halts())?;
    let mut after = record.clone();
    replace(&mut after.versions, "version", fields.clone());
    bounded(Some(record), &after)?;
    // What is not mentioned is written as it is stored.
    let checked = record::version(&version).mentioned_by(patch);
    Ok(Step::PutVersion(fields.with(&checked).into_owned()).into())
}

fn row<'r>(
    record: &'r Record<'static>,
    version: &VersionName,
) -> Result<&'r Fields<'static>, EditError> {
    let row = record.version(version.as_str());
    row.ok_or_else(|| match record.runs(version) {
        true => EditError::NoRow,
        false => EditError::VersionNotFound(version.clone()),
    })
}

/// Whether the fields of a version say when to give its share up.
fn halts(fields: &Fields<'_>) -> bool {
    let halts = |rollout: Rollout| rollout.halt().is_some();
    matches!(fields.get("rollout"), Value::Json(json) if Rollout::parse(json).is_ok_and(halts))
}

/// Refuses what would let the current version give up its share: there is none to give it to.
fn no_halt(field: &'static str, gives_up: bool) -> Result<(), EditError> {
    match gives_up {
        true => Err(invalid(field, NO_HALT.to_owned())),
        false => Ok(()),
    }
}

/// Puts `row` in the place of the one that has its name.
fn replace(rows: &mut Vec<Fields<'static>>, name: &str, row: Fields<'static>) {
    rows.retain(|other| other.text(name) != row.text(name));
    rows.push(row);
}

fn delete_version(record: &Record<'_>, version: &VersionName) -> Result<Plan, EditError> {
    if record.version(version.as_str()).is_some() {
        Ok(Step::DeleteVersion(version.clone()).into())
    } else if record.runs(version) {
        Err(EditError::CurrentVersion)
    } else {
        Err(EditError::VersionNotFound(version.clone()))
    }
}

fn put_instance(
    record: &Record<'static>,
    fields: &Fields<'_>,
    policy: &Policy,
) -> Result<Plan, EditError> {
    let current = current(record)?;
    let instance = Gate::strict(policy).instance(fields, current.as_str());
    let instance = instance.map_err(EditError::Invalid)?;
    let version = &instance.version;
    if !record.runs(version) && record.version(version.as_str()).is_none() {
        return Err(EditError::VersionNotFound(instance.version));
    }
    let written = record::instance(&instance).into_owned();
    let mut after = record.clone();
    replace(&mut after.instances, "instance_id", written.clone());
    one_more("instance_id", record.instances.len(), after.instances.len())?;
    bounded(Some(record), &after)?;
    Ok(Step::PutInstance(written).into())
}

fn delete_instance(record: &Record<'_>, instance: &InstanceId) -> Result<Plan, EditError> {
    let name = Some(instance.as_str());
    let mut rows = record.instances.iter();
    if rows.any(|row| row.text("instance_id") == name) {
        Ok(Step::DeleteInstance(instance.clone()).into())
    } else {
        Err(EditError::InstanceNotFound(instance.clone()))
    }
}

/// The name of the current version, as it is stored.
fn running<'r>(record: &'r Record<'_>) -> &'r str {
    record.own.text("version").unwrap_or_default()
}

/// The current version.
pub(super) fn current(record: &Record<'_>) -> Result<VersionName, EditError> {
    VersionName::parse(running(record)).map_err(|rule| invalid("version", rule.to_string()))
}

/// Refuses a record that would be too large; one that shrinks may still be, as it is getting better.
pub(super) fn bounded(before: Option<&Record<'_>>, after: &Record<'_>) -> Result<(), EditError> {
    let size = record::size(after);
    if size > MAX_RECORD_BYTES && before.is_none_or(|before| size > record::size(before)) {
        return Err(EditError::TooLarge(MAX_RECORD_BYTES));
    }
    Ok(())
}

/// Refuses a part more than there may be, where there were that many `before`.
fn one_more(field: &'static str, before: usize, after: usize) -> Result<(), EditError> {
    if after <= before || before < MAX_PARTS {
        return Ok(());
    }
    let rule = format!("would be one too many: an extension has at most {MAX_PARTS}");
    Err(invalid(field, rule))
}

fn invalid(field: &'static str, rule: String) -> EditError {
    EditError::Invalid(vec![FieldFault { field, rule }])
}

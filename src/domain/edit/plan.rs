//! From a command to steps, or to the rule it breaks.

use thiserror::Error;

use super::columns::ExtensionColumns;
use super::command::{Command, ExtensionPatch};
use super::stored::{ExtensionFields, InstanceFields, StoredRecord, VersionFields};
use super::{promote, size};
use crate::domain::draft::FieldFault;
use crate::domain::extension::{Extension, Instance, Version};
use crate::domain::ids::{InstanceId, VersionName};
use crate::domain::policy::Policy;
use crate::domain::whole;

/// More versions or instances than anyone runs; a bound on what one record can cost.
pub(super) const MAX_PARTS: usize = 100;

/// Why a command is not carried out.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EditError {
    /// There is no such extension.
    #[error("there is no such extension")]
    NotFound,
    /// There is no such version.
    #[error("there is no version `{0}`")]
    VersionNotFound(VersionName),
    /// There is no such instance.
    #[error("there is no instance `{0}`")]
    InstanceNotFound(InstanceId),
    /// The id is taken.
    #[error("the id is taken")]
    AlreadyExists,
    /// The record is of another revision than the command was meant for.
    #[error("the record is at revision {0}")]
    Conflict(u64),
    /// The current version cannot be removed; another one has to be promoted first.
    #[error("it is the current version")]
    CurrentVersion,
    /// The record would hold more than this many bytes.
    #[error("the record would be larger than {0} bytes")]
    TooLarge(usize),
    /// Fields that break rules.
    #[error("{}", crate::domain::draft::describe(.0))]
    Invalid(Vec<FieldFault>),
}

/// One change of what is stored about the extension.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Add it.
    Insert(Box<Extension>),
    /// Write some of its own columns.
    Update(Box<ExtensionColumns>),
    /// Write these two, and touch no other: a switch must work on any record.
    Switch {
        /// Whether people allow it to serve.
        enabled: bool,
        /// Whether the machine has taken it out of service.
        auto_disabled: bool,
    },
    /// Have every sidecar reset the circuits that no override holds.
    ResetCircuits,
    /// Remove it with all its parts.
    Delete,
    /// Add or replace a version.
    PutVersion(Box<Version>),
    /// Write what is current into a row of its version, disabled, every field of its own but those
    /// that were the extension's before it was promoted; rules, rollout and priority that the row
    /// has stay, else those come back that it had then.
    KeepCurrent,
    /// Note what the row of a version that has become the current one holds and the extension
    /// cannot: its rules, and which of its fields are null.
    Remember(VersionName),
    /// Disable a version, whatever else its row holds. As it is stored, as it may break rules.
    DisableVersion(String),
    /// Remove a version.
    DeleteVersion(VersionName),
    /// Add or replace an instance.
    PutInstance(Instance),
    /// Remove an instance.
    DeleteInstance(InstanceId),
    /// Give instances without a version this one.
    FillInstances(VersionName),
}

/// What carries a command out.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The name of the whole in the audit, where the steps' own names would not tell.
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
    stored: Option<&StoredRecord>,
    command: &Command,
    if_revision: Option<u64>,
    policy: &Policy,
) -> Result<Plan, EditError> {
    if let Command::Create(fields) = command {
        return match stored {
            Some(_) => Err(EditError::AlreadyExists),
            None => create(fields, policy),
        };
    }
    let stored = stored.ok_or(EditError::NotFound)?;
    if if_revision.is_some_and(|wanted| wanted != stored.revision) {
        return Err(EditError::Conflict(stored.revision));
    }
    let own = &stored.extension;
    match command {
        Command::Create(_) => Err(EditError::AlreadyExists),
        Command::Update(patch) => update(stored, patch, policy),
        Command::Delete => Ok(Step::Delete.into()),
        Command::Enable => enable(own, policy),
        Command::Disable => Ok(disable(own)),
        Command::PutVersion(fields) => put_version(stored, fields, policy),
        Command::DeleteVersion(version) => delete_version(stored, version),
        Command::Promote(version) => promote::plan(stored, version, policy),
        Command::PutInstance(fields) => put_instance(stored, fields, policy),
        Command::DeleteInstance(instance) => delete_instance(stored, instance),
    }
}

fn create(fields: &ExtensionFields, policy: &Policy) -> Result<Plan, EditError> {
    let mut more = beyond(fields.timeout_ms, fields.retry, policy);
    more.append(&mut size::faults(fields));
    let made = faultless(fields.draft().check(policy), more)?;
    let after = StoredRecord {
        extension: fields.clone(),
        ..StoredRecord::default()
    };
    size::bounded(None, &after)?;
    Ok(Step::Insert(Box::new(made)).into())
}

/// The result must be faultless; limits bind only what is named, as a row's values beyond them are
/// cut when it is served.
fn update(
    stored: &StoredRecord,
    patch: &ExtensionPatch,
    policy: &Policy,
) -> Result<Plan, EditError> {
    let named = patch.over(&ExtensionFields::default());
    let mut more = beyond(named.timeout_ms, named.retry, policy);
    more.append(&mut size::faults(&named));
    let fields = patch.over(&stored.extension);
    let result = faultless(fields.draft().check(policy), more)?;
    let after = StoredRecord {
        extension: fields,
        ..stored.clone()
    };
    size::bounded(Some(stored), &after)?;
    Ok(Step::Update(Box::new(ExtensionColumns::of(patch, &result))).into())
}

/// Enabling is a person's word over the machine's: it takes back what the machine has done, and is
/// named as a person's deed.
fn enable(own: &ExtensionFields, policy: &Policy) -> Result<Plan, EditError> {
    own.draft().check(policy).map_err(EditError::Invalid)?;
    let serves = own.enabled.unwrap_or(true) && !own.auto_disabled;
    let step = match serves {
        // It is no change of the record, by which the sidecars would know.
        true => Step::ResetCircuits,
        false => Step::Switch {
            enabled: true,
            auto_disabled: false,
        },
    };
    Ok(Plan {
        action: Some("enabled"),
        steps: vec![step],
    })
}

/// Never refused: whatever is wrong with the record is one more reason to switch it off.
fn disable(own: &ExtensionFields) -> Plan {
    let step = Step::Switch {
        enabled: false,
        auto_disabled: own.auto_disabled,
    };
    step.into()
}

/// A row that names the current version is enabled unless it says otherwise: it would switch the
/// current version off.
fn put_version(
    stored: &StoredRecord,
    fields: &VersionFields,
    policy: &Policy,
) -> Result<Plan, EditError> {
    let current = stored.extension.version.as_deref() == Some(fields.version.as_str());
    let fields = VersionFields {
        enabled: fields.enabled.or(current.then_some(true)),
        ..fields.clone()
    };
    let mut more = beyond(fields.timeout_ms, fields.retry, policy);
    more.append(&mut size::version_faults(&fields));
    let version = faultless(fields.draft().check(policy), more)?;
    let mut after = stored.clone();
    after.versions.retain(|row| row.version != fields.version);
    let known = after.versions.len() < stored.versions.len();
    bounded("version", known, stored.versions.len())?;
    after.versions.push(fields);
    size::bounded(Some(stored), &after)?;
    Ok(Step::PutVersion(Box::new(version)).into())
}

fn delete_version(stored: &StoredRecord, version: &VersionName) -> Result<Plan, EditError> {
    let known = |row: &VersionFields| row.version == version.as_str();
    if stored.versions.iter().any(known) {
        Ok(Step::DeleteVersion(version.clone()).into())
    } else if stored.runs(version) {
        Err(EditError::CurrentVersion)
    } else {
        Err(EditError::VersionNotFound(version.clone()))
    }
}

fn put_instance(
    stored: &StoredRecord,
    fields: &InstanceFields,
    policy: &Policy,
) -> Result<Plan, EditError> {
    let current = stored.current()?;
    let instance = fields
        .draft()
        .check(&current, policy)
        .map_err(EditError::Invalid)?;
    let known_version = stored.runs(&instance.version)
        || stored
            .versions
            .iter()
            .any(|row| row.version == instance.version.as_str());
    if !known_version {
        return Err(EditError::VersionNotFound(instance.version));
    }
    let known = stored
        .instances
        .iter()
        .any(|row| row.instance_id == fields.instance_id);
    bounded("instance_id", known, stored.instances.len())?;
    Ok(Step::PutInstance(instance).into())
}

fn delete_instance(stored: &StoredRecord, instance: &InstanceId) -> Result<Plan, EditError> {
    let known = |row: &InstanceFields| row.instance_id == instance.as_str();
    if stored.instances.iter().any(known) {
        Ok(Step::DeleteInstance(instance.clone()).into())
    } else {
        Err(EditError::InstanceNotFound(instance.clone()))
    }
}

impl StoredRecord {
    /// The current version.
    pub(super) fn current(&self) -> Result<VersionName, EditError> {
        let version = self.extension.version.as_deref().unwrap_or_default();
        VersionName::parse(version).map_err(|rule| invalid("version", &rule))
    }

    /// Whether `version` is the current one.
    pub(super) fn runs(&self, version: &VersionName) -> bool {
        self.extension.version.as_deref() == Some(version.as_str())
    }
}

/// What was checked, unless there are `more` faults; a field has one.
fn faultless<T>(
    checked: Result<T, Vec<FieldFault>>,
    mut more: Vec<FieldFault>,
) -> Result<T, EditError> {
    match checked {
        Ok(value) if more.is_empty() => Ok(value),
        Ok(_) => Err(EditError::Invalid(more)),
        Err(mut faults) => {
            more.retain(|other| faults.iter().all(|fault| fault.field != other.field));
            faults.append(&mut more);
            Err(EditError::Invalid(faults))
        }
    }
}

fn beyond(timeout_ms: Option<i64>, retry: Option<i64>, policy: &Policy) -> Vec<FieldFault> {
    let limits = [
        ("timeout_ms", timeout_ms, policy.timeouts_ms()),
        ("retry", retry, policy.retries()),
    ];
    let over = limits
        .into_iter()
        .filter(|(_, value, range)| value.is_some_and(|value| value > *range.end()));
    over.map(|(field, _, range)| FieldFault {
        field,
        rule: whole::rule(range.start(), range.end()),
    })
    .collect()
}

fn bounded(field: &'static str, known: bool, count: usize) -> Result<(), EditError> {
    if known || count < MAX_PARTS {
        return Ok(());
    }
    let rule = format!("would be one too many: an extension has at most {MAX_PARTS}");
    Err(EditError::Invalid(vec![FieldFault { field, rule }]))
}

pub(super) fn invalid(field: &'static str, rule: &impl ToString) -> EditError {
    let rule = rule.to_string();
    EditError::Invalid(vec![FieldFault { field, rule }])
}

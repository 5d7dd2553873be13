//! From a command to steps, or to the rule it breaks.

use thiserror::Error;

use super::command::Command;
use super::promote;
use super::stored::{ExtensionFields, InstanceFields, StoredRecord, VersionFields};
use crate::domain::draft::FieldFault;
use crate::domain::extension::{Extension, Instance, Version};
use crate::domain::ids::{InstanceId, VersionName};
use crate::domain::policy::Policy;

/// More versions or instances than anyone runs; a bound on what one record can cost.
const MAX_PARTS: usize = 100;

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
    /// Fields that break rules.
    #[error("{}", crate::domain::draft::describe(.0))]
    Invalid(Vec<FieldFault>),
}

/// One change of what is stored about the extension.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Add it.
    Insert(Box<Extension>),
    /// Give all its own fields these values.
    Update(Box<Extension>),
    /// Remove it with all its parts.
    Delete,
    /// Add or replace a version.
    PutVersion(Box<Version>),
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
            None => Ok(Step::Insert(Box::new(checked(fields, policy)?)).into()),
        };
    }
    let stored = stored.ok_or(EditError::NotFound)?;
    if if_revision.is_some_and(|wanted| wanted != stored.revision) {
        return Err(EditError::Conflict(stored.revision));
    }
    let own = &stored.extension;
    match command {
        Command::Create(_) => Err(EditError::AlreadyExists),
        Command::Update(patch) => update(&patch.over(own), policy),
        Command::Delete => Ok(Step::Delete.into()),
        Command::Enable => switch(own, true, policy),
        Command::Disable => switch(own, false, policy),
        Command::PutVersion(fields) => put_version(stored, fields, policy),
        Command::DeleteVersion(version) => delete_version(stored, version),
        Command::Promote(version) => promote::plan(stored, version, policy),
        Command::PutInstance(fields) => put_instance(stored, fields, policy),
        Command::DeleteInstance(instance) => delete_instance(stored, instance),
    }
}

fn update(fields: &ExtensionFields, policy: &Policy) -> Result<Plan, EditError> {
    Ok(Step::Update(Box::new(checked(fields, policy)?)).into())
}

/// Enabling is a person's word over the machine's: it takes back what the machine has done.
fn switch(own: &ExtensionFields, enabled: bool, policy: &Policy) -> Result<Plan, EditError> {
    let fields = ExtensionFields {
        enabled: Some(enabled),
        auto_disabled: own.auto_disabled && !enabled,
        ..own.clone()
    };
    update(&fields, policy)
}

fn put_version(
    stored: &StoredRecord,
    fields: &VersionFields,
    policy: &Policy,
) -> Result<Plan, EditError> {
    let version = checked_version(fields, policy)?;
    let known = stored
        .versions
        .iter()
        .any(|row| row.version == fields.version);
    bounded("version", known, stored.versions.len())?;
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

/// The fields as a record; values beyond the limits, which a row may have, are refused.
pub(super) fn checked(fields: &ExtensionFields, policy: &Policy) -> Result<Extension, EditError> {
    let over = beyond(fields.timeout_ms, fields.retry, policy);
    faultless(fields.draft().check(policy), over)
}

/// The same for a version.
pub(super) fn checked_version(
    fields: &VersionFields,
    policy: &Policy,
) -> Result<Version, EditError> {
    let over = beyond(fields.timeout_ms, fields.retry, policy);
    faultless(fields.draft().check(policy), over)
}

fn faultless<T>(
    checked: Result<T, Vec<FieldFault>>,
    mut beyond: Vec<FieldFault>,
) -> Result<T, EditError> {
    match checked {
        Ok(value) if beyond.is_empty() => Ok(value),
        Ok(_) => Err(EditError::Invalid(beyond)),
        Err(mut faults) => {
            faults.append(&mut beyond);
            Err(EditError::Invalid(faults))
        }
    }
}

fn beyond(timeout_ms: Option<i64>, retry: Option<i64>, policy: &Policy) -> Vec<FieldFault> {
    let limits = [
        ("timeout_ms", timeout_ms, policy.max_timeout_ms),
        ("retry", retry, policy.max_retries),
    ];
    let over = limits
        .into_iter()
        .filter(|(_, value, limit)| value.is_some_and(|value| value > i64::from(*limit)));
    over.map(|(field, _, limit)| FieldFault {
        field,
        rule: format!("must be at most {limit}"),
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

//! What is to be done to one extension.

use crate::domain::ids::{InstanceId, VersionName};
use crate::domain::policy::Policy;
use crate::domain::record::{self, Checked, FieldFault, Fields, Gate};

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Make it.
    Create(Fields<'static>),
    /// Change the fields that are mentioned; null is the default.
    Update(Fields<'static>),
    /// Remove it with its versions and instances.
    Delete,
    /// Let it serve, also where the daemon had taken it out of service.
    Enable,
    /// Take it out of service.
    Disable,
    /// Add or replace a version.
    PutVersion(Fields<'static>),
    /// Remove a version.
    DeleteVersion(VersionName),
    /// Make a version the current one.
    Promote(VersionName),
    /// Add or replace an instance.
    PutInstance(Fields<'static>),
    /// Remove an instance.
    DeleteInstance(InstanceId),
}

impl Command {
    /// What is wrong with the fields that it mentions, whatever is stored.
    pub fn faults(&self, policy: &Policy) -> Vec<FieldFault> {
        fn of<T>(checked: Checked<T>) -> Vec<FieldFault> {
            checked.err().unwrap_or_default()
        }
        let gate = Gate::strict(policy);
        let (fields, mut faults) = match self {
            Self::Create(fields) => (fields, of(gate.extension(fields))),
            Self::Update(fields) => (fields, of(gate.extension(fields))),
            Self::PutVersion(fields) => (fields, of(gate.version(fields))),
            Self::PutInstance(fields) => (fields, of(gate.instance(fields, ""))),
            _ => return Vec::new(),
        };
        if let Self::Update(fields) = self {
            faults.retain(|fault| fields.mentions(fault.field));
        }
        let mut unstorable = record::faults(fields);
        // A field has one fault.
        unstorable.retain(|other| faults.iter().all(|fault| fault.field != other.field));
        faults.append(&mut unstorable);
        faults
    }
}

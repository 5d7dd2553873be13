//! What is to be done to one extension.

use std::collections::BTreeMap;

use crate::domain::ids::{InstanceId, VersionName};
use crate::domain::json::JsonObject;
use crate::domain::policy::Policy;
use crate::domain::record::{self, Checked, FieldFault, Fields, Gate, Value};
use crate::domain::rollout::Member;

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
    /// Change the fields of a version that are mentioned; null is the default.
    UpdateVersion(VersionName, Fields<'static>),
    /// Change the share of a version.
    Share(VersionName, Share),
    /// Remove a version.
    DeleteVersion(VersionName),
    /// Make a version the current one.
    Promote(VersionName),
    /// Add or replace an instance.
    PutInstance(Fields<'static>),
    /// Remove an instance.
    DeleteInstance(InstanceId),
}

/// Members of a rollout, as JSON: those that are not among them stay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share(pub Vec<(Member, String)>);

impl Share {
    /// What is wrong with it, by member.
    fn faults(&self) -> Vec<FieldFault> {
        let wrong = self.0.iter().filter(|(member, json)| !member.accepts(json));
        let faults = wrong.map(|(member, _)| FieldFault {
            field: member.as_str(),
            rule: member.rule().to_owned(),
        });
        faults.collect()
    }

    /// The members as fields.
    fn fields(&self) -> Fields<'_> {
        let members = self.0.iter();
        members
            .map(|(member, json)| (member.as_str(), Value::Json(json.as_str().into())))
            .collect()
    }

    /// Whether it says when to give the share up.
    pub(super) fn halts(&self) -> bool {
        self.0.iter().any(|(member, _)| *member == Member::Halt)
    }

    /// The rollout that `old` becomes. One without a key is shared out by tenant by default.
    pub(super) fn over(&self, old: &Value<'_>) -> Value<'static> {
        let old = match old {
            Value::Json(json) => JsonObject::parse(json).unwrap_or_default(),
            _ => JsonObject::default(),
        };
        let mut all = BTreeMap::from([("by".to_owned(), r#""tenant_id""#)]);
        let members = old.members();
        all.extend(members.iter().map(|(name, raw)| (name.clone(), raw.get())));
        let given = self.0.iter();
        all.extend(given.map(|(member, json)| (member.as_str().to_owned(), json.as_str())));
        // What a row holds may be null.
        all.retain(|_, json| *json != "null");
        let members = all.iter().map(|(name, json)| {
            let name = serde_json::Value::from(name.as_str());
            format!("{name}:{json}")
        });
        let members: Vec<_> = members.collect();
        Value::Json(format!("{{{}}}", members.join(",")).into())
    }
}

impl Command {
    /// What is wrong with the fields that it mentions, whatever is stored.
    pub fn faults(&self, policy: &Policy) -> Vec<FieldFault> {
        fn of<T>(checked: Checked<T>) -> Vec<FieldFault> {
            checked.err().unwrap_or_default()
        }
        let gate = Gate::strict(policy);
        let members;
        let (fields, mut faults) = match self {
            Self::Create(fields) => (fields, of(gate.extension(fields))),
            Self::Update(fields) => (fields, of(gate.extension(fields))),
            Self::PutVersion(fields) => (fields, of(gate.version(fields, ""))),
            Self::UpdateVersion(_, fields) => (fields, of(gate.version(fields, ""))),
            Self::PutInstance(fields) => (fields, of(gate.instance(fields, ""))),
            Self::Share(_, share) => {
                members = share.fields();
                (&members, share.faults())
            }
            _ => return Vec::new(),
        };
        if let Self::Update(fields) | Self::UpdateVersion(_, fields) = self {
            faults.retain(|fault| fields.mentions(fault.field));
        }
        let mut unstorable = record::faults(fields);
        // A field has one fault.
        unstorable.retain(|other| faults.iter().all(|fault| fault.field != other.field));
        faults.append(&mut unstorable);
        faults
    }
}

//! Changes by operators: written to the database, then served before they are answered.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use serde_json::value::RawValue;
use tokio::time::timeout;

use super::boundary::answered;
use super::definitions::{
    AuditEntry, AuditQuery, Definitions, Rehearsal, Switch, Switched, Which, Write, WriteError,
    Written,
};
use super::error::{BadField, MAX_FAULTS, NotFoundReason, RegistryError};
use super::fleet::OverrideHandle;
use super::invoke::Tools;
use super::observe::Observation;
use super::progress::Progress;
use super::reload::{Hint, ReloadHandle};
use crate::domain::edit::{Command, EditError};
use crate::domain::entry::Entry;
use crate::domain::ids::ExtensionId;
use crate::domain::policy::Policy;
use crate::domain::quote::quoted;
use crate::domain::record::{FieldFault, describe};

/// How long a committed change may take to be served here before the answer is given regardless.
const SERVED_WITHIN: Duration = Duration::from_secs(5);

/// The values of a request by field, as they were given: for errors that name them.
pub type Values = BTreeMap<String, Box<RawValue>>;

/// The result of a change.
#[derive(Debug)]
pub enum Changed {
    /// The record is now this one, at this revision of the catalog.
    Record(Arc<Entry>, u64),
    /// It is committed in this revision, and there is no record to show: it is gone, in quarantine
    /// for another reason, or not served here yet.
    Committed(u64),
    /// It was a dry run.
    Rehearsed(Box<Rehearsal>),
}

/// Carries out changes.
#[derive(Debug)]
pub struct Administration {
    /// Where definitions are stored; without one there is nothing to change.
    pub definitions: Option<Arc<dyn Definitions>>,
    /// What an extension may be.
    pub policy: Policy,
    /// The circuits that follow a change, and the catalog that has it.
    pub tools: Tools,
    /// Hears that there is something new.
    pub reload: ReloadHandle,
    /// Knows when it is served.
    pub progress: Progress,
    /// The circuits as operators want them; without a database there are none.
    pub overrides: Option<OverrideHandle>,
}

impl Administration {
    /// Commits a change, and answers when this sidecar serves it. A caller that stops waiting does
    /// not stop the change: half of one must not be left on a connection.
    ///
    /// # Errors
    /// Nothing was changed, unless the error says that the outcome is unknown.
    pub async fn change(
        self: Arc<Self>,
        write: Write,
        values: Values,
    ) -> Result<Changed, RegistryError> {
        let work = async move {
            let carrying_out = self.carry_out(&write, &values);
            answered(&self.tools.observers, carrying_out).await
        };
        to_the_end(Box::pin(work)).await
    }

    /// Switches many extensions, likewise.
    ///
    /// # Errors
    /// Nothing was changed, unless the error says that the outcome is unknown.
    pub async fn switch(self: Arc<Self>, switch: Switch) -> Result<Switched, RegistryError> {
        let work = async move {
            let switching = self.switch_all(switch);
            answered(&self.tools.observers, switching).await
        };
        to_the_end(Box::pin(work)).await
    }

    /// A page of the audit, newest first, and whether there is more.
    ///
    /// # Errors
    /// No database, or one that is unreachable.
    pub async fn audit(
        &self,
        query: &AuditQuery,
    ) -> Result<(Vec<AuditEntry>, bool), RegistryError> {
        let entries = self.definitions()?.audit(query).await;
        entries.map_err(|error| {
            self.tell("cannot read the audit", &error);
            explain(error, "", &Values::default())
        })
    }

    async fn carry_out(&self, write: &Write, values: &Values) -> Result<Changed, RegistryError> {
        let served = self.progress.current();
        let entry = self.tools.selector.catalog().get(write.id.as_str());
        let held = entry.map_or(0, |entry| entry.extension().revision);
        let written = self.definitions()?.write(write, &self.policy).await;
        let written = written.map_err(|error| {
            self.tell("cannot write", &error);
            explain(error, write.id.as_str(), values)
        })?;
        let (revision, follows) = match written {
            Written::At(revision) => (revision, revision > served),
            Written::Nothing(revision) => (revision, revision >= held),
            Written::Rehearsed(rehearsal) => return Ok(Changed::Rehearsed(rehearsal)),
        };
        let known = self.served(revision, follows).await;
        if write.command == Command::Enable {
            self.reset_circuits(std::slice::from_ref(&write.id)).await;
        }
        // A record that is there by now is another extension's.
        Ok(match known && write.command != Command::Delete {
            true => self.changed(&write.id, revision),
            false => Changed::Committed(revision),
        })
    }

    async fn switch_all(&self, switch: Switch) -> Result<Switched, RegistryError> {
        let served = self.progress.current();
        let switched = self.definitions()?.switch(&switch, &self.policy).await;
        let switched = switched.map_err(|error| {
            self.tell("cannot write", &error);
            explain_of_many(error, &switch.which)
        })?;
        if !switch.dry_run {
            let revision = switched.revision;
            let follows = revision > served || revision == served && switched.changed.is_empty();
            self.served(revision, follows).await;
            if switch.enabled {
                let ids = switched.changed.iter().chain(&switched.unchanged);
                let ids = ids.filter_map(|id| ExtensionId::parse(id).ok());
                self.reset_circuits(&ids.collect::<Vec<_>>()).await;
            }
        }
        Ok(switched)
    }

    /// Waits until this sidecar serves what is committed; `false` where the records that it serves
    /// may be of another history. So they are where the revision does not follow on what was served
    /// before the change, as after a failover that lost commits: then everything is read again.
    async fn served(&self, revision: u64, follows: bool) -> bool {
        // Committed is committed: a sidecar that is slow to see it must not deny it.
        if !follows {
            let read = timeout(SERVED_WITHIN, self.reload.reload(None)).await;
            return matches!(read, Ok(Ok(_)));
        }
        if self.progress.current() < revision {
            self.reload.hint(Hint::Database);
            let _ = self.progress.reached(revision, SERVED_WITHIN).await;
        }
        true
    }

    /// The record, where this sidecar has it as it is since `revision`.
    fn changed(&self, id: &ExtensionId, revision: u64) -> Changed {
        let catalog = self.tools.selector.catalog();
        let at = catalog.revision();
        let entry = catalog.get(id.as_str());
        match entry.filter(|entry| entry.extension().revision >= revision) {
            Some(entry) => Changed::Record(entry, at),
            None => Changed::Committed(revision),
        }
    }

    /// Failures of the database are logged for operators, whatever the caller gets.
    fn tell(&self, what: &'static str, error: &WriteError) {
        if let WriteError::Failed(error) = error {
            let error = error.clone();
            let observation = Observation::RequestFailed { what, error };
            self.tools.observers.observe(&observation);
        }
    }

    fn definitions(&self) -> Result<&Arc<dyn Definitions>, RegistryError> {
        self.definitions.as_ref().ok_or(RegistryError::ReadOnly)
    }

    /// An extension that is enabled is taken to be repaired. The other sidecars do the same; what
    /// they do it by is applied here before the answer, or it would reset what calls find out
    /// afterwards.
    async fn reset_circuits(&self, ids: &[ExtensionId]) {
        let tools = &self.tools;
        for id in ids {
            for moved in tools.circuits.start_over(tools.clock.tick(), id) {
                tools.tell(moved);
            }
        }
        if let Some(overrides) = &self.overrides {
            let _late = timeout(SERVED_WITHIN, overrides.look()).await;
        }
    }
}

/// Carries out `work`, also when nobody waits for it any more.
async fn to_the_end<T: Send + 'static>(
    work: impl Future<Output = Result<T, RegistryError>> + Send + 'static,
) -> Result<T, RegistryError> {
    let done = tokio::spawn(work).await;
    done.unwrap_or(Err(RegistryError::Internal))
}

/// The error of a write of many, for its caller.
fn explain_of_many(error: WriteError, which: &Which) -> RegistryError {
    if let WriteError::Refused(Some(id), EditError::Invalid(faults)) = &error {
        let rule = format!("has {id}: {}", describe(faults));
        return RegistryError::field(which.field(), rule);
    }
    explain(error, "", &Values::default())
}

/// The error of a write of `id`, for its caller.
fn explain(error: WriteError, id: &str, values: &Values) -> RegistryError {
    let (id, refused) = match error {
        WriteError::Failed(error) => return error.into(),
        WriteError::Unknown(what) => return RegistryError::OutcomeUnknown(what),
        WriteError::Refused(of, refused) => (of.unwrap_or_else(|| id.to_owned()), refused),
    };
    match refused {
        EditError::NotFound => RegistryError::ExtensionNotFound {
            id,
            reason: NotFoundReason::Unknown,
        },
        EditError::VersionNotFound(version) => RegistryError::VersionNotFound {
            id,
            version: version.to_string(),
            serving: false,
        },
        EditError::InstanceNotFound(instance) => RegistryError::InstanceNotFound {
            id,
            instance_id: instance.to_string(),
        },
        EditError::AlreadyExists => RegistryError::AlreadyExists { id, field: "id" },
        EditError::SubjectTaken => RegistryError::AlreadyExists {
            id,
            field: "subject",
        },
        EditError::Conflict(revision) => RegistryError::Conflict {
            id,
            why: format!("its record is at revision {revision}"),
            revision: Some(revision),
        },
        EditError::CurrentVersion => RegistryError::Conflict {
            id,
            why: "the current version cannot be deleted; promote another one first".into(),
            revision: None,
        },
        EditError::NoRow => RegistryError::Conflict {
            id,
            why: "the current version has the extension's fields; `update` changes them".into(),
            revision: None,
        },
        EditError::TooLarge(limit_bytes) => RegistryError::PayloadTooLarge {
            what: "the record",
            limit_bytes,
        },
        EditError::Invalid(faults) => bad_fields(faults, values),
    }
}

/// Every fault with the value at fault; rules that quote what they refuse are cut.
fn bad_fields(faults: Vec<FieldFault>, values: &Values) -> RegistryError {
    let faults = faults.into_iter().take(MAX_FAULTS).map(|fault| BadField {
        value: values.get(fault.field).map(|raw| raw.get().into()),
        field: fault.field.into(),
        rule: quoted(&fault.rule).into(),
    });
    RegistryError::BadFields(faults.collect())
}

#[cfg(test)]
#[path = "administration_tests.rs"]
mod tests;

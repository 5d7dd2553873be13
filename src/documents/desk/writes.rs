//! Changes, and their actors.

use std::sync::Arc;

use super::{Answer, Desk};
use crate::documents::audit::{self, AuditArguments};
use crate::documents::change::{self, Body};
use crate::documents::reload::{self, ReloadArguments};
use crate::documents::request::id;
use crate::documents::verb::Verb;
use crate::documents::{committed, rehearsed, stored};
use crate::domain::actor::Actor;
use crate::domain::ids::ExtensionId;
use crate::service::administration::Changed;
use crate::service::definitions::Switch;
use crate::service::error::{NotFoundReason, RegistryError};

/// Room for the headers of a reply.
const HEADER_BYTES: usize = 512;

#[expect(
    clippy::missing_errors_doc,
    reason = "section 3.4 of the contract lists them"
)]
impl Desk {
    /// Carries out the change that `body` asks for, and answers the record. The id may come from
    /// elsewhere; `actor` decides who asks, given the actor that the body names.
    pub async fn change(
        &self,
        verb: Verb,
        body: Body,
        id_elsewhere: Option<&str>,
        actor: impl Fn(Option<&str>) -> Result<Actor, RegistryError>,
        max_bytes: usize,
    ) -> Result<Answer, RegistryError> {
        if let Some(switch) = change::bulk(verb, &body, id_elsewhere, &actor)? {
            return self.switch(switch, max_bytes).await;
        }
        let policy = &self.changes.policy;
        let (write, values) = change::read(verb, body, id_elsewhere, policy, actor)?;
        let id = write.id.clone();
        let revision = match Arc::clone(&self.changes).change(write, values).await? {
            Changed::Committed(revision) => revision,
            Changed::Rehearsed(rehearsal) => {
                return Ok(Answer::plain(rehearsed::rehearsed(&rehearsal)));
            }
            Changed::Record(entry, at) => {
                let record = entry.extension().revision;
                let body = stored::stored(entry.extension());
                if body.len() + HEADER_BYTES <= max_bytes {
                    return Ok(Answer::at(at, body).of_record(record));
                }
                // What is committed must not be answered as a reply that is too large.
                record
            }
        };
        let body = committed::committed(id.as_str(), revision);
        Ok(Answer::at(revision, body))
    }

    async fn switch(&self, switch: Switch, max_bytes: usize) -> Result<Answer, RegistryError> {
        let dry_run = switch.dry_run;
        let switched = Arc::clone(&self.changes).switch(switch).await?;
        let body = rehearsed::switched(&switched, max_bytes);
        Ok(match dry_run {
            true => Answer::plain(body),
            false => Answer::at(switched.revision, body),
        })
    }

    /// A page of the audit, with `values` or without.
    pub async fn audit(
        &self,
        arguments: &AuditArguments,
        values: bool,
        max_bytes: usize,
    ) -> Result<Answer, RegistryError> {
        let (mut entries, more) = self.changes.audit(&arguments.query()?).await?;
        if !values {
            entries = entries.into_iter().map(audit::without_values).collect();
        }
        Ok(Answer::plain(audit::audit(&entries, more, max_bytes)?))
    }

    /// Reads the source again, or one extension of it.
    pub async fn reload(&self, arguments: &ReloadArguments) -> Result<Answer, RegistryError> {
        let id = id(arguments.id.as_deref())?;
        let known = |id: &ExtensionId| self.reads.get(id.as_str());
        let before = id.as_ref().is_some_and(|id| known(id).is_ok());
        let report = self.reload.reload(id.clone()).await?;
        match id.as_ref().map(known) {
            // That it is gone is what this found out.
            Some(Err(RegistryError::ExtensionNotFound {
                reason: NotFoundReason::Unknown,
                ..
            })) if before => {}
            // An unknown id is an error for a caller that asked to read it again.
            Some(Err(error)) => return Err(error),
            Some(Ok(_)) | None => {}
        }
        Ok(Answer::plain(reload::reloaded(&report)))
    }
}

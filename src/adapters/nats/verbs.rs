//! One function per verb: decode, call the use case, make the document.

use std::sync::Arc;

use super::actor::actor;
use super::replies::Answer;
use super::request::Request;
use super::subjects::Route;
use super::verb::Verb;
use crate::config::AdminSettings;
use crate::documents;
use crate::documents::change::Body;
use crate::documents::circuit::CircuitArguments;
use crate::documents::desk::Desk;
use crate::documents::list::ListArguments;
use crate::documents::reload::ReloadArguments;
use crate::documents::report::ReportArguments;
use crate::documents::request::{Freshness, Read, object_or_bare, optional_object};
use crate::service::circuit_control::CircuitControl;
use crate::service::error::RegistryError;
use crate::service::invoke::Tools;

/// The use cases behind the verbs.
#[derive(Debug)]
pub struct Verbs {
    /// What HTTP is answered from as well.
    pub desk: Arc<Desk>,
    /// Where reported results are entered.
    pub tools: Tools,
    /// Circuits as operators want them.
    pub circuits: CircuitControl,
    /// The rights to change things.
    pub administration: AdminSettings,
}

impl Verbs {
    /// Answers one request; `max_bytes` is the largest reply that can be sent.
    pub async fn answer(
        &self,
        route: Route,
        request: &Request,
        max_bytes: usize,
    ) -> Result<Answer, RegistryError> {
        if route.verb.mutates() {
            self.allow_change(route, request)?;
        }
        let (desk, payload) = (&self.desk, &request.payload);
        let subject_id = route.id(&request.subject);
        match route.verb {
            Verb::Get => desk.get(&Read::of_one(payload, subject_id)?).await,
            Verb::Explain => desk.explain(&Read::of_one(payload, subject_id)?).await,
            Verb::List => desk.list(&Read::of(payload)?, max_bytes).await,
            Verb::LookupByType => {
                desk.list(&ListArguments::of_type(payload)?, max_bytes)
                    .await
            }
            Verb::Stats => desk.stats(optional_object(payload)?, max_bytes).await,
            Verb::Reload => {
                let arguments: ReloadArguments = object_or_bare(payload, "id")?;
                // It is not audited, but an invalid name is refused where a name may be given.
                actor(route, request, arguments.actor.as_deref())?;
                desk.reload(&arguments).await
            }
            Verb::Ping => self.ping(optional_object(payload)?).await,
            Verb::Audit => {
                desk.audit(&object_or_bare(payload, "id")?, true, max_bytes)
                    .await
            }
            Verb::Health => {
                desk.health(&Read::of_one(payload, subject_id)?, true, max_bytes)
                    .await
            }
            Verb::Circuits => {
                desk.circuits(&Read::of_one(payload, subject_id)?, max_bytes)
                    .await
            }
            Verb::Report => self.report(payload),
            Verb::Circuit => {
                let arguments: CircuitArguments = optional_object(payload)?;
                let actor = actor(route, request, arguments.actor.as_deref())?;
                let listed = self.circuits.carry_out(arguments.order(actor)?).await?;
                let row = desk.health.circuit(listed);
                Ok(Answer::plain(documents::circuits::circuit(&row)))
            }
            // These have lanes of their own, or are dealt with there; no subscription leads here.
            Verb::Lookup | Verb::Invoke | Verb::Cancel => Err(RegistryError::Internal),
            write @ (Verb::Create
            | Verb::Update
            | Verb::Delete
            | Verb::Enable
            | Verb::Disable
            | Verb::PutVersion
            | Verb::UpdateVersion
            | Verb::Rollout
            | Verb::DeleteVersion
            | Verb::Promote
            | Verb::PutInstance
            | Verb::DeleteInstance) => {
                let body = Body::read(write, payload)?;
                let actor = |field: Option<&str>| actor(route, request, field);
                desk.change(write, body, subject_id, actor, max_bytes).await
            }
        }
    }

    /// Whether a request for `verb` is a read of a revision that is not applied yet. One that cannot
    /// be read waits for nothing.
    pub fn must_wait(&self, verb: Verb, payload: &[u8]) -> bool {
        if verb.mutates() {
            return false;
        }
        let freshness = serde_json::from_slice::<Freshness>(payload.trim_ascii());
        let wanted = freshness.ok().and_then(|freshness| freshness.min_revision);
        wanted.is_some_and(|wanted| wanted > self.desk.progress.current())
    }

    /// Enters a router's result.
    ///
    /// # Errors
    /// It cannot be read, or is about an unknown extension.
    pub fn report(&self, payload: &[u8]) -> Result<Answer, RegistryError> {
        let arguments: ReportArguments<'_> = optional_object(payload)?;
        self.tools.report(arguments.reported()?)?;
        Ok(Answer::plain(documents::report::noted()))
    }

    fn allow_change(&self, route: Route, request: &Request) -> Result<(), RegistryError> {
        if !self.administration.enabled {
            return Err(RegistryError::Forbidden(
                "administration is disabled on this sidecar",
            ));
        }
        // A reload changes nothing that is audited.
        let audited = route.verb != Verb::Reload;
        let restricted = audited && self.administration.require_actor_subject;
        if restricted && route.actor(&request.subject).is_none() {
            return Err(RegistryError::Forbidden(
                "changes are accepted at as.<actor> only",
            ));
        }
        Ok(())
    }

    async fn ping(&self, freshness: Freshness) -> Result<Answer, RegistryError> {
        self.desk.fresh(freshness).await?;
        let instance_id = &self.desk.stats.instance_id;
        Ok(Answer::plain(documents::ping::pong(instance_id)))
    }
}

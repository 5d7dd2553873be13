//! One function per verb: decode, call the use case, make the document.

use std::sync::Arc;

use super::actor::{actor, check_actor};
use super::circuit::force;
use super::health::{health_arguments, report};
use super::payload::{IdArguments, optional_object};
use super::replies::Answer;
use super::request::Request;
use super::subjects::Route;
use super::verb::Verb;
use super::writes;
use crate::documents;
use crate::documents::desk::Desk;
use crate::documents::request::{CircuitsArguments, Freshness, ListArguments};
use crate::service::circuit_control::CircuitControl;
use crate::service::error::RegistryError;
use crate::service::invoke::Tools;

/// Who may change things.
#[derive(Debug, Clone, Copy)]
pub struct Administration {
    /// Whether mutating verbs are served at all.
    pub enabled: bool,
    /// Whether they are served only at `as.<actor>`.
    pub require_actor_subject: bool,
}

/// The use cases behind the verbs.
#[derive(Debug)]
pub struct Verbs {
    /// What HTTP is answered from as well.
    pub desk: Arc<Desk>,
    /// Where reported results are entered.
    pub tools: Tools,
    /// Circuits as operators want them.
    pub circuits: CircuitControl,
    /// Who may change things.
    pub administration: Administration,
}

impl Verbs {
    /// Answers one request; `max_bytes` is the largest reply that can be sent.
    pub async fn answer(
        &self,
        route: Route,
        request: &Request,
        max_bytes: usize,
    ) -> Result<Answer, RegistryError> {
        check_actor(route, &request.subject)?;
        if route.verb.mutates() {
            self.allow_change(route, request)?;
        }
        let (desk, payload) = (&self.desk, &request.payload);
        match route.verb {
            Verb::Get => self.get(route, request).await,
            Verb::Explain => self.explain(route, request).await,
            Verb::List => desk.list(&optional_object(payload)?, max_bytes).await,
            Verb::LookupByType => desk.list(&of_type(payload)?, max_bytes).await,
            Verb::Stats => desk.stats(optional_object(payload)?, max_bytes).await,
            Verb::Reload => desk.reload(&writes::reload_arguments(payload)?).await,
            Verb::Ping => self.ping(request),
            Verb::Audit => {
                desk.audit(&writes::audit_arguments(payload)?, max_bytes)
                    .await
            }
            Verb::Health => {
                let arguments = health_arguments(payload, route.id(&request.subject))?;
                desk.health(&arguments, max_bytes).await
            }
            Verb::Circuits => {
                let arguments: CircuitsArguments = optional_object(payload)?;
                desk.circuits(&arguments, max_bytes).await
            }
            Verb::Report => self.report(route, request),
            Verb::Circuit => self.circuit(route, request).await,
            Verb::Write(write) => {
                let body = writes::body(write, payload)?;
                let id = route.id(&request.subject);
                let actor = |field: Option<&str>| actor(route, request, field);
                desk.change(write, body, id, actor, max_bytes).await
            }
            // These have lanes of their own; no subscription leads here.
            Verb::Lookup | Verb::Invoke => Err(RegistryError::Internal),
        }
    }

    /// Enters a router's result.
    ///
    /// # Errors
    /// What it says cannot be read, or is about nobody we know.
    pub fn report(&self, route: Route, request: &Request) -> Result<Answer, RegistryError> {
        check_actor(route, &request.subject)?;
        report(&self.tools, request)
    }

    fn allow_change(&self, route: Route, request: &Request) -> Result<(), RegistryError> {
        let Administration {
            enabled,
            require_actor_subject,
        } = self.administration;
        if !enabled {
            return Err(RegistryError::Forbidden(
                "administration is disabled on this sidecar",
            ));
        }
        // A reload changes nothing that an audit would have to name somebody for.
        let audited = route.verb != Verb::Reload;
        if audited && require_actor_subject && route.actor(&request.subject).is_none() {
            return Err(RegistryError::Forbidden(
                "changes are accepted at as.<actor> only",
            ));
        }
        Ok(())
    }

    async fn get(&self, route: Route, request: &Request) -> Result<Answer, RegistryError> {
        let arguments = IdArguments::read(&request.payload, route.id(&request.subject))?;
        let freshness = arguments.freshness();
        self.desk.get(arguments.id()?, freshness).await
    }

    async fn explain(&self, route: Route, request: &Request) -> Result<Answer, RegistryError> {
        let arguments = IdArguments::read(&request.payload, route.id(&request.subject))?;
        let context = arguments.context()?;
        self.desk.fresh(arguments.freshness()).await?;
        let reads = &self.desk.reads;
        let explanation = reads.explain(arguments.id()?, arguments.version.as_deref(), context)?;
        Ok(Answer::at(
            explanation.revision,
            documents::explain::explained(&explanation),
        ))
    }

    async fn circuit(&self, route: Route, request: &Request) -> Result<Answer, RegistryError> {
        let listed = force(&self.circuits, route, request).await?;
        let row = self.desk.health.circuit(listed);
        Ok(Answer::plain(documents::circuits::circuit(&row)))
    }

    fn ping(&self, request: &Request) -> Result<Answer, RegistryError> {
        let _: Freshness = optional_object(&request.payload)?;
        let instance_id = self.desk.stats.instance_id();
        Ok(Answer::plain(documents::ping::pong(instance_id)))
    }
}

/// The arguments of `list` with a type; a bare type will do.
fn of_type(payload: &[u8]) -> Result<ListArguments, RegistryError> {
    let payload = payload.trim_ascii();
    let mut arguments: ListArguments = match payload.first() {
        None | Some(b'{') => optional_object(payload)?,
        Some(_) => ListArguments::of_type(payload),
    };
    if arguments.kind.is_none() {
        return Err(RegistryError::field("type", "is missing"));
    }
    arguments.enabled = None;
    Ok(arguments)
}

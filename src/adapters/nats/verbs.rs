//! One function per verb: decode, call the use case, make the document.

use std::sync::Arc;

use async_nats::Message;

use super::actor::check_actor;
use super::circuit::force;
use super::health::HealthVerbs;
use super::payload::{IdArguments, ListArguments, ReadArguments, ReloadArguments, optional_object};
use super::replies::Answer;
use super::subjects::Route;
use super::verb::Verb;
use super::waiting::wait;
use super::writes::{self, Writes};
use crate::documents;
use crate::domain::extension::ExtensionType;
use crate::domain::ids::ExtensionId;
use crate::service::circuit_control::CircuitControl;
use crate::service::error::RegistryError;
use crate::service::progress::Progress;
use crate::service::read::{ListQuery, Reads};
use crate::service::reload::ReloadHandle;
use crate::service::stats::Stats;

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
    /// Records, listings, explanations.
    pub reads: Arc<Reads>,
    /// How extensions are doing.
    pub health: HealthVerbs,
    /// This sidecar's figures.
    pub stats: Arc<Stats>,
    /// Circuits as operators want them.
    pub circuits: CircuitControl,
    /// The reload path.
    pub reload: ReloadHandle,
    /// Revisions as they are applied.
    pub progress: Progress,
    /// Changes of definitions.
    pub writes: Writes,
    /// Who may change things.
    pub administration: Administration,
}

impl Verbs {
    /// Answers one request; `max_bytes` is the largest reply that can be sent.
    pub async fn answer(
        &self,
        route: Route,
        message: &Message,
        max_bytes: usize,
    ) -> Result<Answer, RegistryError> {
        check_actor(route, &message.subject)?;
        if route.verb.mutates() {
            self.allow_change(route, message)?;
        }
        match route.verb {
            Verb::Get => self.get(route, message).await,
            Verb::Explain => self.explain(route, message).await,
            Verb::List => self.list(message, max_bytes).await,
            Verb::LookupByType => self.lookup_by_type(message, max_bytes).await,
            Verb::Stats => self.stats(message).await,
            Verb::Reload => self.reload(message).await,
            Verb::Ping => self.ping(message),
            Verb::Audit => writes::audit(&self.writes, message, max_bytes).await,
            Verb::Health => self.health.health(route, message, max_bytes).await,
            Verb::Circuits => self.health.circuits(message, max_bytes).await,
            Verb::Report => self.health.report(message),
            Verb::Circuit => self.circuit(route, message).await,
            Verb::Write(write) => {
                writes::change(&self.writes, write, route, message, max_bytes).await
            }
            // These have loops of their own; no subscription leads here.
            Verb::Lookup | Verb::Invoke => Err(RegistryError::Internal),
        }
    }

    fn allow_change(&self, route: Route, message: &Message) -> Result<(), RegistryError> {
        let Administration {
            enabled,
            require_actor_subject,
        } = self.administration;
        if !enabled {
            return Err(RegistryError::Forbidden(
                "administration is disabled on this sidecar",
            ));
        }
        if require_actor_subject && route.actor(&message.subject).is_none() {
            return Err(RegistryError::Forbidden(
                "changes are accepted at as.<actor> only",
            ));
        }
        Ok(())
    }

    async fn get(&self, route: Route, message: &Message) -> Result<Answer, RegistryError> {
        let arguments = IdArguments::read(&message.payload, route.id(&message.subject))?;
        wait(&self.progress, arguments.min_revision, arguments.wait_ms).await?;
        let (entry, revision) = self.reads.get(arguments.id()?)?;
        Ok(Answer::at(
            revision,
            documents::stored::stored(entry.extension()),
        ))
    }

    async fn explain(&self, route: Route, message: &Message) -> Result<Answer, RegistryError> {
        let mut arguments = IdArguments::read(&message.payload, route.id(&message.subject))?;
        wait(&self.progress, arguments.min_revision, arguments.wait_ms).await?;
        let context = arguments.take_context();
        let explanation =
            self.reads
                .explain(arguments.id()?, arguments.version.as_deref(), context)?;
        Ok(Answer::at(
            explanation.revision,
            documents::explain::explained(&explanation),
        ))
    }

    async fn list(&self, message: &Message, max_bytes: usize) -> Result<Answer, RegistryError> {
        self.page(optional_object(&message.payload)?, max_bytes)
            .await
    }

    /// `list` with a type; a bare type will do.
    async fn lookup_by_type(
        &self,
        message: &Message,
        max_bytes: usize,
    ) -> Result<Answer, RegistryError> {
        let payload = message.payload.trim_ascii();
        let mut arguments: ListArguments = match payload.first() {
            None | Some(b'{') => optional_object(payload)?,
            Some(_) => ListArguments::of_type(payload),
        };
        if arguments.kind.is_none() {
            return Err(RegistryError::field("type", "is missing"));
        }
        arguments.enabled = None;
        self.page(arguments, max_bytes).await
    }

    async fn page(
        &self,
        arguments: ListArguments,
        max_bytes: usize,
    ) -> Result<Answer, RegistryError> {
        wait(&self.progress, arguments.min_revision, arguments.wait_ms).await?;
        let kind = arguments
            .kind
            .as_deref()
            .map(ExtensionType::parse)
            .transpose();
        let query = ListQuery {
            kind: kind.map_err(|rule| RegistryError::field("type", rule))?,
            enabled: arguments.enabled.map_or(Some(true), |filter| filter.0),
            limit: arguments.limit,
            after: arguments
                .cursor
                .as_deref()
                .map(documents::list::parse_cursor)
                .transpose()?,
        };
        let (page, revision) = self.reads.list(&query)?;
        Ok(Answer::at(
            revision,
            documents::list::page(&page, max_bytes, |entry| self.reads.state(entry))?,
        ))
    }

    async fn stats(&self, message: &Message) -> Result<Answer, RegistryError> {
        let arguments: ReadArguments = optional_object(&message.payload)?;
        wait(&self.progress, arguments.min_revision, arguments.wait_ms).await?;
        let figures = self.stats.figures();
        Ok(Answer::at(
            figures.head.revision,
            documents::stats::stats(&figures),
        ))
    }

    async fn reload(&self, message: &Message) -> Result<Answer, RegistryError> {
        let arguments = ReloadArguments::read(&message.payload)?;
        let id = arguments.id.as_deref().map(ExtensionId::parse).transpose();
        let id = id.map_err(|rule| RegistryError::field("id", rule))?;
        let report = self.reload.reload(id.clone()).await?;
        if let Some(id) = id {
            // An id that nobody knows is an error of whoever asked to read it again.
            self.reads.get(id.as_str())?;
        }
        Ok(Answer::plain(documents::reload::reloaded(&report)))
    }

    async fn circuit(&self, route: Route, message: &Message) -> Result<Answer, RegistryError> {
        let listed = force(&self.circuits, route, message).await?;
        let row = self.health.health.circuit(listed);
        Ok(Answer::plain(documents::circuits::circuit(&row)))
    }

    fn ping(&self, message: &Message) -> Result<Answer, RegistryError> {
        let _: ReadArguments = optional_object(&message.payload)?;
        Ok(Answer::plain(documents::ping::pong(
            self.stats.instance_id(),
        )))
    }
}

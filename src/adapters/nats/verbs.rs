//! One function per verb: decode, call the use case, make the document.

use std::borrow::Cow;
use std::sync::Arc;

use super::actor::{actor, check_actor};
use super::payload::{IdArguments, agreed_id, as_object, object, optional_object};
use super::replies::Answer;
use super::request::Request;
use super::subjects::Route;
use super::verb::Verb;
use crate::documents;
use crate::documents::change::{Body, WriteVerb};
use crate::documents::circuit::CircuitArguments;
use crate::documents::desk::Desk;
use crate::documents::health::HealthArguments;
use crate::documents::list::ListArguments;
use crate::documents::reload::ReloadArguments;
use crate::documents::report::ReportArguments;
use crate::documents::request::{Freshness, Read};
use crate::service::circuit_control::CircuitControl;
use crate::service::error::RegistryError;
use crate::service::invoke::Tools;

/// The rights to change things.
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
    /// The rights to change things.
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
        let subject_id = route.id(&request.subject);
        match route.verb {
            Verb::Get => {
                let (id, freshness) = get(payload, subject_id)?;
                desk.get(&id, freshness).await
            }
            Verb::Explain => self.explain(IdArguments::read(payload, subject_id)?).await,
            Verb::List => desk.list(&Read::of(payload)?, max_bytes).await,
            Verb::LookupByType => desk.list(&of_type(payload)?, max_bytes).await,
            Verb::Stats => desk.stats(optional_object(payload)?, max_bytes).await,
            Verb::Reload => {
                let arguments: ReloadArguments = object(&as_object(payload, "id")?)?;
                // It is not audited, but an invalid name is refused where a name may be given.
                actor(route, request, arguments.actor.as_deref())?;
                desk.reload(&arguments).await
            }
            Verb::Ping => self.ping(optional_object(payload)?).await,
            Verb::Audit => {
                desk.audit(&object(&as_object(payload, "id")?)?, true, max_bytes)
                    .await
            }
            Verb::Health => {
                desk.health(&health(payload, subject_id)?, true, max_bytes)
                    .await
            }
            Verb::Circuits => {
                let read = Read::of(&as_object(payload, "id")?)?;
                desk.circuits(&read, max_bytes).await
            }
            Verb::Report => self.report(route, request),
            Verb::Circuit => {
                let arguments: CircuitArguments = optional_object(payload)?;
                let actor = actor(route, request, arguments.actor.as_deref())?;
                let listed = self.circuits.carry_out(arguments.order(actor)?).await?;
                let row = desk.health.circuit(listed);
                Ok(Answer::plain(documents::circuits::circuit(&row)))
            }
            Verb::Write(write) => {
                let body = body(write, payload)?;
                let actor = |field: Option<&str>| actor(route, request, field);
                desk.change(write, body, subject_id, actor, max_bytes).await
            }
            // These have lanes of their own, or are dealt with there; no subscription leads here.
            Verb::Lookup | Verb::Invoke | Verb::Cancel => Err(RegistryError::Internal),
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
    pub fn report(&self, route: Route, request: &Request) -> Result<Answer, RegistryError> {
        check_actor(route, &request.subject)?;
        let arguments: ReportArguments<'_> = optional_object(&request.payload)?;
        self.tools.report(arguments.reported()?)?;
        Ok(Answer::plain(documents::report::noted()))
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
        // A reload changes nothing that is audited.
        let audited = route.verb != Verb::Reload;
        if audited && require_actor_subject && route.actor(&request.subject).is_none() {
            return Err(RegistryError::Forbidden(
                "changes are accepted at as.<actor> only",
            ));
        }
        Ok(())
    }

    async fn explain(&self, arguments: IdArguments<'_>) -> Result<Answer, RegistryError> {
        let context = arguments.context()?;
        self.desk.fresh(arguments.freshness()).await?;
        let reads = &self.desk.reads;
        let explanation = reads.explain(arguments.id()?, arguments.version.as_deref(), context)?;
        Ok(Answer::at(
            explanation.revision,
            documents::explain::explained(&explanation),
        ))
    }

    async fn ping(&self, freshness: Freshness) -> Result<Answer, RegistryError> {
        self.desk.fresh(freshness).await?;
        let instance_id = self.desk.stats.instance_id();
        Ok(Answer::plain(documents::ping::pong(instance_id)))
    }
}

/// The arguments of `list` with a type; a bare type will do.
fn of_type(payload: &[u8]) -> Result<Read<ListArguments>, RegistryError> {
    let read: Read<ListArguments> = Read::of(&as_object(payload, "type")?)?;
    if read.arguments.kind.is_none() {
        return Err(RegistryError::field("type", "is missing"));
    }
    Ok(read)
}

/// The arguments of `get`. What other verbs take beside an id is nothing to it.
fn get<'a>(
    payload: &'a [u8],
    subject_id: Option<&'a str>,
) -> Result<(Cow<'a, str>, Freshness), RegistryError> {
    #[derive(serde::Deserialize)]
    struct Named {
        id: Option<String>,
    }
    let Read {
        arguments: Named { id },
        freshness,
    } = Read::of(&as_object(payload, "id")?)?;
    let id = agreed_id(id.map(Cow::from), subject_id)?;
    let id = id.ok_or_else(|| RegistryError::field("id", "is missing"))?;
    Ok((id, freshness))
}

/// The arguments of `health`, of one extension or of all.
pub(super) fn health(
    payload: &[u8],
    subject_id: Option<&str>,
) -> Result<Read<HealthArguments>, RegistryError> {
    let mut read: Read<HealthArguments> = Read::of(&as_object(payload, "id")?)?;
    let id = agreed_id(read.arguments.id.take().map(Cow::from), subject_id)?;
    read.arguments.id = id.map(Cow::into_owned);
    Ok(read)
}

/// The fields of a change; a verb that needs only an id takes it bare, or nothing where the subject
/// has it.
pub(super) fn body(verb: WriteVerb, payload: &[u8]) -> Result<Body, RegistryError> {
    match verb.needs_only_an_id() {
        true => object(&as_object(payload, "id")?),
        false => optional_object(payload),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::health::StateFilter;

    #[test]
    fn health_takes_an_id_wherever_it_stands_or_none() {
        for (payload, subject_id, id) in [
            ("", None, None),
            ("{}", None, None),
            ("a", None, Some("a")),
            (" a ", None, Some("a")),
            (r#"{"id":"a"}"#, None, Some("a")),
            ("", Some("a"), Some("a")),
            (r#"{"id":"a"}"#, Some("a"), Some("a")),
        ] {
            let read = health(payload.as_bytes(), subject_id).unwrap();
            assert_eq!(
                read.arguments.id.as_deref(),
                id,
                "{payload:?} {subject_id:?}"
            );
        }
        health(b"b", Some("a")).unwrap_err();
        let Read { arguments, .. } = health(br#"{"state":"half_open"}"#, None).unwrap();
        let state = arguments.query().unwrap().state;
        assert_eq!(state, StateFilter::parse("half_open"));
        let Read { arguments, .. } = health(br#"{"state":"ajar"}"#, None).unwrap();
        arguments.query().unwrap_err();
    }
}

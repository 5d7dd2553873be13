//! Who asks for a change: what NATS permissions vouch for comes before what the request says.

use async_nats::Message;

use super::headers;
use super::subjects::Route;
use crate::documents::headers::ACTOR;
use crate::domain::actor::{Actor, ActorSource};
use crate::service::error::RegistryError;

/// Who sent `message`: the token in `as.<actor>`, else the header, else `field`, else nobody known.
///
/// # Errors
/// A name that could not be audited.
pub fn actor(route: Route, message: &Message, field: Option<&str>) -> Result<Actor, RegistryError> {
    let header = headers::find(message.headers.as_ref(), ACTOR);
    let named = [
        (ActorSource::Subject, route.actor(&message.subject)),
        (ActorSource::Header, header),
        (ActorSource::Field, field),
    ];
    Actor::first_of(named).map_err(not_an_actor)
}

/// Refuses an `as.<actor>` subject whose actor could not be audited.
pub fn check_actor(route: Route, subject: &str) -> Result<(), RegistryError> {
    let actor = route.actor(subject);
    let parsed = actor.map(|name| Actor::parse(name, ActorSource::Subject));
    parsed.transpose().map(drop).map_err(not_an_actor)
}

fn not_an_actor(rule: impl std::fmt::Display) -> RegistryError {
    RegistryError::field("actor", rule)
}

//! The actor of a change: what NATS permissions prove comes before what the request claims.

use super::request::Request;
use super::subjects::Route;
use crate::domain::actor::{Actor, ActorSource};
use crate::service::error::RegistryError;

/// The actor of `request`: the token in `as.<actor>`, else the header, else `field`, else unknown.
///
/// # Errors
/// A name that could not be audited.
pub fn actor(route: Route, request: &Request, field: Option<&str>) -> Result<Actor, RegistryError> {
    let named = [
        (ActorSource::Subject, route.actor(&request.subject)),
        (ActorSource::Header, request.actor.as_deref()),
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

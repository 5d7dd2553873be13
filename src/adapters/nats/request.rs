//! A request that leaves the lane's thread: the contents of its buffer, owned.

use std::str;

use bytes::Bytes;

use super::actor::check_actor;
use super::subjects::Route;
use super::wire::headers::Headers;
use super::wire::operation::Message;
use crate::documents::headers::ACTOR;
use crate::documents::request::malformed;
use crate::service::error::RegistryError;

/// A request as verbs read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The subject by which it came.
    pub subject: String,
    /// The header that names the actor.
    pub actor: Option<String>,
    /// Its body.
    pub payload: Bytes,
}

impl Request {
    /// Takes what is needed of `message`.
    ///
    /// # Errors
    /// See [`opened`].
    pub fn read(route: Route, message: &Message<'_>) -> Result<Self, RegistryError> {
        let (headers, subject) = opened(route, message)?;
        Ok(Self {
            subject: subject.to_owned(),
            actor: headers.get(ACTOR).map(str::to_owned),
            payload: Bytes::copy_from_slice(message.payload),
        })
    }
}

/// What every request must have in order, whatever its verb: the headers of `message`, and its subject.
///
/// # Errors
/// A header block that cannot be read, a subject in another encoding, or an actor in it that could not
/// be audited.
// Part of every lookup.
#[inline]
pub fn opened<'m>(
    route: Route,
    message: &Message<'m>,
) -> Result<(Headers<'m>, &'m str), RegistryError> {
    let headers = message.headers.read();
    let headers = headers.map_err(|why| malformed(&why.to_string()))?;
    let subject = str::from_utf8(message.subject);
    let subject = subject.map_err(|_| malformed("the subject is not UTF-8"))?;
    check_actor(route, subject)?;
    Ok((headers, subject))
}

//! A request that leaves the lane's thread: the contents of its buffer, owned.

use std::str;

use bytes::Bytes;

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
    /// A header block that cannot be read, or a subject in another encoding.
    pub fn read(message: &Message<'_>) -> Result<Self, RegistryError> {
        let headers = message.headers.read();
        let headers = headers.map_err(|why| malformed(&why.to_string()))?;
        Ok(Self {
            subject: subject(message)?.to_owned(),
            actor: headers.get(ACTOR).map(str::to_owned),
            payload: Bytes::copy_from_slice(message.payload),
        })
    }
}

/// The subject of `message`, as text.
///
/// # Errors
/// It is in another encoding.
pub fn subject<'m>(message: &Message<'m>) -> Result<&'m str, RegistryError> {
    str::from_utf8(message.subject).map_err(|_| malformed("the subject is not UTF-8"))
}

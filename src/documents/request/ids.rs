//! The id that a request is about: a field of its payload, all of the payload, or a token of the
//! subject.

use std::borrow::Cow;

use serde::de::DeserializeOwned;

use super::{Read, malformed, object};
use crate::domain::ids::ExtensionId;
use crate::service::error::RegistryError;

/// Arguments that may name one extension, as the subject may.
pub trait OfOne: DeserializeOwned {
    /// The id, where they name one.
    fn id_mut(&mut self) -> &mut Option<String>;
}

impl<T: OfOne> Read<T> {
    /// Reads a JSON object, a bare id, or nothing where the subject says it all.
    ///
    /// # Errors
    /// The field at fault; also an id that is not the one in the subject.
    pub fn of_one(payload: &[u8], subject_id: Option<&str>) -> Result<Self, RegistryError> {
        let mut read = Self::of(&as_object(payload, "id")?)?;
        let id = read.arguments.id_mut();
        *id = agreed_id(id.take().map(Cow::from), subject_id)?.map(Cow::into_owned);
        Ok(read)
    }
}

/// The id of the payload or of the subject; one in both must agree.
// Part of every lookup.
#[inline]
pub(in crate::documents) fn agreed_id<'a>(
    id: Option<Cow<'a, str>>,
    subject_id: Option<&'a str>,
) -> Result<Option<Cow<'a, str>>, RegistryError> {
    match (id, subject_id) {
        (Some(id), Some(subject_id)) if id != subject_id => {
            let rule = "differs from the id in the subject";
            Err(RegistryError::field("id", rule))
        }
        (id, subject_id) => Ok(subject_id.map(Cow::from).or(id)),
    }
}

/// An id that a request names, where it names one.
pub(in crate::documents) fn id(text: Option<&str>) -> Result<Option<ExtensionId>, RegistryError> {
    let id = text.map(ExtensionId::parse).transpose();
    id.map_err(|rule| RegistryError::field("id", rule))
}

/// Parses a JSON object where an empty payload means an empty one, and a bare text the value of
/// `bare`.
///
/// # Errors
/// The field at fault.
pub fn object_or_bare<T: DeserializeOwned>(payload: &[u8], bare: &str) -> Result<T, RegistryError> {
    object(&as_object(payload, bare)?)
}

/// The payload as such an object.
pub(in crate::documents) fn as_object<'a>(
    payload: &'a [u8],
    bare: &str,
) -> Result<Cow<'a, [u8]>, RegistryError> {
    let payload = payload.trim_ascii();
    match payload.first() {
        None => Ok(Cow::Borrowed(b"{}")),
        Some(b'{') => Ok(Cow::Borrowed(payload)),
        Some(_) => {
            let object = serde_json::json!({ bare: bare_text(payload)? });
            Ok(Cow::Owned(object.to_string().into_bytes()))
        }
    }
}

/// A payload that is nothing but a text.
pub(in crate::documents) fn bare_text(payload: &[u8]) -> Result<&str, RegistryError> {
    std::str::from_utf8(payload).map_err(|_| malformed("the payload is not UTF-8"))
}

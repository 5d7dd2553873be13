//! The payloads of changes, of `audit` and of `reload`: an object, a bare id, or nothing.

use super::payload::{self, bare_id};
use crate::documents::change::{Body, WriteVerb};
use crate::documents::request::{AuditArguments, ReloadArguments};
use crate::service::error::RegistryError;

/// The fields of a change; a verb that needs only an id takes it bare, or nothing where the subject
/// has it.
pub(super) fn body(verb: WriteVerb, payload: &[u8]) -> Result<Body, RegistryError> {
    let payload = payload.trim_ascii();
    match payload.first() {
        Some(b'{') => payload::object(payload),
        None => Ok(Body::default()),
        Some(_) if verb.needs_only_an_id() => {
            let id = std::str::from_utf8(payload)
                .map_err(|_| RegistryError::field("id", "is not UTF-8"))?;
            Ok(Body::of_id(id))
        }
        Some(_) => payload::object(payload),
    }
}

/// The arguments of `audit`.
pub(super) fn audit_arguments(payload: &[u8]) -> Result<AuditArguments, RegistryError> {
    let payload = payload.trim_ascii();
    match payload.first() {
        None | Some(b'{') => payload::optional_object(payload),
        Some(_) => Ok(AuditArguments {
            id: Some(bare_id(payload)?.to_owned()),
            ..AuditArguments::default()
        }),
    }
}

/// The arguments of `reload`; nothing for everything.
pub(super) fn reload_arguments(payload: &[u8]) -> Result<ReloadArguments, RegistryError> {
    let payload = payload.trim_ascii();
    match payload.first() {
        None | Some(b'{') => payload::optional_object(payload),
        Some(_) => Ok(ReloadArguments::of_id(bare_id(payload)?)),
    }
}

//! The verbs of administration: decode, carry out, answer the record.

use std::sync::Arc;

use async_nats::Message;
use serde::Deserialize;

use super::actor::actor;
use super::payload;
use super::replies::Answer;
use super::subjects::Route;
use crate::documents;
use crate::documents::change::{Body, WriteVerb};
use crate::domain::ids::ExtensionId;
use crate::service::administration::{Changed, Changes};
use crate::service::error::RegistryError;

/// The use case; what stores definitions is hidden behind it, as this adapter knows no other.
pub type Writes = Arc<dyn Changes>;

/// Room for the headers of a reply.
const HEADER_BYTES: usize = 512;

/// Carries out the change that `message` asks for; `max_bytes` is the largest reply that can be
/// sent.
pub(super) async fn change(
    writes: &Writes,
    verb: WriteVerb,
    route: Route,
    message: &Message,
    max_bytes: usize,
) -> Result<Answer, RegistryError> {
    let body = body(verb, &message.payload)?;
    let (request, field) = documents::change::read(verb, body, route.id(&message.subject))?;
    let actor = actor(route, message, field.as_deref())?;
    let id = request.id.clone();
    let revision = match Arc::clone(writes).change(request, actor).await? {
        Changed::Committed(revision) => revision,
        Changed::Record(entry, at) => {
            let record = documents::stored::stored(entry.extension());
            if record.len() + HEADER_BYTES <= max_bytes {
                return Ok(Answer::at(at, record));
            }
            // What is committed must not be answered as a reply that is too large.
            entry.extension().revision
        }
    };
    let body = documents::committed::committed(id.as_str(), revision);
    Ok(Answer::at(revision, body))
}

/// The fields; a verb that needs only an id takes it bare, or nothing where the subject has it.
fn body(verb: WriteVerb, payload: &[u8]) -> Result<Body, RegistryError> {
    let payload = payload.trim_ascii();
    match payload.first() {
        Some(b'{') => payload::object(payload),
        None => Ok(Body::new()),
        Some(_) if verb.needs_only_an_id() => {
            let id = std::str::from_utf8(payload)
                .map_err(|_| RegistryError::field("id", "is not UTF-8"))?;
            Ok(documents::change::of_id(id))
        }
        Some(_) => payload::object(payload),
    }
}

/// The arguments of `audit`.
#[derive(Debug, Default, Deserialize)]
struct AuditArguments {
    id: Option<String>,
    limit: Option<u64>,
    before: Option<u64>,
}

/// A page of the audit.
pub(super) async fn audit(
    writes: &Writes,
    message: &Message,
    max_bytes: usize,
) -> Result<Answer, RegistryError> {
    let bytes = message.payload.trim_ascii();
    let arguments = match bytes.first() {
        None | Some(b'{') => payload::optional_object(bytes)?,
        Some(_) => AuditArguments {
            id: Some(payload::bare_id(bytes)?.to_owned()),
            ..AuditArguments::default()
        },
    };
    let id = arguments.id.as_deref().map(ExtensionId::parse).transpose();
    let id = id.map_err(|rule| RegistryError::field("id", rule))?;
    let page = Arc::clone(writes).audit(id, arguments.limit, arguments.before);
    let (entries, more) = page.await?;
    Ok(Answer::plain(documents::audit::audit(
        &entries, more, max_bytes,
    )))
}

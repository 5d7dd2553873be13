//! What `fuzz/` reads requests by: the readers that are private to this adapter, and no others.
//! Only built with `--cfg fuzzing`, which cargo-fuzz sets.
//!
//! Readers that are private to a verb are compiled once more from their own files.

#[path = "invoke/arguments.rs"]
mod invoke_arguments;

use tokio::time::Instant;

use super::payload::optional_object;
use super::subjects::{Layout, Route};
use super::verb::Verb;
use super::verbs;
use super::wire::operation::Message;
use crate::documents::change::{Body, WriteVerb};
use crate::documents::health::HealthArguments;
use crate::documents::report::ReportArguments;
use crate::documents::request;
use crate::service::error::RegistryError;
use crate::service::invoke::{Invocation, Reported};

type Read<T> = Result<T, RegistryError>;

/// Decodes an `invoke`, and hands the call it asks for to `look`, and whether it is a rehearsal.
pub fn invoke<T>(message: &Message<'_>, look: impl FnOnce(&Invocation<'_>, bool) -> T) -> Read<T> {
    let route = invoke_route(message.subject)?;
    let arguments = invoke_arguments::Arguments::read(route, message, Instant::now())?;
    Ok(look(&arguments.invocation()?, arguments.dry_run()))
}

/// The route of `subject`: with an id behind the verb, or without one.
fn invoke_route(subject: &[u8]) -> Read<Route> {
    let layout = Layout {
        prefix: "r".to_owned(),
        queue_group: "r".to_owned(),
        instance_id: "i".to_owned(),
    };
    let has_id = subject != b"r.invoke";
    let mut routes = layout.subscriptions(Verb::Invoke).into_iter();
    let route = routes.find(|subscription| subscription.tag.has_id == has_id);
    Ok(route.ok_or(RegistryError::Internal)?.tag)
}

/// Decodes a `report`, and hands the call it is about to `look`.
pub fn report<T>(payload: &[u8], look: impl FnOnce(&Reported<'_>) -> T) -> Read<T> {
    let arguments: ReportArguments<'_> = optional_object(payload)?;
    Ok(look(&arguments.reported()?))
}

/// The arguments of `health`.
pub fn health(payload: &[u8], subject_id: Option<&str>) -> Read<request::Read<HealthArguments>> {
    verbs::health(payload, subject_id)
}

/// The fields of a change.
pub fn change(verb: WriteVerb, payload: &[u8]) -> Read<Body> {
    verbs::body(verb, payload)
}

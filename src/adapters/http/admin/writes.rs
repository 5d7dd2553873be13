//! Changes, and the reload.

use axum::Extension;
use axum::extract::State as Extract;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::change::Change;
use crate::adapters::http::State;
use crate::adapters::http::access::Caller;
use crate::adapters::http::answer::HttpError;
use crate::adapters::http::body::Body;
use crate::adapters::http::query::Query;
use crate::documents::desk::Answer;
use crate::documents::reload::ReloadArguments;
use crate::documents::request::optional_object;
use crate::documents::verb::Verb;

type Outcome = Result<Answer, HttpError>;

/// Create an extension
#[utoipa::path(post, path = "/admin/extensions", tag = "writes",
    request_body(content = ref("#/components/schemas/NewExtension"), content_type = "application/json"),
    responses((status = 201, description = "The record", body = ref("#/components/schemas/Changed")),
        (status = 200, description = "Dry run: what would change", body = ref("#/components/schemas/Rehearsal"))))]
pub(in super::super) async fn create(change: Change) -> Result<Response, HttpError> {
    let (id, is_dry_run) = (change.new_id(), change.is_dry_run());
    let answer = change.carry_out(Verb::Create).await?;
    if is_dry_run {
        return Ok(answer.into_response());
    }
    let location = id.map(|id| [(header::LOCATION, format!("/admin/extensions/{id}"))]);
    Ok((StatusCode::CREATED, location, answer).into_response())
}

/// Change the fields that the body names
///
/// Objects and lists are replaced whole; null means the default.
#[utoipa::path(patch, path = "/admin/extensions/{id}", tag = "writes",
    request_body(content = ref("#/components/schemas/ExtensionChange"), content_type = "application/json"),
    responses((status = 200, description = "The record", body = ref("#/components/schemas/Changed"))))]
pub(in super::super) async fn update(change: Change) -> Outcome {
    change.carry_out(Verb::Update).await
}

/// Delete an extension with its versions and instances
#[utoipa::path(delete, path = "/admin/extensions/{id}", tag = "writes",
    request_body(content = ref("#/components/schemas/Condition"), content_type = "application/json"),
    responses((status = 200, description = "The revision that deleted it", body = ref("#/components/schemas/Deleted"))))]
pub(in super::super) async fn delete(change: Change) -> Outcome {
    change.carry_out(Verb::Delete).await
}

/// Enable an extension, also after it was auto-disabled
#[utoipa::path(post, path = "/admin/extensions/{id}/enable", tag = "writes",
    request_body(content = ref("#/components/schemas/Condition"), content_type = "application/json"),
    responses((status = 200, description = "The record", body = ref("#/components/schemas/Changed"))))]
pub(in super::super) async fn enable(change: Change) -> Outcome {
    change.carry_out(Verb::Enable).await
}

/// Take an extension out of service
#[utoipa::path(post, path = "/admin/extensions/{id}/disable", tag = "writes",
    request_body(content = ref("#/components/schemas/Condition"), content_type = "application/json"),
    responses((status = 200, description = "The record", body = ref("#/components/schemas/Changed"))))]
pub(in super::super) async fn disable(change: Change) -> Outcome {
    change.carry_out(Verb::Disable).await
}

/// Read and compare everything, or one extension
#[utoipa::path(post, path = "/admin/reload", tag = "writes",
    request_body(content = ref("#/components/schemas/ReloadRequest"), content_type = "application/json"),
    responses((status = 200, description = "What changed", body = ref("#/components/schemas/Reloaded"))))]
pub(in super::super) async fn reload(
    Extract(state): Extract<State>,
    Extension(caller): Extension<Caller>,
    query: Query,
    body: Body,
) -> Outcome {
    query.only(&[])?;
    let arguments: ReloadArguments = optional_object(&body.0)?;
    // A reload is not audited, but an invalid name is refused wherever a name may be given.
    caller.actor(arguments.actor.as_deref())?;
    Ok(state.desk.reload(&arguments).await?)
}

//! Reads: all but the audit from memory.

use axum::Extension;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State as Extract};

use crate::adapters::http::State;
use crate::adapters::http::access::Caller;
use crate::adapters::http::answer::HttpError;
use crate::adapters::http::query::Query;
use crate::documents::audit::AuditArguments;
use crate::documents::circuits::CircuitsArguments;
use crate::documents::desk::Answer;
use crate::documents::health::HealthArguments;
use crate::documents::list::ListArguments;
use crate::documents::request::{Freshness, Read};
use crate::documents::stored::GetArguments;
use crate::service::error::RegistryError;

/// The largest answer that is a page: what NATS allows in a message by default, so that pages are
/// the same on both ways.
pub(in crate::adapters::http) const MAX_BYTES: usize = 1024 * 1024;

type Outcome = Result<Answer, HttpError>;

/// A page of extensions, by type and id
#[utoipa::path(get, path = "/admin/extensions", tag = "reads", params(ListArguments, Freshness),
    responses((status = 200, description = "A page", body = ref("#/components/schemas/ExtensionPage"))))]
pub(in super::super) async fn list(Extract(state): Extract<State>, query: Query) -> Outcome {
    Ok(state.desk.list(&query.read()?, MAX_BYTES).await?)
}

/// How extensions are doing: a page of them, and all together
#[utoipa::path(get, path = "/admin/extensions/health", tag = "reads", params(HealthArguments, Freshness),
    responses((status = 200, description = "A page", body = ref("#/components/schemas/HealthPage"))))]
pub(in super::super) async fn health(
    Extract(state): Extract<State>,
    Extension(caller): Extension<Caller>,
    query: Query,
) -> Outcome {
    // One that names an `id` gets the same as at the path of that extension.
    let read = query.read()?;
    Ok(state.desk.health(&read, caller.operates, MAX_BYTES).await?)
}

/// The stored record of an extension, enabled or not
#[utoipa::path(get, path = "/admin/extensions/{id}", tag = "reads", params(Freshness),
    responses((status = 200, description = "The record", body = ref("#/components/schemas/Extension"))))]
pub(in super::super) async fn get(
    Extract(state): Extract<State>,
    path: Result<Path<String>, PathRejection>,
    query: Query,
) -> Outcome {
    let read = Read {
        arguments: GetArguments {
            id: Some(id(path)?),
        },
        freshness: query.arguments()?,
    };
    Ok(state.desk.get(&read).await?)
}

/// How one extension is doing; its last failures for operators only
#[utoipa::path(get, path = "/admin/extensions/{id}/health", tag = "reads", params(Freshness),
    responses((status = 200, description = "Its health", body = ref("#/components/schemas/ExtensionHealth"))))]
pub(in super::super) async fn health_of(
    Extract(state): Extract<State>,
    Extension(caller): Extension<Caller>,
    path: Result<Path<String>, PathRejection>,
    query: Query,
) -> Outcome {
    let read = Read {
        arguments: HealthArguments {
            id: Some(id(path)?),
            ..HealthArguments::default()
        },
        freshness: query.arguments()?,
    };
    Ok(state.desk.health(&read, caller.operates, MAX_BYTES).await?)
}

/// The circuits of this sidecar
#[utoipa::path(get, path = "/admin/circuits", tag = "reads", params(CircuitsArguments, Freshness),
    responses((status = 200, description = "A page", body = ref("#/components/schemas/CircuitPage"))))]
pub(in super::super) async fn circuits(Extract(state): Extract<State>, query: Query) -> Outcome {
    Ok(state.desk.circuits(&query.read()?, MAX_BYTES).await?)
}

/// This sidecar at a glance
#[utoipa::path(get, path = "/admin/stats", tag = "reads", params(Freshness),
    responses((status = 200, description = "Its figures", body = ref("#/components/schemas/Stats"))))]
pub(in super::super) async fn stats(Extract(state): Extract<State>, query: Query) -> Outcome {
    Ok(state.desk.stats(query.arguments()?, MAX_BYTES).await?)
}

/// Who changed what, newest first
#[utoipa::path(get, path = "/admin/audit", tag = "reads", params(AuditArguments),
    responses((status = 200, description = "A page", body = ref("#/components/schemas/AuditPage"))))]
pub(in super::super) async fn audit(Extract(state): Extract<State>, query: Query) -> Outcome {
    let arguments = query.arguments()?;
    Ok(state.desk.audit(&arguments, true, MAX_BYTES).await?)
}

/// The id in the path.
pub(super) fn id(path: Result<Path<String>, PathRejection>) -> Result<String, RegistryError> {
    let id = path.map(|Path(id)| id);
    id.map_err(|_| RegistryError::field("id", "is not UTF-8"))
}

//! `GET /live`: the data of the status page, as server-sent events.
//!
//! A watcher gets a snapshot first (`hello`, `rows`, `ready`), then what changes: `rows` and `stats`
//! at most once a second, `note` at once and with it the row it is about, `tick` with the points of
//! each interval. Messages are made once for all watchers. One that reads too slowly to keep up
//! gets a snapshot again instead of what it missed. Without watchers only history is kept.

mod board;
mod feed;
mod watcher;

use axum::body::Body;
use axum::extract::State as Extract;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};

pub use feed::Feed;

use super::State;
use super::admin::reads::MAX_BYTES;
use super::answer::HttpError;
use super::query::Query;
use crate::documents::desk::Answer;
use crate::domain::overload::Overload;
use crate::service::error::RegistryError;

/// Opens the stream, unless as many watch already as may.
pub(super) async fn watch(
    Extract(state): Extract<State>,
    request: HeaderMap,
) -> Result<Response, HttpError> {
    let watcher = state.feed.admit();
    let watcher = watcher.ok_or(RegistryError::Overloaded(Overload::Requests))?;
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
        // Proxies of the nginx family would hold messages back otherwise.
        (header::HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    let body = Body::from_stream(watcher.messages(state, request));
    Ok((headers, body).into_response())
}

/// The audit as the page shows it: actor, time and fields, for readers who may not see values.
pub(super) async fn changes(
    Extract(state): Extract<State>,
    query: Query,
) -> Result<Answer, HttpError> {
    let arguments = query.arguments()?;
    Ok(state.desk.audit(&arguments, false, MAX_BYTES).await?)
}

#[cfg(test)]
mod tests;

//! Places for requests of administration: fewer than there are connections, so that probes are
//! answered however many clients wait for something.

use std::sync::Arc;

use axum::extract::{Request, State as Extract};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::sync::Semaphore;

use super::answer::HttpError;
use crate::service::error::RegistryError;

/// Requests of administration at a time. With the watchers of the status page they leave a quarter
/// of all connections to probes.
pub(super) const MAX_ADMIN: usize = 32;

/// The places.
#[derive(Debug, Clone)]
pub(super) struct Places(Arc<Semaphore>);

impl Default for Places {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MAX_ADMIN)))
    }
}

/// Lets a request pass while there is a place for it.
pub(super) async fn take(
    Extract(Places(places)): Extract<Places>,
    request: Request,
    next: Next,
) -> Response {
    let Ok(_place) = places.try_acquire() else {
        return HttpError::Registry(RegistryError::Overloaded).into_response();
    };
    next.run(request).await
}

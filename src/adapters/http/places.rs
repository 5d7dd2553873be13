//! Places for requests of administration: fewer than there are connections, so that probes are
//! answered however many clients wait for something.
//!
//! A read that names a `min_revision` may wait for it, and takes a place of another kind, so that
//! it does not keep out the change that it waits for, or other reads.

use std::sync::Arc;

use axum::extract::{Query as Pairs, Request, State as Extract};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::sync::Semaphore;

use super::answer::HttpError;
use crate::service::error::RegistryError;

/// Requests of administration at a time that wait for nothing.
pub(super) const MAX_ADMIN: usize = 32;
/// Reads at a time that name a `min_revision`.
pub(super) const MAX_WAITING: usize = 128;

/// The places.
#[derive(Debug, Clone)]
pub(super) struct Places {
    working: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
}

impl Default for Places {
    fn default() -> Self {
        Self {
            working: Arc::new(Semaphore::new(MAX_ADMIN)),
            waiting: Arc::new(Semaphore::new(MAX_WAITING)),
        }
    }
}

impl Places {
    fn of(&self, request: &Request) -> &Semaphore {
        let pairs = Pairs::<Vec<(String, String)>>::try_from_uri(request.uri());
        let names = pairs.iter().flat_map(|Pairs(pairs)| pairs);
        match names.into_iter().any(|(name, _)| name == "min_revision") {
            true => &self.waiting,
            false => &self.working,
        }
    }
}

/// Lets a request pass while there is a place for it.
pub(super) async fn take(
    Extract(places): Extract<Places>,
    request: Request,
    next: Next,
) -> Response {
    let Ok(_place) = places.of(&request).try_acquire() else {
        return HttpError::Registry(RegistryError::Overloaded).into_response();
    };
    next.run(request).await
}

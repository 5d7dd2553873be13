//! Places for requests of administration and for scrapes: fewer than there are connections, so that
//! probes are answered however many clients wait for something or read slowly.
//!
//! A read that names a `min_revision` may wait for it, and takes a place of another kind, so that
//! it does not keep out the change that it waits for, or other reads. What may wait for the database,
//! or for the body of a change, has some of the places only: the others answer from memory.

use std::sync::Arc;
use std::time::Duration;

use axum::body::HttpBody;
use axum::extract::{Query as Pairs, Request, State as Extract};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

use super::access::Need;
use super::answer::HttpError;
use super::pieces::holding;
use crate::domain::overload::Overload;
use crate::service::budget::Budget;
use crate::service::error::RegistryError;

/// Requests of administration at a time that wait for nothing.
pub(super) const MAX_ADMIN: usize = 32;
/// How many of those may need the database.
pub(super) const MAX_STORED: usize = 16;
/// Reads at a time that name a `min_revision`.
pub(super) const MAX_WAITING: usize = 128;
/// Bytes of answers that are not read yet.
const MAX_BYTES: usize = 32 << 20;
/// Pages of metrics that are not read yet; with many extensions one has tens of megabytes.
const MAX_SCRAPES: usize = 2;
/// Scrapes that wait for those before them, or are made.
pub(super) const MAX_QUEUED: usize = 8;
/// How long a scrape waits for those before it.
const SCRAPE_WAIT: Duration = Duration::from_secs(5);

/// The places.
#[derive(Debug, Clone)]
pub(super) struct Places {
    working: Arc<Semaphore>,
    stored: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    answers: Arc<Budget>,
    queued: Arc<Semaphore>,
    scrapes: Arc<Semaphore>,
}

impl Default for Places {
    fn default() -> Self {
        Self {
            working: Arc::new(Semaphore::new(MAX_ADMIN)),
            stored: Arc::new(Semaphore::new(MAX_STORED)),
            waiting: Arc::new(Semaphore::new(MAX_WAITING)),
            answers: Budget::new(MAX_BYTES),
            queued: Arc::new(Semaphore::new(MAX_QUEUED)),
            scrapes: Arc::new(Semaphore::new(MAX_SCRAPES)),
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

    /// What `request` takes until it is answered; `None` where there is too little.
    fn enter(&self, need: Need, request: &Request) -> Option<[Option<SemaphorePermit<'_>>; 2]> {
        let stored = match need.stores() {
            true => Some(self.stored.try_acquire().ok()?),
            false => None,
        };
        let place = self.of(request).try_acquire().ok()?;
        Some([Some(place), stored])
    }

    /// Answers a scrape with `page`, after those before it were read. One that waits keeps its
    /// connection, so few may.
    pub(super) async fn scrape(&self, page: impl FnOnce() -> Response) -> Response {
        let Ok(_queued) = self.queued.try_acquire() else {
            return overloaded(Overload::Requests);
        };
        let place = Arc::clone(&self.scrapes).acquire_owned();
        match timeout(SCRAPE_WAIT, place).await {
            Ok(Ok(place)) => holding(page(), place).await,
            _ => overloaded(Overload::Requests),
        }
    }
}

/// Lets a request pass while there is a place for it, and room for what it reads.
pub(super) async fn take(
    Extract((places, need)): Extract<(Places, Need)>,
    request: Request,
    next: Next,
) -> Response {
    let Some(_taken) = places.enter(need, &request) else {
        return overloaded(Overload::Requests);
    };
    let reads = request.method().is_safe();
    let answer = next.run(request).await;
    let size = answer.body().size_hint().exact().unwrap_or_default();
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    match places.answers.take(size) {
        Some(held) => holding(answer, held).await,
        None if reads => overloaded(Overload::Bytes),
        // It was done, and its answer is no larger than the request was.
        None => answer,
    }
}

fn overloaded(why: Overload) -> Response {
    HttpError::Registry(RegistryError::Overloaded(why)).into_response()
}

//! One watcher.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderMap;
use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream::unfold;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{OwnedSemaphorePermit, broadcast};
use tokio::time::sleep;

use super::feed::{Feed, message};
use crate::adapters::http::State;
use crate::adapters::http::access::Need;
use crate::documents;
use crate::domain::ids::ExtensionId;
use crate::service::boundary::survived;

/// Something is sent at least this often, so that both sides notice when the other is gone.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// Rows in one message of a snapshot.
pub(super) const ROWS_PER_MESSAGE: usize = 250;

/// A watcher, with its place, which it gives back when it is dropped.
#[derive(Debug)]
pub(super) struct Watcher {
    pub(super) feed: Arc<Feed>,
    pub(super) opening: Opening,
    pub(super) messages: broadcast::Receiver<Bytes>,
    pub(super) _place: OwnedSemaphorePermit,
}

impl Watcher {
    /// Everything it is sent, for as long as the headers of its request give it leave; a panic ends
    /// the stream, as its answer has begun.
    pub(super) fn messages(
        self,
        state: State,
        request: HeaderMap,
    ) -> impl Stream<Item = Result<Bytes, Infallible>> {
        unfold(
            (self, state, request),
            async |(mut watcher, state, request)| {
                let message = survived(&state.observers, watcher.next()).await??;
                state.access.admit(Need::Viewer, &request).await.ok()?;
                Some((Ok(message), (watcher, state, request)))
            },
        )
    }

    /// The next message; none at the end.
    pub(super) async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(message) = self.opening.next(&self.feed) {
                return Some(message);
            }
            tokio::select! {
                () = self.feed.stop.cancelled() => return None,
                message = self.messages.recv() => match message {
                    Ok(message) => return Some(message),
                    Err(RecvError::Lagged(_)) => (self.opening, self.messages) = self.feed.open(),
                    Err(RecvError::Closed) => return None,
                },
                () = sleep(KEEP_ALIVE) => return Some(Bytes::from_static(b": still here\n\n")),
            }
        }
    }
}

/// How much of its snapshot a watcher has. Messages are made when they are sent, so a slow reader
/// holds no copy of all rows. A row that changes meanwhile is sent again afterwards.
#[derive(Debug)]
pub(super) enum Opening {
    Hello(Bytes),
    /// The rows after this one come next.
    Rows(Option<ExtensionId>),
    Over,
}

impl Opening {
    fn next(&mut self, feed: &Feed) -> Option<Bytes> {
        match self {
            Self::Hello(hello) => {
                let hello = message("hello", hello);
                *self = Self::Rows(None);
                Some(hello)
            }
            Self::Rows(last) => {
                let rows = feed.rows(last.as_ref(), ROWS_PER_MESSAGE);
                if let Some((row, _)) = rows.last() {
                    *last = Some(row.id.clone());
                    return Some(message("rows", &documents::live::rows(&rows)));
                }
                *self = Self::Over;
                Some(message("ready", &Bytes::from_static(b"null")))
            }
            Self::Over => None,
        }
    }
}

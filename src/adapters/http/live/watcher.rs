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
use tokio_util::sync::CancellationToken;

use super::feed::{Feed, message};
use crate::adapters::http::State;
use crate::adapters::http::access::Need;
use crate::documents;
use crate::service::boundary::survived;
use crate::service::live::{Point, Row, Snapshot};

/// Something is sent at least this often, so that both sides notice when the other is gone.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// Rows in one message of a snapshot.
const ROWS_PER_MESSAGE: usize = 250;

/// A watcher, with its place, which it gives back when it is dropped.
#[derive(Debug)]
pub(super) struct Watcher {
    feed: Arc<Feed>,
    opening: Opening,
    messages: broadcast::Receiver<Bytes>,
    stop: CancellationToken,
    _place: OwnedSemaphorePermit,
}

impl Watcher {
    pub(super) fn new(
        feed: Arc<Feed>,
        place: OwnedSemaphorePermit,
        stop: CancellationToken,
    ) -> Self {
        let (opening, messages) = feed.open();
        Self {
            feed,
            opening,
            messages,
            stop,
            _place: place,
        }
    }

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
            if let Some(message) = self.opening.next() {
                return Some(message);
            }
            tokio::select! {
                () = self.stop.cancelled() => return None,
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

/// The messages of a snapshot, made when they are sent.
#[derive(Debug)]
pub(super) struct Opening {
    hello: Option<Bytes>,
    rows: std::vec::IntoIter<(Row, Vec<Point>)>,
    ready: bool,
}

impl Opening {
    pub(super) fn new(stats: Bytes, snapshot: Snapshot) -> Self {
        Self {
            hello: Some(documents::live::hello(&stats, &snapshot.notes)),
            rows: snapshot.rows.into_iter(),
            ready: false,
        }
    }
}

impl Iterator for Opening {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        if let Some(hello) = self.hello.take() {
            return Some(message("hello", &hello));
        }
        let rows: Vec<_> = self.rows.by_ref().take(ROWS_PER_MESSAGE).collect();
        if !rows.is_empty() {
            return Some(message("rows", &documents::live::rows(&rows)));
        }
        let ready = !std::mem::replace(&mut self.ready, true);
        ready.then(|| message("ready", &Bytes::from_static(b"null")))
    }
}

//! Watchers of a feed, without a socket.

use std::sync::Arc;

use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use super::feed::{BACKLOG, Feed, MAX_WATCHERS};
use super::watcher::Watcher;
use crate::documents::desk::testing::desk;
use crate::service::observe::Observers;
use crate::service::progress::Progress;

fn feed(stop: &CancellationToken) -> Arc<Feed> {
    let (desk, observers) = (desk(Progress::default()), Observers::new(Vec::new()));
    Arc::new(Feed::new(desk, observers, stop.clone()))
}

/// The kind of the next message; none at the end.
async fn next(watcher: &mut Watcher) -> Option<String> {
    let message = watcher.next().await?;
    let text = String::from_utf8(message.to_vec()).unwrap();
    let (kind, data) = text.strip_prefix("event: ")?.split_once("\ndata: ")?;
    assert!(
        data.ends_with("\n\n") && !data.trim_end().contains('\n'),
        "{text}"
    );
    Some(kind.to_owned())
}

/// Reads to the end of the snapshot.
async fn snapshot(watcher: &mut Watcher) {
    assert_eq!(next(watcher).await.as_deref(), Some("hello"));
    while let Some(kind) = next(watcher).await {
        if kind == "ready" {
            return;
        }
        assert_eq!(kind, "rows");
    }
    panic!("an end before the snapshot's");
}

#[tokio::test]
async fn a_watcher_that_cannot_keep_up_gets_a_snapshot_again() {
    let feed = feed(&CancellationToken::new());
    let mut watcher = feed.admit().unwrap();
    snapshot(&mut watcher).await;
    for _ in 0..BACKLOG {
        feed.tell("tick", &Bytes::from_static(b"{}"));
    }
    for _ in 0..BACKLOG {
        assert_eq!(next(&mut watcher).await.as_deref(), Some("tick"));
    }
    for _ in 0..=BACKLOG {
        feed.tell("tick", &Bytes::from_static(b"{}"));
    }
    snapshot(&mut watcher).await;
    feed.tell("stats", &Bytes::from_static(b"{}"));
    assert_eq!(next(&mut watcher).await.as_deref(), Some("stats"));
}

#[tokio::test]
async fn there_are_so_many_places_and_they_come_back() {
    let feed = feed(&CancellationToken::new());
    let mut watchers: Vec<_> = std::iter::from_fn(|| feed.admit()).collect();
    assert_eq!(watchers.len(), MAX_WATCHERS);
    watchers.pop();
    assert!(feed.admit().is_some());
}

/// Time is paused: it moves on only when there is nothing else to do.
#[tokio::test(start_paused = true)]
async fn a_silent_stream_shows_that_it_lives_and_the_end_ends_it() {
    let stop = CancellationToken::new();
    let feed = feed(&stop);
    let mut watcher = feed.admit().unwrap();
    snapshot(&mut watcher).await;
    assert_eq!(watcher.next().await.unwrap(), ": still here\n\n");
    stop.cancel();
    assert_eq!(watcher.next().await, None);
}

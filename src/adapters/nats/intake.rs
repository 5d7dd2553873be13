//! All subscriptions of one kind as one stream, and an end to it that loses nothing.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::thread;
use std::time::Duration;

use async_nats::{Client, Message, Subscriber};
use futures_util::stream::SelectAll;
use futures_util::{Stream, StreamExt};
use tokio_util::sync::CancellationToken;

use super::lane::{COMMAND_TIMEOUT, Lane, LaneError};
use super::patience::within;
use super::subjects::Route;

/// How long the connection stands still after unsubscribing; see [`Subscribed::drain`].
const HOLD: Duration = Duration::from_millis(25);

/// Waiting for the token takes a lock, so messages go first; so often a busy stream looks at it.
const TURNS_PER_CHECK: u32 = 64;

/// Requests, each with the route by which it came.
pub type Intake = Subscribed<Route>;

/// A subscription to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription<T> {
    /// The subject, with `*` for ids and actors.
    pub subject: String,
    /// The queue group, unless every sidecar gets each message.
    pub queue_group: Option<String>,
    /// What its messages are.
    pub tag: T,
}

/// Messages of many subscriptions, each with its subscription's tag.
#[derive(Debug)]
pub struct Subscribed<T> {
    client: Client,
    streams: SelectAll<Tagged<T>>,
    drain: CancellationToken,
    draining: bool,
    turn: u32,
}

#[derive(Debug)]
struct Tagged<T> {
    tag: T,
    subscriber: Subscriber,
}

impl<T: Copy + Unpin> Stream for Tagged<T> {
    type Item = (T, Message);

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let tag = self.tag;
        self.subscriber
            .poll_next_unpin(cx)
            .map(|message| Some((tag, message?)))
    }
}

impl<T: Copy + Unpin> Subscribed<T> {
    /// Subscribes on `lane`; `drain` will end it. Must be read on the lane's own runtime.
    pub async fn new(
        lane: &Lane,
        subscriptions: impl IntoIterator<Item = Subscription<T>>,
        drain: CancellationToken,
    ) -> Result<Self, LaneError> {
        let mut streams = SelectAll::new();
        for Subscription {
            subject,
            queue_group,
            tag,
        } in subscriptions
        {
            let subscriber = lane.subscribe(subject, queue_group.as_deref()).await?;
            streams.push(Tagged { tag, subscriber });
        }
        Ok(Self {
            client: lane.client().clone(),
            streams,
            drain,
            draining: false,
            turn: 0,
        })
    }

    /// The next message; `None` when the drain is over and everything accepted was handed out.
    pub async fn next(&mut self) -> Option<(T, Message)> {
        if !self.draining {
            self.turn = self.turn.wrapping_add(1);
            if !self.turn.is_multiple_of(TURNS_PER_CHECK) || !self.drain.is_cancelled() {
                tokio::select! {
                    biased;
                    message = self.streams.next() => return message,
                    () = self.drain.cancelled() => {}
                }
            }
            self.draining = true;
            self.drain().await;
        }
        self.streams.next().await
    }

    /// Asks the server to send nothing more and returns when what it had sent by then is on its
    /// way into the buffers.
    ///
    /// The client forgets a draining subscription at its connection task's next turn, whether or
    /// not the server has seen the unsubscription by then, and drops what still arrives. So that
    /// task gets no turn for a moment: this blocks the lane's only thread once the unsubscriptions
    /// went out. What the server sent meanwhile waits in the socket, and the next turn reads all of
    /// it before it forgets.
    async fn drain(&mut self) {
        for tagged in self.streams.iter_mut() {
            let _ = within(COMMAND_TIMEOUT, tagged.subscriber.drain()).await;
        }
        let _ = within(COMMAND_TIMEOUT, self.client.flush()).await;
        stand_still();
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "standing still is the point, see `drain`"
)]
fn stand_still() {
    thread::sleep(HOLD);
}

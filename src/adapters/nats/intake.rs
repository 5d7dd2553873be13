//! All subscriptions of one kind as one stream, and an end to it that loses nothing.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

use async_nats::{Client, Message, Subscriber};
use futures_util::stream::SelectAll;
use futures_util::{Stream, StreamExt};
use tokio::task::coop::unconstrained;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::lane::{COMMAND_TIMEOUT, Lane, LaneError};
use super::patience::within;
use super::subjects::Route;

/// How long the connection stands still after unsubscribing; see [`Subscribed::drain`]. What a
/// server sends later than this is lost: ample for a round trip, and for a server that is starved.
const HOLD: Duration = Duration::from_millis(100);

/// The shortest time that a timer can wait.
const LOOK: Duration = Duration::from_millis(1);

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
    /// not the server has seen the unsubscription by then, and drops what still arrives. So
    ///
    /// 1. that task must take all unsubscriptions in one turn: they are queued without a pause
    ///    ([`unconstrained`]),
    /// 2. it must not have its next turn before the server has seen them: the flush behind them
    ///    ends in [`StandStill`], still within the first turn,
    /// 3. that next turn must find in the socket what the server sent meanwhile: the runtime has to
    ///    look at its sockets first. On this thread nothing makes it skip that, as whoever would
    ///    publish a reply is kept waiting here for a timer, which only fires after a look. Where
    ///    other threads publish, the runtime looks before every turn (`event_interval`).
    async fn drain(&mut self) {
        let unsubscribing = async {
            for tagged in self.streams.iter_mut() {
                let _ = within(COMMAND_TIMEOUT, tagged.subscriber.drain()).await;
            }
            let mut flush = pin!(self.client.flush());
            let flush = poll_fn(|cx| {
                let waker = Waker::from(Arc::new(StandStill(cx.waker().clone())));
                flush.as_mut().poll(&mut Context::from_waker(&waker))
            });
            let _ = within(COMMAND_TIMEOUT, flush).await;
        };
        unconstrained(unsubscribing).await;
        sleep(LOOK).await;
    }
}

/// Holds up whoever wakes it. The connection task does, at the end of the turn in which it has
/// written everything; no other task could step in between so reliably.
struct StandStill(Waker);

impl Wake for StandStill {
    #[expect(
        clippy::disallowed_methods,
        reason = "standing still is the point, see `Subscribed::drain`"
    )]
    fn wake(self: Arc<Self>) {
        thread::sleep(HOLD);
        self.0.wake_by_ref();
    }
}

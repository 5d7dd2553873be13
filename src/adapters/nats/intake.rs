//! All subscriptions of one kind as one stream, and an end to it that loses nothing.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

use async_nats::connection::State;
use async_nats::{Message, Subscriber};
use futures_util::StreamExt;
use tokio::task::coop::unconstrained;
use tokio::time::sleep;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::connection::Connection;
use super::gate::Gate;
use super::lane::{Lane, LaneError};
use super::patience::within;
use super::subjects::Route;

/// How long the connection stands still after unsubscribing; see [`Subscribed::drain`]. What a
/// server sends later than this is lost: ample for a round trip, and for a server that is starved.
const HOLD: Duration = Duration::from_millis(100);

/// How long unsubscribing may take. It takes no time, unless the server reads nothing.
const UNSUBSCRIBE: Duration = Duration::from_millis(500);

/// The pause after a subscription could not be made again.
const AGAIN: Duration = Duration::from_millis(100);

/// The shortest time that a timer can wait.
const LOOK: Duration = Duration::from_millis(1);

/// Messages that one subscription may deliver before the next has its turn.
const TURN: u32 = 64;

/// Requests, each with the route by which it came.
pub type Intake = Subscribed<Route>;

pub use super::link::lane::Subscription;

/// Messages of many subscriptions, each with its subscription's tag.
///
/// A general-purpose merge of streams costs an allocation per message, and a `select!` beside it a
/// future; here a message costs one poll of the subscription that is in its turn.
#[derive(Debug)]
pub struct Subscribed<T> {
    connection: Arc<Connection>,
    gate: Arc<Gate>,
    /// The first is in its turn.
    subscriptions: VecDeque<Tagged<T>>,
    /// Messages that it has delivered in this turn.
    turn: u32,
    drain: Pin<Box<WaitForCancellationFutureOwned>>,
    drains: CancellationToken,
    draining: bool,
    /// Whether there is no connection to drain, so that what has arrived is all there is.
    severed: bool,
}

#[derive(Debug)]
struct Tagged<T> {
    subscription: Subscription<T>,
    subscriber: Subscriber,
}

impl<T: Copy + Unpin> Subscribed<T> {
    /// Subscribes on `lane`; `drain` will end it. Must be read on the lane's own runtime.
    pub async fn new(
        lane: &Lane,
        subscriptions: impl IntoIterator<Item = Subscription<T>>,
        drain: CancellationToken,
    ) -> Result<Self, LaneError> {
        let mut tagged = VecDeque::new();
        for subscription in subscriptions {
            let subscriber = subscribe(lane.connection(), &subscription).await?;
            tagged.push_back(Tagged {
                subscription,
                subscriber,
            });
        }
        Ok(Self {
            connection: Arc::clone(lane.connection()),
            gate: Arc::clone(lane.gate()),
            subscriptions: tagged,
            turn: 0,
            drain: Box::pin(drain.clone().cancelled_owned()),
            drains: drain,
            draining: false,
            severed: false,
        })
    }

    /// The next message; `None` when the drain is over and everything accepted was handed out.
    pub async fn next(&mut self) -> Option<(T, Message)> {
        while !self.draining {
            let message = poll_fn(|cx| self.poll_until_drain(cx)).await;
            if message.is_some() {
                return message;
            }
            if self.drains.is_cancelled() {
                self.draining = true;
                self.drain().await;
            } else {
                self.subscribe_again().await;
            }
        }
        poll_fn(|cx| self.poll_message(cx)).await
    }

    /// After the death of the connection's task, which has ended all subscriptions.
    async fn subscribe_again(&mut self) {
        let drains = self.drains.clone();
        let subscribing = async {
            for tagged in &mut self.subscriptions {
                tagged.subscriber = loop {
                    match subscribe(&self.connection, &tagged.subscription).await {
                        Ok(subscriber) => break subscriber,
                        Err(_) => sleep(AGAIN).await,
                    }
                };
            }
        };
        drains.run_until_cancelled(subscribing).await;
    }

    /// Ready with nothing when it is time to drain, or nothing is left to read.
    fn poll_until_drain(&mut self, cx: &mut Context<'_>) -> Poll<Option<(T, Message)>> {
        // Under load there is always a message, so the order is looked for at each turn, too.
        if self.turn == 0 && self.drain.as_mut().poll(cx).is_ready() {
            return Poll::Ready(None);
        }
        match self.poll_message(cx) {
            Poll::Ready(message) => Poll::Ready(message),
            Poll::Pending => self.drain.as_mut().poll(cx).map(|()| None),
        }
    }

    fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Option<(T, Message)>> {
        let mut ended = true;
        for (position, tagged) in self.subscriptions.iter_mut().enumerate() {
            match tagged.subscriber.poll_next_unpin(cx) {
                Poll::Ready(Some(message)) => {
                    let tag = tagged.subscription.tag;
                    self.count_delivery(position);
                    return Poll::Ready(Some((tag, message)));
                }
                Poll::Ready(None) => {}
                Poll::Pending => ended = false,
            }
        }
        if ended || self.severed {
            Poll::Ready(None)
        } else {
            Poll::Pending
        }
    }

    /// Whoever delivered stays or comes first, until its turn is over.
    fn count_delivery(&mut self, position: usize) {
        self.turn = if position == 0 { self.turn + 1 } else { 1 };
        self.subscriptions.rotate_left(position);
        if self.turn == TURN {
            self.turn = 0;
            self.subscriptions.rotate_left(1);
        }
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
    ///    publish is kept waiting: this loop for a timer, which only fires after a look, other tasks
    ///    at the [`Gate`]. Where other threads publish, the runtime looks before every turn
    ///    (`event_interval`).
    async fn drain(&mut self) {
        let client = self.connection.client().clone();
        if client.connection_state() != State::Connected {
            // Nobody sends anything, and nothing could be unsubscribed.
            self.severed = true;
            return;
        }
        let unsubscribing = async {
            let draining = async {
                for tagged in &mut self.subscriptions {
                    let _ = tagged.subscriber.drain().await;
                }
            };
            let _ = within(UNSUBSCRIBE, draining).await;
            let mut flush = pin!(client.flush());
            let flush = poll_fn(|cx| {
                let waker = Waker::from(Arc::new(StandStill(cx.waker().clone())));
                flush.as_mut().poll(&mut Context::from_waker(&waker))
            });
            let _ = within(UNSUBSCRIBE, flush).await;
        };
        self.gate.close();
        unconstrained(unsubscribing).await;
        sleep(LOOK).await;
        self.gate.open();
    }
}

async fn subscribe<T>(
    connection: &Connection,
    subscription: &Subscription<T>,
) -> Result<Subscriber, LaneError> {
    let (subject, group) = (subscription.subject.clone(), &subscription.queue_group);
    connection.subscribe(subject, group.as_deref()).await
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

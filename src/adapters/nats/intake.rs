//! All subscriptions of a lane as one stream, and an end to it that loses nothing.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::thread;
use std::time::Duration;

use async_nats::{Client, Message, Subscriber};
use futures_util::stream::SelectAll;
use futures_util::{Stream, StreamExt};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::lane::{COMMAND_TIMEOUT, Lane, LaneError};
use super::subjects::{Route, Subscription};

/// How long the connection stands still after unsubscribing; see [`Intake::drain`].
const HOLD: Duration = Duration::from_millis(25);

/// Requests of many subscriptions, each with the route by which it came.
#[derive(Debug)]
pub struct Intake {
    client: Client,
    routed: SelectAll<Routed>,
    drain: CancellationToken,
    draining: bool,
}

#[derive(Debug)]
struct Routed {
    route: Route,
    subscriber: Subscriber,
}

impl Stream for Routed {
    type Item = (Route, Message);

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let route = self.route;
        self.subscriber.poll_next_unpin(cx).map(|message| Some((route, message?)))
    }
}

impl Intake {
    /// Subscribes on `lane`; `drain` will end it. Must be read on the lane's own runtime.
    pub async fn subscribe(
        lane: &Lane,
        subscriptions: Vec<Subscription>,
        drain: CancellationToken,
    ) -> Result<Self, LaneError> {
        let mut routed = SelectAll::new();
        for subscription in subscriptions {
            let Subscription { subject, queue_group, route } = subscription;
            let subscriber = lane.subscribe(subject, queue_group.as_deref()).await?;
            routed.push(Routed { route, subscriber });
        }
        Ok(Self { client: lane.client().clone(), routed, drain, draining: false })
    }

    /// The next request; `None` when the drain is over and everything accepted was handed out.
    pub async fn next(&mut self) -> Option<(Route, Message)> {
        if !self.draining {
            tokio::select! {
                request = self.routed.next() => return request,
                () = self.drain.cancelled() => {}
            }
            self.draining = true;
            self.drain().await;
        }
        self.routed.next().await
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
        for routed in self.routed.iter_mut() {
            let _ = timeout(COMMAND_TIMEOUT, routed.subscriber.drain()).await;
        }
        let _ = timeout(COMMAND_TIMEOUT, self.client.flush()).await;
        stand_still();
    }
}

#[expect(clippy::disallowed_methods, reason = "standing still is the point, see `Intake::drain`")]
fn stand_still() {
    thread::sleep(HOLD);
}

//! The request mux: calls to extensions over one connection and one inbox subscription.
//!
//! The client library's own requests leave a map entry behind for each that times out, and end at
//! the first reply. Here a call has a slot in a [`table`] of fixed size; the last token of its
//! reply subject names the slot and a secret of that call's own. One task on the connection's own thread takes
//! the replies off the subscription; another ends calls when the [`link`] breaks. The library
//! subscribes again after a reconnect, before it sends any request. A call that runs out of time
//! does so by the extension's fault only if the link shows a [`pulse`].
//!
//! One gap is left, the library's: a request handed over just before the link is lost, or while
//! the server reads nothing, can still be sent after the reconnect. Its caller has been told
//! `Disconnected` by then, which promises nothing.

mod token;
mod table;
mod headers;
mod pulse;
mod call;
mod link;

use std::sync::Arc;

use async_nats::client::PublishErrorKind;
use async_nats::connection::State;
use async_nats::{Message, StatusCode, Subscriber};
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::task::coop::unconstrained;
use tokio::time::{Instant, sleep_until};
use tokio_util::task::AbortOnDropHandle;

pub use self::call::MuxCall;
use self::pulse::Pulse;
use self::table::Table;
use self::token::Token;
use super::connection::Connection;
use super::gate::Gate;
use super::lane::{Lane, LaneError};
use crate::domain::subject::Subject;
use crate::service::boundary::survived_now;
use crate::service::caller::{CallError, Caller, Headers, Reply};

/// Calls extensions on one connection.
#[derive(Debug)]
pub struct Mux {
    connection: Arc<Connection>,
    gate: Arc<Gate>,
    /// All reply subjects begin with this, and end with a token.
    inbox_prefix: String,
    table: Arc<Table>,
    pulse: Arc<Pulse>,
    _tasks: [AbortOnDropHandle<()>; 2],
}

impl Mux {
    /// Calls on `lane`, at most `max_pending` at a time. The lane's subscription capacity has to
    /// hold what the server can send between two turns of its thread, many small chunks at worst;
    /// when it does not, every pending call ends with `Overloaded`.
    ///
    /// # Errors
    /// The connection takes no commands.
    pub async fn start(lane: &Lane, max_pending: u32) -> Result<Self, LaneError> {
        let table = Arc::new(Table::new(max_pending));
        let inbox_prefix = format!("{}.", lane.connection().client().new_inbox());
        let inbox = format!("{inbox_prefix}*");
        let watching = link::watch(lane.events(), Arc::clone(&table), inbox.clone());
        let connection = Arc::clone(lane.connection());
        let replies = connection.subscribe(inbox.clone(), None).await?;
        let pulse = Arc::new(Pulse::new(lane, &inbox_prefix));
        pulse.begin().await;
        let closing = Closing(Arc::clone(&table));
        let receiving = receive_on(connection, inbox, replies, closing, Arc::clone(&pulse));
        Ok(Self {
            connection: Arc::clone(lane.connection()),
            gate: Arc::clone(lane.gate()),
            inbox_prefix,
            table,
            pulse,
            _tasks: [
                AbortOnDropHandle::new(lane.runtime().spawn(watching)),
                // All that has arrived is handed out before the connection reads on, however much:
                // a tokio task would stop after 128 messages, the connection after 8 MB.
                AbortOnDropHandle::new(lane.runtime().spawn(unconstrained(receiving))),
            ],
        })
    }

    /// What all its reply subjects begin with.
    pub fn inbox_prefix(&self) -> &str {
        &self.inbox_prefix
    }

    /// How many calls are under way.
    pub fn pending(&self) -> usize {
        self.table.pending()
    }

    async fn publish(
        &self,
        subject: &Subject,
        reply: String,
        headers: Headers,
        payload: Bytes,
    ) -> Result<(), CallError> {
        self.gate.pass().await;
        let client = self.connection.client();
        let subject = async_nats::Subject::from(subject.as_str());
        let published = if headers.is_empty() {
            client.publish_with_reply(subject, reply, payload).await
        } else {
            let headers = headers::to_wire(headers)?;
            let publishing =
                client.publish_with_reply_and_headers(subject, reply, headers, payload);
            publishing.await
        };
        published.map_err(|error| match error.kind() {
            PublishErrorKind::MaxPayloadExceeded => CallError::TooLarge,
            PublishErrorKind::Send | PublishErrorKind::InvalidSubject => CallError::Closed,
        })
    }
}

impl Caller for Mux {
    type Call = MuxCall;

    async fn call(
        &self,
        subject: &Subject,
        headers: Headers,
        payload: Bytes,
        deadline: Instant,
    ) -> Result<MuxCall, CallError> {
        if deadline <= Instant::now() {
            return Err(CallError::Timeout);
        }
        let call = MuxCall::begin(&self.table, &self.pulse, subject)?;
        // Asked last: a link that breaks later finds this call and ends it.
        if !self.is_connected() {
            return Err(CallError::Disconnected);
        }
        let reply = format!("{}{}", self.inbox_prefix, call.token());
        tokio::select! {
            biased;
            published = self.publish(subject, reply, headers, payload) => published?,
            error = call.ended() => return Err(error),
            // The connection's queue was full all the time: not the extension's fault.
            () = sleep_until(deadline) => return Err(CallError::Overloaded),
        }
        Ok(call)
    }

    fn is_connected(&self) -> bool {
        self.connection.client().connection_state() == State::Connected
    }

    fn max_payload(&self) -> usize {
        self.connection.client().max_payload()
    }
}

/// Hands out replies until the lane is closed. A connection whose task has died takes the calls
/// under way with it, as a lost link does.
async fn receive_on(
    connection: Arc<Connection>,
    inbox: String,
    mut replies: Subscriber,
    closing: Closing,
    pulse: Arc<Pulse>,
) {
    let table = &closing.0;
    let prefix_bytes = inbox.len() - 1;
    loop {
        while let Some(message) = replies.next().await {
            let taken = || take(message, prefix_bytes, table, &pulse);
            survived_now(connection.observers(), taken);
        }
        if connection.is_closed() {
            return;
        }
        // Calls end when there is a connection to tell their callers on.
        let subscribed = connection.subscribe(inbox.clone(), None).await;
        table.end_all(CallError::Disconnected);
        replies = match subscribed {
            Ok(replies) => replies,
            Err(LaneError::Stuck) => continue,
            Err(_) => return,
        };
    }
}

/// Hands a reply to the call that waits for it.
fn take(message: Message, prefix_bytes: usize, table: &Table, pulse: &Pulse) {
    let last = message.subject.get(prefix_bytes..).unwrap_or_default();
    let Some(token) = Token::parse(last) else {
        return pulse.arrived(last);
    };
    if message.status == Some(StatusCode::NO_RESPONDERS) {
        table.end(token, CallError::NoResponders);
    } else {
        table.deliver(token, reply(message));
    }
}

fn reply(message: Message) -> Reply {
    Reply {
        headers: headers::from_wire(message.headers),
        payload: message.payload,
    }
}

/// Refuses all calls when the task that hands out replies is gone, also when it was dropped with
/// its runtime.
#[derive(Debug)]
struct Closing(Arc<Table>);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.refuse(CallError::Closed);
    }
}

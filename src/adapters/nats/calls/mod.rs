//! Calls to extensions over one lane and one inbox subscription.
//!
//! A call has a slot in a [`table`] of fixed size; the last token of its reply subject names the
//! slot and a secret of that call's own. The lane's thread puts replies into their slots and runs
//! the [`tasks`] that wait for them. It is also the clock: a call whose time is over counts as
//! unanswered only after the server has answered a PING sent afterwards, since then everything that
//! had arrived before is in the table. A server that does not answer that either is our link's
//! fault, not the extension's.

mod audience;
mod looks;
mod table;
mod tasks;
mod token;

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Instant as StdInstant;

use tokio::runtime::Handle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub use self::audience::Audience;
use self::audience::Audiences;
use self::looks::Looks;
use self::table::Table;
use self::tasks::Tasks;
use self::token::Token;
use super::link::lane::Companion;
use super::link::outbox::{Outbox, Unsent};
use super::wire::headers::Headers as WireHeaders;
use super::wire::operation::Message;
use super::wire::refusal::Refusal;
use super::wire::write;
use crate::domain::overload::Overload;
use crate::domain::subject::Subject;
use crate::service::boundary::survived_now;
use crate::service::budget::{Budget, Held};
use crate::service::caller::{Call, CallError, CallHeaders, Caller, Headers, Reply};
use crate::service::observe::{Observation, Observers};
use crate::service::status::INVOCATIONS;

/// The status by which a server, in a message without a body, reports that there is no subscriber.
const NO_RESPONDERS: u16 = 503;

/// Calls extensions over one lane, of which it is the companion.
#[derive(Debug)]
pub struct Calls {
    outbox: Arc<Outbox>,
    /// All reply subjects begin with this, and end with a token.
    pub inbox_prefix: String,
    table: Arc<Table>,
    audiences: Arc<Audiences>,
    looks: Looks,
    tasks: Tasks,
    /// The bytes that calls may hold.
    pub budget: Arc<Budget>,
    giving_up: CancellationToken,
    observers: Observers,
    /// What the configuration lets a caller send, bytes.
    max_payload_bytes: usize,
}

/// A call under way: its place in the table, given back on drop.
#[derive(Debug)]
pub struct CallUnderWay {
    table: Arc<Table>,
    token: Token,
}

impl Calls {
    /// Calls over `outbox`, at most `max_pending` at a time, with replies of no more bytes than
    /// `budget` has. Replies arrive on a subject of its own that begins with `inbox_prefix`; timers run
    /// on `runtime`. A server that takes less than `max_payload_bytes` is reported.
    pub fn new(
        outbox: Arc<Outbox>,
        inbox_prefix: &str,
        max_pending: u32,
        budget: Arc<Budget>,
        runtime: Handle,
        observers: Observers,
        max_payload_bytes: usize,
    ) -> Self {
        Self {
            inbox_prefix: format!("{inbox_prefix}.{:032x}.", rand::random::<u128>()),
            table: Arc::new(Table::new(max_pending)),
            audiences: Arc::default(),
            looks: Looks::default(),
            tasks: Tasks::new(Arc::clone(&outbox), runtime),
            outbox,
            budget,
            giving_up: CancellationToken::new(),
            observers,
            max_payload_bytes,
        }
    }

    /// How many calls are under way.
    pub fn pending(&self) -> usize {
        self.table.pending()
    }

    /// Watches a stream to `receiver`, and cancels `gone` when nobody is left there, or the server
    /// does not let us send there.
    pub fn watch(&self, receiver: &[u8], gone: CancellationToken) -> Audience {
        self.audiences.watch(receiver, gone)
    }

    /// Where the server reports that chunk number `sequence` had no receiver.
    pub fn echo(&self, audience: &Audience, sequence: u64) -> Vec<u8> {
        [self.inbox_prefix.as_bytes(), &audience.token(sequence)].concat()
    }

    /// Runs `future` on the lane's thread, from the end of its present turn on.
    pub fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(future);
    }

    /// Ends all calls, those under way and those to come: this process is about to go.
    pub fn give_up(&self) {
        // First: what ends in the table frees places, and nobody is to take them any more.
        self.giving_up.cancel();
        self.table.refuse(CallError::GivenUp, CallError::GivenUp);
    }

    fn send(
        &self,
        token: Token,
        subject: &Subject,
        headers: &CallHeaders<'_>,
        payload: &[u8],
    ) -> Result<(), CallError> {
        let sent = self.outbox.submit(|out, block| {
            block.clear();
            let mut fits = Ok(());
            headers.write(&mut |name, value| {
                if block.push(name, value).is_err() {
                    fits = Err(CallError::InvalidHeader);
                }
            });
            if block.wire_len() + payload.len() > self.outbox.max_payload() {
                fits = Err(CallError::TooLarge);
            }
            fits?;
            let reply = (self.inbox_prefix.as_bytes(), &token.text()[..]);
            let subject = subject.as_str().as_bytes();
            write::request(out, subject, Some(reply), block, payload);
            Ok(())
        });
        match sent {
            Ok(written) => written,
            Err(Unsent::Down) => Err(CallError::Disconnected),
            Err(Unsent::Full) => Err(CallError::Overloaded(Overload::Requests)),
        }
    }

    /// A server that was given a smaller limit says so at the next connection only.
    fn compare_limits(&self) {
        let (server, ours) = (self.outbox.max_payload(), self.max_payload_bytes);
        if server < ours {
            self.observers.observe(&Observation::NatsNotice {
                connection: INVOCATIONS,
                notice: format!(
                    "the server's max_payload is {server} bytes, and MAX_PAYLOAD_BYTES {ours}: \
                     larger calls are refused"
                ),
            });
        }
    }

    fn take(&self, message: &Message<'_>) {
        let last = message.subject.get(self.inbox_prefix.len()..);
        let last = last.unwrap_or_default();
        let headers = message.headers.read();
        let Some(token) = Token::parse(last) else {
            let status = headers.ok().and_then(|headers| headers.status());
            if let (Some(NO_RESPONDERS), Some(chunk)) = (status, token::parse_chunk(last)) {
                self.audiences.missed(chunk, StdInstant::now());
            }
            return;
        };
        let error = match headers {
            Ok(headers)
                if headers.status() == Some(NO_RESPONDERS) && message.payload.is_empty() =>
            {
                CallError::NoResponders
            }
            Ok(headers) => match self.budget.take(message.size()) {
                Some(held) => {
                    if !self.table.deliver(token, reply(headers, held, message)) {
                        let slow = Observation::SlowConsumer(INVOCATIONS);
                        self.observers.observe(&slow);
                    }
                    return;
                }
                None => CallError::Overloaded(Overload::Bytes),
            },
            Err(_) => CallError::BadReply,
        };
        self.table.end(token, error);
    }
}

fn reply(headers: WireHeaders<'_>, held: Held, message: &Message<'_>) -> Reply {
    let mut owned = Headers::with_capacity(message.headers.0.len());
    for (name, value) in headers.iter() {
        owned.push(name, value);
    }
    Reply {
        headers: owned,
        payload: held.copy(message.payload),
    }
}

impl Companion for Calls {
    fn inbox(&self) -> Option<String> {
        Some(format!("{}*", self.inbox_prefix))
    }

    fn arrived(&self, message: &Message<'_>) {
        survived_now(&self.observers, || self.take(message));
    }

    fn link(&self, up: bool) {
        if up {
            self.table.accept();
            self.compare_limits();
        } else {
            // The server forgot our subscription, and with it the replies to what was sent.
            self.looks.forget();
            self.table.end_all(CallError::Disconnected);
        }
    }

    fn refused(&self, refusal: &Refusal) {
        match refusal {
            Refusal::Publish(subject) => {
                self.table.end_where(CallError::PermissionDenied, |known| {
                    known.as_str() == subject
                });
                self.audiences.refused(subject);
            }
            // No call can be answered before the server permits it again, perhaps on another
            // connection. What was sent already may be at its extension.
            Refusal::Subscription(subject) if subject.starts_with(&self.inbox_prefix) => {
                let refused = CallError::PermissionDenied;
                self.table.refuse(refused, CallError::Disconnected);
            }
            _ => {}
        }
    }

    fn permitted(&self, subject: &str) {
        if subject.starts_with(&self.inbox_prefix) {
            self.table.accept();
        }
    }

    fn looked(&self, number: u64) {
        if self.looks.answered(number) {
            self.table.looked(number, CallError::Timeout);
        }
    }

    fn turn_over(&self, now: StdInstant) -> Option<StdInstant> {
        self.looks.turn_over(now, &self.table, &self.outbox);
        self.tasks.run();
        let waits = self.table.earliest();
        [waits, self.looks.due()].into_iter().flatten().min()
    }

    fn closed(&self) {
        self.table.refuse(CallError::Closed, CallError::Closed);
    }

    fn is_busy(&self) -> bool {
        // A call that pauses before its next attempt has no slot.
        self.table.pending() > 0 || self.tasks.are_under_way()
    }
}

impl Caller for Arc<Calls> {
    type Call = CallUnderWay;

    fn call(
        &self,
        subject: &Subject,
        headers: &CallHeaders<'_>,
        payload: &[u8],
        deadline: Instant,
    ) -> Result<CallUnderWay, CallError> {
        if deadline <= Instant::now() {
            return Err(CallError::Timeout);
        }
        let call = CallUnderWay {
            token: self.table.begin(subject, deadline.into_std())?,
            table: Arc::clone(&self.table),
        };
        self.send(call.token, subject, headers, payload)?;
        if !self.tasks.are_here() {
            // The lane may wait for the server until later than the deadline.
            self.outbox.nudge();
        }
        Ok(call)
    }

    fn is_connected(&self) -> bool {
        self.outbox.is_up()
    }

    fn max_payload(&self) -> usize {
        self.outbox.max_payload()
    }

    fn giving_up(&self) -> &CancellationToken {
        &self.giving_up
    }
}

impl Call for CallUnderWay {
    async fn next(&mut self, deadline: Instant) -> Result<Reply, CallError> {
        let until = deadline.into_std();
        poll_fn(|cx| self.table.poll_next(self.token, until, cx)).await
    }
}

impl Drop for CallUnderWay {
    fn drop(&mut self) {
        self.table.release(self.token);
    }
}

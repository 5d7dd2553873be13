//! A call under way: its place in the table, given back on drop.

use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::task::Poll;

use futures_util::poll;
use tokio::time::{Instant, timeout_at};

use super::pulse::Pulse;
use super::table::Table;
use super::token::Token;
use crate::domain::subject::Subject;
use crate::service::caller::{Call, CallError, Reply};
use crate::service::clock::standstill;

/// A call under way.
#[derive(Debug)]
pub struct MuxCall {
    table: Arc<Table>,
    pulse: Arc<Pulse>,
    token: Token,
}

impl MuxCall {
    pub(super) fn begin(
        table: &Arc<Table>,
        pulse: &Arc<Pulse>,
        subject: &Subject,
    ) -> Result<Self, CallError> {
        let token = table.begin(subject)?;
        Ok(Self {
            table: Arc::clone(table),
            pulse: Arc::clone(pulse),
            token,
        })
    }

    pub(super) fn token(&self) -> Token {
        self.token
    }

    /// Waits until there will be no more replies.
    pub(super) fn ended(&self) -> impl Future<Output = CallError> + Send {
        poll_fn(|cx| self.table.poll_ended(self.token, cx))
    }
}

impl Call for MuxCall {
    async fn next(&mut self, deadline: Instant) -> Result<Reply, CallError> {
        let mut reply = poll_fn(|cx| self.table.poll_next(self.token, cx));
        if let Ok(reply) = timeout_at(deadline, &mut reply).await {
            return reply;
        }
        standstill::note_late(deadline.into_std(), Instant::now().into_std());
        // A timer may run before the socket is read. What the pulse proves, too: when it has come
        // back, everything that had arrived before it is in the table.
        let alive = tokio::select! {
            biased;
            reply = &mut reply => return reply,
            alive = self.pulse.is_alive() => alive,
        };
        match poll!(reply) {
            Poll::Ready(reply) => reply,
            Poll::Pending if alive => Err(CallError::Timeout),
            Poll::Pending => Err(CallError::Disconnected),
        }
    }
}

impl Drop for MuxCall {
    fn drop(&mut self) {
        self.table.release(self.token);
    }
}

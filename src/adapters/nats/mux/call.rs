//! A call under way: its place in the table, given back on drop.

use std::future::{Future, poll_fn};
use std::sync::Arc;

use tokio::time::{Instant, timeout_at};

use super::pulse::Pulse;
use super::table::Table;
use super::token::Token;
use crate::domain::subject::Subject;
use crate::service::caller::{Call, CallError, Reply};

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
        let reply = poll_fn(|cx| self.table.poll_next(self.token, cx));
        match timeout_at(deadline, reply).await {
            Ok(reply) => reply,
            Err(_) if self.pulse.is_alive().await => Err(CallError::Timeout),
            Err(_) => Err(CallError::Disconnected),
        }
    }
}

impl Drop for MuxCall {
    fn drop(&mut self) {
        self.table.release(self.token);
    }
}

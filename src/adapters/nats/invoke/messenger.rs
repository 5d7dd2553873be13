//! Informing extensions of cancelled calls.

use std::sync::Arc;

use crate::adapters::nats::link::outbox::Outbox;
use crate::adapters::nats::subjects::Layout;
use crate::adapters::nats::wire::write::{self, HeaderBlock};
use crate::domain::call_id::CallId;
use crate::domain::ids::ExtensionId;
use crate::service::caller::{ATTEMPT, CALL_ID};
use crate::service::invoke;

/// Informs extensions of cancelled calls, over the connection for calls. A message that cannot be
/// sent, or is too large for the server, is lost: that extension goes on as ever.
#[derive(Debug)]
pub(in crate::adapters::nats) struct Messenger {
    pub(in crate::adapters::nats) outbox: Arc<Outbox>,
    pub(in crate::adapters::nats) layout: Layout,
}

impl invoke::Messenger for Messenger {
    fn cancelled(&self, id: &ExtensionId, call: &CallId, attempt: Option<u32>) {
        let subject = self.layout.cancelled(id.as_str());
        let _ = self.outbox.submit(|out, block: &mut HeaderBlock| {
            block.clear();
            // A token: any header can hold it.
            let _ = block.push(CALL_ID, call.as_str());
            if let Some(attempt) = attempt {
                block.push_number(ATTEMPT, attempt.into());
            }
            if block.wire_len() <= self.outbox.max_payload() {
                write::publish_with_headers(out, subject.as_bytes(), None, block, b"");
            }
        });
    }
}

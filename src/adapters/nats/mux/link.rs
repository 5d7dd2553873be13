//! What happens to the connection, told to the calls that wait on it.

use std::sync::Arc;

use async_nats::{Event, ServerError};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use super::table::Table;
use crate::service::caller::CallError;

/// How the server says that it did not publish; the subject follows, quoted.
const PUBLISH_DENIED: &str = "Permissions Violation for Publish to ";
/// How the server says that it did not subscribe; the subject follows, quoted.
const SUBSCRIPTION_DENIED: &str = "Permissions Violation for Subscription to ";

/// Ends the calls that an event puts an end to, until the connection is closed. `inbox` is the
/// subject that all replies are received on.
pub(super) async fn watch(
    mut events: broadcast::Receiver<Event>,
    table: Arc<Table>,
    inbox: String,
) {
    loop {
        match events.recv().await {
            Ok(event) => notice(&event, &table, &inbox),
            // What was missed may have been the loss of the link.
            Err(RecvError::Lagged(_)) => table.end_all(CallError::Disconnected),
            Err(RecvError::Closed) => return,
        }
    }
}

fn notice(event: &Event, table: &Table, inbox: &str) {
    match event {
        // The server forgot our subscription, and with it the replies to what was sent.
        Event::Disconnected => table.end_all(CallError::Disconnected),
        Event::Closed => table.refuse(CallError::Closed),
        Event::Connected => table.accept(),
        // A reply was dropped, nobody knows whose: a stream would lack a chunk, an extension would
        // be blamed for a timeout.
        Event::SlowConsumer(_) => table.end_all(CallError::Overloaded),
        Event::ServerError(ServerError::Other(text)) => denied(text, table, inbox),
        _ => {}
    }
}

fn denied(text: &str, table: &Table, inbox: &str) {
    if let Some(subject) = text.strip_prefix(PUBLISH_DENIED) {
        table.end_where(CallError::PermissionDenied, |known| {
            subject == quoted(known.as_str())
        });
    } else if text.strip_prefix(SUBSCRIPTION_DENIED) == Some(&quoted(inbox)) {
        // No call can be answered before the next connection, perhaps with other permissions.
        table.refuse(CallError::PermissionDenied);
    }
}

/// As the server quotes subjects (Go's `%q`); for printable ASCII, all that a subject may have,
/// Rust's `Debug` is the same.
fn quoted(subject: &str) -> String {
    format!("{subject:?}")
}

//! Operations that are looked at before the first of them is handled.
//!
//! With many extensions, the memory that a message needs is not in the cache. Fetching it for
//! several messages at a time takes hardly longer than for one.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::lane::Served;
use crate::adapters::nats::wire::operation::{Operation, Parsed, parse};
use crate::adapters::nats::wire::session::Lost;

/// How many at a time.
const AHEAD: usize = 8;

/// Operations that have arrived and are dealt with together.
pub(super) struct Ahead<'b> {
    operations: [Option<Operation<'b>>; AHEAD],
    /// How many bytes they have.
    pub(super) taken: usize,
}

impl<'b> Ahead<'b> {
    /// Reads the first operations of `bytes`; beside them how many bytes there have to be before the
    /// next is whole, where it is not.
    pub(super) fn read(bytes: &'b [u8], max_message: usize) -> (Self, Result<Option<usize>, Lost>) {
        let mut ahead = Self {
            operations: [None; AHEAD],
            taken: 0,
        };
        for place in &mut ahead.operations {
            let unread = bytes.get(ahead.taken..).unwrap_or_default();
            match parse(unread, max_message) {
                Ok(Parsed::Whole(operation, taken)) => {
                    *place = Some(operation);
                    ahead.taken += taken;
                }
                Ok(Parsed::Part(whole)) => return (ahead, Ok(Some(whole))),
                Err(error) => return (ahead, Err(error.into())),
            }
        }
        (ahead, Ok(None))
    }

    /// In their order.
    pub(super) fn operations(&self) -> impl Iterator<Item = Operation<'b>> {
        self.operations.iter().map_while(|operation| *operation)
    }

    /// Shows their messages to their handler, where there are several.
    pub(super) fn foresee<T: Copy + 'static>(&self, served: &Served<T>) {
        if self.operations.get(1).is_none_or(Option::is_none) {
            return;
        }
        let mut messages = self.operations().filter_map(|operation| match operation {
            Operation::Message(message) => Some((served.of(message.sid)?.tag, message)),
            _ => None,
        });
        // A bug there shows again when its message is dealt with, and costs that one only.
        let showing = AssertUnwindSafe(|| served.handler.foresee(&mut messages));
        let _ = catch_unwind(showing);
    }
}

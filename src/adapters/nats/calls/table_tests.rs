use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::task::Wake;

use bytes::Bytes;

use super::*;
use crate::service::budget::Budget;
use crate::service::caller::Headers;

fn subject(text: &str) -> Subject {
    Subject::parse(text).unwrap()
}

fn reply(payload: impl Into<Bytes>) -> Reply {
    Reply {
        headers: Headers::new(),
        payload: payload.into(),
    }
}

/// Counts how often it was woken.
#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Longer than any test.
const LONG: Duration = Duration::from_secs(3600);

fn begin(table: &Table, to: &str) -> Result<Token, CallError> {
    table.begin(&subject(to), table.origin + LONG)
}

fn poll(table: &Table, token: Token) -> Poll<Result<Reply, CallError>> {
    poll_until(table, token, table.origin + LONG)
}

fn poll_until(table: &Table, token: Token, until: Instant) -> Poll<Result<Reply, CallError>> {
    table.poll_next(token, until, &mut Context::from_waker(Waker::noop()))
}

const WAITS: Poll<Result<Reply, CallError>> = Poll::Pending;

fn gives(payload: &'static str) -> Poll<Result<Reply, CallError>> {
    Poll::Ready(Ok(reply(payload)))
}

fn fails(error: CallError) -> Poll<Result<Reply, CallError>> {
    Poll::Ready(Err(error))
}

#[test]
fn replies_come_in_order_and_wake_their_reader() {
    let table = Table::new(2);
    let token = begin(&table, "a").unwrap();
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(Arc::clone(&woken));
    assert_eq!(
        table.poll_next(token, table.origin + LONG, &mut Context::from_waker(&waker)),
        WAITS
    );
    table.deliver(token, reply("1"));
    table.deliver(token, reply("2"));
    table.end(token, CallError::Disconnected);
    table.end(token, CallError::BadReply);
    table.deliver(token, reply("after the end"));
    assert_eq!(woken.0.load(Ordering::Relaxed), 1);
    assert_eq!(poll(&table, token), gives("1"));
    assert_eq!(poll(&table, token), gives("2"));
    assert_eq!(poll(&table, token), fails(CallError::Disconnected));
}

#[test]
fn a_late_reply_does_not_reach_the_next_call_of_its_slot() {
    let table = Table::new(1);
    let first = begin(&table, "a").unwrap();
    table.release(first);
    let second = begin(&table, "a").unwrap();
    assert_eq!(first.slot, second.slot);

    table.deliver(first, reply("late"));
    table.end(first, CallError::NoResponders);
    table.release(first);
    assert_eq!(poll(&table, second), WAITS);
    assert_eq!(poll(&table, first), fails(CallError::Closed));
    for (slot, secret) in [(0, 99), (7, 0), (u32::MAX, 0)] {
        table.deliver(Token { slot, secret }, reply("foreign"));
    }
    assert_eq!(poll(&table, second), WAITS);
    assert_eq!(table.pending(), 1);
}

#[test]
fn a_full_table_refuses_and_a_release_makes_room() {
    let table = Table::new(2);
    let first = begin(&table, "a").unwrap();
    let _second = begin(&table, "b").unwrap();
    assert_eq!(
        begin(&table, "c"),
        Err(CallError::Overloaded(Overload::Requests))
    );
    table.release(first);
    assert!(begin(&table, "c").is_ok());
}

#[test]
fn a_stream_nobody_reads_ends_with_an_error() {
    let table = Table::new(1);
    let token = begin(&table, "a").unwrap();
    let chunk = Bytes::from(vec![0; 1 << 20]);
    for _ in 0..16 {
        table.deliver(token, reply(chunk.clone()));
    }
    let mut read = 0;
    while poll(&table, token) == Poll::Ready(Ok(reply(chunk.clone()))) {
        read += 1;
    }
    assert_eq!(read, 7, "as many as fit with their overhead");
    assert_eq!(
        poll(&table, token),
        fails(CallError::Overloaded(Overload::Bytes))
    );

    table.release(token);
    let token = begin(&table, "a").unwrap();
    table.deliver(token, reply(vec![0; 2 * MAX_CALL_BYTES]));
    assert!(
        matches!(poll(&table, token), Poll::Ready(Ok(_))),
        "one reply may have any size"
    );
}

#[test]
fn what_was_queued_is_given_back_with_its_call_or_its_reader() {
    let (table, budget) = (Table::new(32), Budget::new(64 << 20));
    let chunk = vec![0; 1 << 20];
    let tokens: Vec<_> = (0..32).map(|_| begin(&table, "a").unwrap()).collect();
    let mut refused = 0;
    for _ in 0..6 {
        for token in &tokens {
            match budget.take(chunk.len()) {
                Some(held) => _ = table.deliver(*token, reply(held.copy(&chunk))),
                None => refused += 1,
            }
        }
    }
    assert_eq!((budget.held(), refused), (64 << 20, 6 * 32 - 64));
    let read = poll(&table, tokens[0]);
    assert!(matches!(read, Poll::Ready(Ok(_))));
    assert_eq!(budget.held(), 64 << 20, "its reader has it");
    drop(read);
    assert_eq!(budget.held(), 63 << 20);
    for token in tokens {
        table.release(token);
    }
    assert_eq!(budget.held(), 0);
}

#[test]
fn ends_reach_the_calls_they_are_meant_for() {
    let table = Table::new(3);
    let (a, b) = (begin(&table, "a").unwrap(), begin(&table, "b").unwrap());
    table.end_where(CallError::PermissionDenied, |known| known.as_str() == "a");
    assert_eq!(poll(&table, a), fails(CallError::PermissionDenied));
    assert_eq!(poll(&table, b), WAITS);
    table.end_all(CallError::Disconnected);
    assert_eq!(poll(&table, b), fails(CallError::Disconnected));
}

#[test]
fn a_refusal_holds_until_it_is_lifted_and_a_close_for_good() {
    let table = Table::new(3);
    let pending = begin(&table, "a").unwrap();
    table.refuse(CallError::PermissionDenied, CallError::Disconnected);
    assert_eq!(poll(&table, pending), fails(CallError::Disconnected));
    assert_eq!(begin(&table, "a"), Err(CallError::PermissionDenied));
    table.accept();
    assert!(begin(&table, "a").is_ok());

    table.refuse(CallError::Closed, CallError::Closed);
    table.refuse(CallError::PermissionDenied, CallError::Disconnected);
    table.accept();
    assert_eq!(begin(&table, "a"), Err(CallError::Closed));
    assert_eq!(table.pending(), 2, "refused calls keep no slot");
}

#[test]
fn a_wait_is_over_when_a_look_has_shown_that_nothing_is_on_its_way() {
    let table = Table::new(4);
    let second = Duration::from_secs(1);
    let (soon, later) = (table.origin + second, table.origin + 2 * second);
    assert_eq!(table.earliest(), None);
    let [early, late, lucky] = ["a", "b", "c"].map(|text| begin(&table, text).unwrap());
    for (token, until) in [(early, soon), (late, later), (lucky, soon)] {
        assert_eq!(poll_until(&table, token, until), WAITS);
    }
    assert!(
        table
            .earliest()
            .is_some_and(|first| first >= soon && first < later)
    );

    assert_eq!(table.look(table.origin, 1), None);
    table.looked(1, CallError::Timeout);
    assert_eq!(table.look(soon, 2), Some(soon));
    assert!(table.earliest().is_some_and(|first| first >= later));
    assert_eq!(
        poll_until(&table, early, soon),
        WAITS,
        "a reply may still come"
    );
    table.deliver(lucky, reply("in the socket"));
    table.looked(2, CallError::Timeout);
    assert_eq!(poll_until(&table, early, soon), fails(CallError::Timeout));
    assert_eq!(poll_until(&table, late, later), WAITS);
    assert_eq!(poll_until(&table, lucky, soon), gives("in the socket"));

    assert_eq!(
        poll_until(&table, early, later),
        WAITS,
        "it may be waited for again"
    );
    assert_eq!(table.look(later, 3), Some(later));
    table.looked(2, CallError::Timeout);
    assert_eq!(
        poll_until(&table, late, later),
        WAITS,
        "another look's answer"
    );
    table.looked(3, CallError::Disconnected);
    assert_eq!(
        poll_until(&table, late, later),
        fails(CallError::Disconnected)
    );
    assert_eq!(table.earliest(), None);
}

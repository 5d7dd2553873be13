//! Which failures are repeated, how long a retry waits, and that the budget holds.

use proptest::prelude::*;

use super::*;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[test]
fn which_failures_are_repeated() {
    for (failure, repeated) in [
        (Failure::Timeout, true),
        (Failure::NoResponders, true),
        (Failure::ErrorReply { code: Some(500) }, true),
        (Failure::ErrorReply { code: Some(503) }, true),
        (Failure::ErrorReply { code: None }, false),
        (Failure::EmptyReply, false),
        (Failure::UndecodableReply, false),
    ] {
        assert_eq!(retryable(failure), repeated, "{failure:?}");
    }
}

#[test]
fn the_longest_wait_doubles_up_to_the_maximum() {
    for (retry, longest_ms) in [
        (0, 100),
        (1, 100),
        (2, 200),
        (3, 400),
        (6, 3_200),
        (7, 5_000),
    ] {
        assert_eq!(backoff(retry, 1.0, None), Some(ms(longest_ms)), "{retry}");
        assert_eq!(
            backoff(retry, 0.5, None),
            Some(ms(longest_ms / 2)),
            "{retry}"
        );
        assert_eq!(backoff(retry, 0.0, None), Some(Duration::ZERO), "{retry}");
    }
    assert_eq!(backoff(u32::MAX, 1.0, None), Some(MAX_BACKOFF));
}

#[test]
fn no_retry_begins_at_or_past_the_deadline() {
    for (left_ms, wait) in [(51, Some(ms(50))), (50, None), (0, None)] {
        assert_eq!(backoff(1, 0.5, Some(ms(left_ms))), wait, "{left_ms}");
    }
}

fn granted(budget: &mut RetryBudget) -> usize {
    (0..50).filter(|_| budget.take()).count()
}

#[test]
fn the_budget_begins_with_ten_and_every_fifth_call_adds_one_up_to_ten() {
    let mut budget = RetryBudget::default();
    assert_eq!(granted(&mut budget), 10);
    for (calls, retries) in [(0, 0), (4, 0), (1, 1), (9, 1), (1, 1), (10_000, 10)] {
        (0..calls).for_each(|_| budget.call());
        assert_eq!(granted(&mut budget), retries, "after {calls} more calls");
    }
}

#[test]
fn with_many_calls_a_fifth_of_them() {
    let mut budget = RetryBudget::default();
    let mut granted = 0;
    // Each of them would like to be repeated three times.
    for _ in 0..12_000 {
        budget.call();
        granted += (0..3).filter(|_| budget.take()).count();
    }
    // The first one adds nothing to a full bucket.
    assert_eq!(granted, 10 + 11_999 / 5);
}

proptest! {
    #[test]
    fn waits_are_within_bounds(retry in 0..200u32, random in 0.0..=1.0, left in 0..10_000u64) {
        if let Some(wait) = backoff(retry, random, Some(ms(left))) {
            prop_assert!(wait <= MAX_BACKOFF && wait < ms(left));
        }
    }

    /// At each moment all retries so far are at most a fifth of all calls so far, plus ten.
    #[test]
    fn retries_never_exceed_the_budget(wanted in prop::collection::vec(any::<bool>(), 1..500)) {
        let mut budget = RetryBudget::default();
        let (mut calls, mut retries) = (0, 0);
        for retry in wanted {
            match retry {
                true => retries += usize::from(budget.take()),
                false => {
                    budget.call();
                    calls += 1;
                }
            }
            prop_assert!(retries <= 10 + calls / 5);
        }
    }
}

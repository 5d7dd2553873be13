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

#[test]
fn without_calls_ten_retries_a_second() {
    let start = Instant::now();
    let mut budget = RetryBudget::new(start);
    for second in 0..20 {
        let now = start + Duration::from_secs(second);
        assert_eq!((0..50).filter(|_| budget.take(now)).count(), 10, "{second}");
    }
}

#[test]
fn with_many_calls_a_fifth_of_them() {
    let start = Instant::now();
    let mut budget = RetryBudget::new(start);
    let mut granted = 0;
    // 200 calls a second for a minute, each of which would like to be repeated three times.
    for n in 0..12_000 {
        let now = start + ms(n * 5);
        budget.call(now);
        granted += (0..3).filter(|_| budget.take(now)).count();
    }
    assert!((2_390..=2_410).contains(&granted), "{granted}");
}

#[test]
fn calls_longer_ago_than_the_window_grant_nothing() {
    let start = Instant::now();
    let mut budget = RetryBudget::new(start);
    (0..1_000).for_each(|_| budget.call(start));
    let late = start + Duration::from_secs(9);
    assert_eq!((0..500).filter(|_| budget.take(late)).count(), 200);
    let over = start + Duration::from_secs(10);
    assert_eq!((0..500).filter(|_| budget.take(over)).count(), 10);
}

#[test]
fn a_time_before_the_current_second_belongs_to_it() {
    let start = Instant::now();
    let mut budget = RetryBudget::new(start);
    let now = start + Duration::from_secs(30);
    assert_eq!((0..20).filter(|_| budget.take(now)).count(), 10);
    let earlier = start + Duration::from_secs(3);
    assert!(!budget.take(earlier), "that would be a second floor");
}

proptest! {
    #[test]
    fn waits_are_within_bounds(retry in 0..200u32, random in 0.0..=1.0, left in 0..10_000u64) {
        if let Some(wait) = backoff(retry, random, Some(ms(left))) {
            prop_assert!(wait <= MAX_BACKOFF && wait < ms(left));
        }
    }

    /// At each moment all retries so far are at most a fifth of all calls so far, plus ten for each
    /// second; and each grant and refusal is that of a model that sums up whole seconds.
    #[test]
    fn retries_never_exceed_the_budget(
        events in prop::collection::vec((0..700u64, 0..60u32, 0..60u32), 1..120)
    ) {
        let start = Instant::now();
        let mut budget = RetryBudget::new(start);
        let mut now_ms = 0;
        let (mut calls, mut retries) = (vec![0usize; 100], vec![0usize; 100]);
        for (pause_ms, new_calls, wanted) in events {
            now_ms += pause_ms;
            let now = start + ms(now_ms);
            let this = usize::try_from(now_ms / 1000).unwrap();
            let lately = this.saturating_sub(9)..=this;
            for _ in 0..new_calls {
                budget.call(now);
                calls[this] += 1;
            }
            for _ in 0..wanted {
                let sum = |counts: &[usize]| counts[lately.clone()].iter().sum::<usize>();
                let allowed = (sum(&retries) + 1) * 5 <= sum(&calls) || retries[this] < 10;
                prop_assert_eq!(budget.take(now), allowed);
                retries[this] += usize::from(allowed);
            }
            let most = calls.iter().sum::<usize>() / 5 + 10 * (this + 1);
            prop_assert!(retries.iter().sum::<usize>() <= most);
        }
    }
}

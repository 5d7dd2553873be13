//! A canary that fails is halted, and one that does as well as the current version never is.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;

fn halt() -> Halt {
    Halt {
        max_failure_rate_delta: 0.1,
        min_requests: 50,
    }
}

fn counts(successes: u64, failures: u64) -> Counts {
    Counts {
        successes,
        failures,
    }
}

#[test]
fn the_lower_end_is_wilsons() {
    // Of the formula, worked out apart from this code.
    for (successes, failures, lower) in [
        (35, 15, 0.139_009),
        (0, 50, 0.821_996),
        (50, 0, 0.0),
        (700, 300, 0.254_666),
    ] {
        let found = least_failure_rate(counts(successes, failures)).unwrap();
        assert!((found - lower).abs() < 1e-6, "{failures}: {found}, {lower}");
    }
    assert_eq!(least_failure_rate(Counts::default()), None);
}

#[test]
fn only_what_is_clearly_worse_is_halted_and_never_before_the_minimum() {
    for (version, current, halts) in [
        (counts(0, 49), counts(500, 0), false),
        (counts(0, 50), counts(500, 0), true),
        // Half of both fail: it is not the version.
        (counts(500, 500), counts(500, 500), false),
        (counts(850, 150), counts(1000, 0), true),
        (counts(890, 110), counts(1000, 0), false),
        // With all of the traffic it is held against none.
        (counts(50, 50), Counts::default(), true),
    ] {
        let comparison = Comparison { version, current };
        assert_eq!(comparison.halts(&halt()), halts, "{comparison:?}");
    }
}

/// 25 and 50 successes had a lower end of 1e-17.
#[test]
fn what_never_failed_is_never_halted_even_where_no_difference_is_allowed() {
    let none = Halt {
        max_failure_rate_delta: 0.0,
        min_requests: 1,
    };
    for successes in 1..=1_000 {
        let comparison = Comparison {
            version: counts(successes, 0),
            current: counts(successes, 0),
        };
        assert!(!comparison.halts(&none), "{successes}");
    }
}

/// One run: 5,000 calls, of which a tenth go to the canary, reported in batches of `flush`, as
/// sidecars flush. How many calls had been made when the canary was halted, and how many of all had
/// failed.
fn run(seed: u64, current_fails: f64, canary_fails: f64) -> (Option<u32>, u32) {
    const CALLS: u32 = 5_000;
    const FLUSH: u32 = 100;
    let mut random = StdRng::seed_from_u64(seed);
    let (mut live, mut flushed) = (Comparison::default(), Comparison::default());
    let (mut halted, mut failed) = (None, 0);
    for call in 1..=CALLS {
        let to_canary = halted.is_none() && random.random_bool(0.1);
        let fails = random.random_bool(if to_canary {
            canary_fails
        } else {
            current_fails
        });
        let side = if to_canary {
            &mut live.version
        } else {
            &mut live.current
        };
        side.failures += u64::from(fails);
        side.successes += u64::from(!fails);
        failed += u32::from(fails);
        if call % FLUSH == 0 {
            flushed = live;
        }
        if halted.is_none() && flushed.halts(&halt()) {
            halted = Some(call);
        }
    }
    (halted, failed)
}

#[test]
fn a_canary_like_the_current_version_is_never_halted() {
    for fails in [0.0, 0.01, 0.05, 0.2] {
        for seed in 0..200 {
            let (halted, _) = run(seed, fails, fails);
            assert_eq!(halted, None, "{fails} {seed}");
        }
    }
}

#[test]
fn a_canary_that_fails_a_third_is_halted_before_a_hundredth_of_all_calls_has_failed() {
    let mut worst = 0;
    for seed in 0..200 {
        let (halted, failed) = run(seed, 0.0, 0.3);
        assert!(halted.is_some(), "{seed}");
        worst = worst.max(failed);
    }
    assert!(worst <= 50, "{worst} of 5,000");
}

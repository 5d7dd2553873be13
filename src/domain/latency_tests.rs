//! Precision, the rolling window, and threads.

use proptest::prelude::*;

use super::*;

fn us(us: u64) -> Duration {
    Duration::from_micros(us)
}

#[test]
fn buckets_are_in_order_without_gaps() {
    let mut last = 0;
    for value in 0..200_000 {
        let next = bucket(value);
        assert!(next == last || next == last + 1, "{value}");
        last = next;
    }
    assert_eq!(bucket(MAX_US), BUCKETS - 1);
}

#[test]
fn a_part_costs_what_is_documented() {
    assert_eq!(size_of::<Part>(), 1_856);
    assert!(size_of::<LatencyHistogram>() + size_of::<Window>() <= 64);
}

#[test]
fn figures_of_a_known_distribution() {
    let now = Instant::now();
    let histogram = LatencyHistogram::new(now);
    assert_eq!(histogram.snapshot(now).percentile(0.5), None);
    for ms in 1..=1000 {
        histogram.record(Duration::from_millis(ms), now);
    }
    let snapshot = histogram.snapshot(now);
    assert_eq!(snapshot.count(), 1000);
    for (q, exact_ms) in [
        (0.0, 1.0),
        (0.5, 500.0),
        (0.95, 950.0),
        (0.99, 990.0),
        (1.0, 1000.0),
    ] {
        let found_ms = snapshot.percentile(q).unwrap().as_secs_f64() * 1e3;
        assert!((found_ms / exact_ms - 1.0).abs() < 0.032, "{q}: {found_ms}");
    }
}

#[test]
fn figures_cover_the_last_one_to_two_minutes() {
    let start = Instant::now();
    let at = |seconds| start + Duration::from_secs(seconds);
    let histogram = LatencyHistogram::new(start);
    histogram.record(us(10), at(5));
    for (second, seen) in [(5, 1), (60, 1), (119, 1), (120, 0), (5_000, 0)] {
        assert_eq!(
            histogram.snapshot(at(second)).count(),
            seen,
            "at {second} s"
        );
    }
    histogram.record(us(20), at(65));
    for (second, seen) in [(65, 2), (119, 2), (120, 1), (180, 0)] {
        assert_eq!(
            histogram.snapshot(at(second)).count(),
            seen,
            "at {second} s"
        );
    }
    histogram.record(us(30), at(600));
    assert_eq!(histogram.snapshot(at(600)).percentile(1.0), Some(us(30)));
    assert_eq!(histogram.snapshot(at(600)).count(), 1);
    // Read the clock before another thread turned the page: counts, in the newer part.
    histogram.record(us(30), at(599));
    assert_eq!(histogram.snapshot(at(599)).count(), 2);
}

#[test]
fn no_sample_is_lost_while_threads_turn_the_page() {
    let start = Instant::now();
    let histogram = LatencyHistogram::new(start);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for n in 0..10_000u64 {
                    histogram.record(us(n), start + Duration::from_secs(n / 5_000 * 60));
                }
            });
        }
    });
    let snapshot = histogram.snapshot(start + Duration::from_secs(60));
    assert_eq!(snapshot.count(), 40_000);
}

proptest! {
    #[test]
    fn a_percentile_is_at_most_one_part_in_32_off(value in 0..=MAX_US) {
        let found = middle_us(bucket(value));
        prop_assert!(found.abs_diff(value) <= value / 32, "{value} {found}");
    }

    #[test]
    fn longer_than_the_longest_counts_as_the_longest(value in MAX_US..) {
        let now = Instant::now();
        let histogram = LatencyHistogram::new(now);
        histogram.record(us(value), now);
        let longest = us(middle_us(BUCKETS - 1));
        prop_assert_eq!(histogram.snapshot(now).percentile(1.0), Some(longest));
    }
}

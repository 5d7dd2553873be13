//! Counting, adding up, and crossing the minimum.

use proptest::prelude::*;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

const fn counts(successes: u64, failures: u64) -> Counts {
    Counts {
        successes,
        failures,
    }
}

#[test]
fn nothing_is_known_before_the_first_call() {
    let health = ExtensionHealth::new(Instant::now());
    let sums = health.sums();
    assert_eq!(sums, HealthSums::default());
    assert_eq!(sums.counts.success_rate(), None);
    assert_eq!(sums.avg_latency(), None);
}

#[test]
fn rates() {
    for (counts, rate) in [
        (counts(0, 3), 0.0),
        (counts(3, 1), 0.75),
        (counts(7, 0), 1.0),
    ] {
        assert_eq!(counts.success_rate(), Some(rate));
    }
}

#[test]
fn successes_and_failures_count_with_their_times_and_latencies() {
    let now = Instant::now();
    let health = ExtensionHealth::new(now);
    health.succeeded(Some(Duration::from_millis(10)), now + 2 * SECOND);
    health.succeeded(None, now + SECOND);
    health.failed(Some(Duration::from_millis(30)), now + SECOND);
    let sums = health.sums();
    assert_eq!(sums.counts, counts(2, 1));
    assert_eq!(sums.avg_latency(), Some(Duration::from_millis(20)));
    assert_eq!(
        sums.last_success,
        Some(now + 2 * SECOND),
        "a late one is not newer"
    );
    assert_eq!(sums.last_failure, Some(now + SECOND));
    assert_eq!(health.latency().snapshot(now).count(), 2);
}

#[test]
fn the_fleets_figures_are_own_ones_and_the_others() {
    let now = Instant::now();
    let at = |second: u32| now + second * SECOND;
    let own = HealthSums {
        counts: counts(1, 2),
        latency_sum_us: 3_000,
        latency_count: 3,
        last_success: Some(at(7)),
        last_failure: None,
    };
    let flushed = HealthSums {
        counts: counts(10, 20),
        latency_sum_us: 9_000,
        latency_count: 1,
        last_success: Some(at(5)),
        last_failure: Some(at(6)),
    };
    let fleet = own.with(&flushed);
    assert_eq!(fleet, flushed.with(&own));
    assert_eq!(fleet.counts, counts(11, 22));
    assert_eq!(fleet.avg_latency(), Some(Duration::from_millis(3)));
    assert_eq!(fleet.last_success, Some(at(7)));
    assert_eq!(fleet.last_failure, Some(at(6)));
    assert_eq!(own.with(&HealthSums::default()), own);
}

#[test]
fn each_crossing_is_told_once() {
    let (gate, now) = (HealthGate::default(), Instant::now());
    for (window, told, degraded) in [
        (counts(0, 19), None, false),
        (counts(16, 4), None, false),
        (counts(15, 5), Some(Crossing::Degraded), true),
        (counts(0, 20), None, true),
        (counts(19, 0), None, true),
        (counts(79, 21), None, true),
        (counts(80, 20), Some(Crossing::Recovered), false),
        (counts(83, 17), None, false),
        (counts(0, 0), None, false),
        (counts(0, 20), Some(Crossing::Degraded), true),
    ] {
        let crossing = gate.observe(rate(window), 0.8, now);
        assert_eq!(crossing, told, "{window:?}");
        assert_eq!(gate.is_degraded(), degraded, "{window:?}");
    }
}

/// A reader that pairs the two reports is not left waiting by a reset.
#[test]
fn a_recovery_is_told_after_a_verdict_was_forgotten() {
    let (gate, now) = (HealthGate::default(), Instant::now());
    let observe = |rate| gate.observe(rate, 0.8, now);
    let bad = rate(counts(0, 20));
    assert_eq!(observe(bad), Some(Crossing::Degraded));
    gate.clear();
    assert!(!gate.is_degraded());
    assert_eq!(observe(rate(counts(0, 0))), None);
    assert_eq!(observe(rate(counts(20, 0))), Some(Crossing::Recovered));
    assert_eq!(observe(bad), Some(Crossing::Degraded));
    gate.clear();
    assert_eq!(observe(bad), None, "it was reported before");
    assert!(gate.is_degraded());
}

#[test]
fn a_rate_that_stays_about_the_minimum_is_told_seldom_and_told_as_it_is_in_the_end() {
    let (gate, start) = (HealthGate::default(), Instant::now());
    let observe = |rate, now| gate.observe(Some(rate), 0.8, now);
    let about = (0..1000).map(|n| if n % 2 == 0 { 0.79 } else { 0.81 });
    let told: Vec<_> = about.filter_map(|rate| observe(rate, start)).collect();
    assert_eq!(told.len(), 10);
    assert_eq!(told.last(), Some(&Crossing::Recovered));
    assert_eq!(observe(0.5, start), None);
    assert!(gate.is_degraded(), "all the same");
    let later = start + 30 * SECOND;
    assert_eq!(observe(0.5, later), Some(Crossing::Degraded));
    assert_eq!(observe(0.9, later), Some(Crossing::Recovered));
}

/// The rate over a window of at least 20 calls.
fn rate(window: Counts) -> Option<f64> {
    window.success_rate().filter(|_| window.total() >= 20)
}

#[test]
fn many_observers_of_one_crossing_tell_it_once() {
    let (gate, now) = (HealthGate::default(), Instant::now());
    let told = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..1_000 {
                    let crossing = gate.observe(Some(0.0), 0.8, now);
                    told.fetch_add(u64::from(crossing.is_some()), Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(told.into_inner(), 1);
}

#[test]
fn no_call_is_lost_between_threads() {
    let now = Instant::now();
    let health = ExtensionHealth::new(now);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for n in 1..=10_000 {
                    let at = now + Duration::from_micros(n);
                    health.succeeded(Some(Duration::from_micros(1)), at);
                    health.failed(Some(Duration::from_micros(3)), at);
                }
            });
        }
    });
    let sums = health.sums();
    assert_eq!(sums.counts, counts(40_000, 40_000));
    assert_eq!((sums.latency_sum_us, sums.latency_count), (160_000, 80_000));
    assert_eq!(sums.last_failure, Some(now + Duration::from_millis(10)));
}

proptest! {
    /// Crossings alternate; below the minimum is degraded, at or above it is not.
    #[test]
    fn crossings_alternate(
        windows in prop::collection::vec((0..40u64, 0..40u64), 0..100)
    ) {
        let gate = HealthGate::default();
        let (mut degraded, mut now) = (false, Instant::now());
        for (successes, failures) in windows {
            let window = counts(successes, failures);
            now += 30 * SECOND;
            match gate.observe(rate(window), 0.8, now) {
                Some(Crossing::Degraded) => prop_assert!(!std::mem::replace(&mut degraded, true)),
                Some(Crossing::Recovered) => prop_assert!(std::mem::replace(&mut degraded, false)),
                None => {}
            }
            if let Some(rate) = rate(window) {
                prop_assert_eq!(degraded, rate < 0.8);
            }
        }
    }
}

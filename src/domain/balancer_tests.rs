//! Proportions, changes of the set, retries and ejections.

use std::time::Duration;

use proptest::prelude::*;

use super::super::testing::{BREAKER, instance};
use super::*;

const SETTINGS: Settings = Settings {
    failure_threshold: 1,
    ..BREAKER
};

fn instances(weights: &[(&str, u8)]) -> Vec<Instance> {
    weights
        .iter()
        .map(|(name, weight)| Instance {
            weight: *weight,
            ..instance(name)
        })
        .collect()
}

fn id(name: &str) -> InstanceId {
    InstanceId::parse(name).unwrap()
}

/// The instance that gets a call whose earlier attempts went to `tried`.
fn pick<'a>(
    balancer: &mut Balancer,
    set: &'a [Instance],
    tried: &[InstanceId],
    now: Instant,
) -> Option<&'a Instance> {
    let barred = &[];
    let past = Past { barred, tried };
    balancer.pick(set.iter(), past, None, now).unwrap().instance
}

fn picks(balancer: &mut Balancer, set: &[Instance], calls: usize, now: Instant) -> String {
    (0..calls)
        .filter_map(|_| pick(balancer, set, &[], now))
        .map(|instance| instance.instance_id.as_str().to_owned())
        .collect()
}

fn count(picked: &str, name: char) -> usize {
    picked.chars().filter(|picked| *picked == name).count()
}

#[test]
fn proportions_are_exact() {
    for (weights, expected) in [
        (
            &[("a", 70), ("b", 20), ("c", 10)][..],
            &[7000, 2000, 1000][..],
        ),
        (&[("a", 50), ("b", 50)], &[5000, 5000]),
        (&[("a", 99), ("b", 1)], &[9900, 100]),
        (&[("a", 1)], &[10_000]),
        (&[("a", 0), ("b", 3)], &[0, 10_000]),
    ] {
        let set = instances(weights);
        let picked = picks(&mut Balancer::default(), &set, 10_000, Instant::now());
        for ((name, _), expected) in weights.iter().zip(expected) {
            let got = count(&picked, name.chars().next().unwrap());
            assert!(got.abs_diff(*expected) <= 1, "{weights:?} {name} {got}");
        }
    }
}

#[test]
fn three_equal_instances_take_turns() {
    let set = instances(&[("a", 100), ("b", 100), ("c", 100)]);
    let picked = picks(&mut Balancer::default(), &set, 9_999, Instant::now());
    assert_eq!(picked, "abc".repeat(3_333));
}

#[test]
fn the_order_is_nginxs() {
    let set = instances(&[("a", 5), ("b", 1), ("c", 1)]);
    let picked = picks(&mut Balancer::default(), &set, 14, Instant::now());
    assert_eq!(picked, "aabacaaaabacaa");
}

#[test]
fn without_an_instance_that_serves_there_is_no_pick() {
    let mut disabled = instances(&[("a", 0), ("b", 1)]);
    disabled[1].enabled = false;
    for set in [&[][..], &disabled] {
        let picked = pick(&mut Balancer::default(), set, &[], Instant::now());
        assert_eq!(picked, None);
    }
}

#[test]
fn a_retry_goes_to_another_instance_until_all_were_tried() {
    let set = instances(&[("a", 100), ("b", 1), ("c", 1)]);
    let mut balancer = Balancer::default();
    let now = Instant::now();
    let mut tried = Vec::new();
    for _ in 0..3 {
        let next = pick(&mut balancer, &set, &tried, now).unwrap();
        assert!(!tried.contains(&next.instance_id));
        tried.push(next.instance_id.clone());
    }
    assert!(pick(&mut balancer, &set, &tried, now).is_some());
}

#[test]
fn an_ejected_instance_is_left_out_and_comes_back_without_a_burst() {
    let set = instances(&[("a", 1), ("b", 1), ("c", 1)]);
    let mut balancer = Balancer::default();
    let now = Instant::now();
    picks(&mut balancer, &set, 1, now);
    assert!(balancer.failed(&id("b"), now, now, &SETTINGS));
    let out = |balancer: &Balancer, now| {
        let peers = balancer.peers.iter();
        peers.filter(|peer| peer.is_ejected(now)).count()
    };
    assert_eq!(out(&balancer, now), 1);
    let picked = picks(&mut balancer, &set, 100, now);
    assert_eq!((count(&picked, 'a'), count(&picked, 'b')), (50, 0));
    // Even a retry prefers a healthy instance that was tried to an ejected one that was not.
    let tried = [id("a"), id("c")];
    let retry = pick(&mut balancer, &set, &tried, now).unwrap();
    assert_ne!(retry.instance_id, id("b"));

    let later = now + SETTINGS.open_time;
    assert_eq!(out(&balancer, later), 0);
    let picked = picks(&mut balancer, &set, 300, later);
    assert!(count(&picked, 'b').abs_diff(100) <= 1);
    assert!(!picked.contains("bb"));
}

#[test]
fn when_all_are_ejected_all_are_used_and_a_success_ends_it() {
    let set = instances(&[("a", 2), ("b", 1)]);
    let mut balancer = Balancer::default();
    let now = Instant::now();
    picks(&mut balancer, &set, 3, now);
    for name in ["a", "b"] {
        assert!(balancer.failed(&id(name), now, now, &SETTINGS));
    }
    let picked = picks(&mut balancer, &set, 300, now);
    assert_eq!((count(&picked, 'a'), count(&picked, 'b')), (200, 100));
    balancer.succeeded(&id("b"), now);
    assert_eq!(picks(&mut balancer, &set, 10, now), "b".repeat(10));
}

/// A balancer over `a`, `b` and `c`, of which some are ejected and some rest for as many seconds.
fn with(ejected: &str, resting: &[(&str, u64)], now: Instant) -> (Balancer, Vec<Instance>) {
    let set = instances(&[("a", 1), ("b", 1), ("c", 1)]);
    let mut balancer = Balancer::default();
    picks(&mut balancer, &set, 3, now);
    for name in ejected.split_terminator(',') {
        assert!(balancer.failed(&id(name), now, now, &SETTINGS));
    }
    for (name, seconds) in resting {
        let rest = balancer.rest(Some(&id(name))).unwrap();
        rest.until(now + Duration::from_secs(*seconds));
    }
    (balancer, set)
}

#[test]
fn who_rests_is_never_used_and_the_first_that_is_back_is_named() {
    let now = Instant::now();
    let until = |seconds| {
        Err(Nobody {
            until: Some(now + Duration::from_secs(seconds)),
        })
    };
    for (ejected, resting, barred, expected) in [
        ("", &[("a", 2)][..], &[][..], Ok("bc")),
        ("b", &[("a", 2)], &[], Ok("c")),
        // All that could serve are ejected: they are used, resting ones are not.
        ("b,c", &[("a", 2)], &[], Ok("bc")),
        ("", &[("a", 2), ("b", 3)], &[], Ok("c")),
        ("", &[("a", 2), ("b", 3)], &["c"], until(2)),
        ("a", &[("a", 5), ("b", 3), ("c", 4)], &[], until(3)),
        ("", &[], &["a", "b"], Ok("c")),
        ("", &[], &["a", "b", "c"], Err(Nobody { until: None })),
    ] {
        let (mut balancer, set) = with(ejected, resting, now);
        let barred: Vec<_> = barred.iter().map(|name| id(name)).collect();
        let past = Past {
            barred: &barred,
            tried: &[],
        };
        let picked: Result<Vec<_>, _> = (0..6)
            .map(|_| balancer.pick(set.iter(), past, None, now))
            .collect();
        let picked = picked.map(|picked| {
            let mut names: Vec<_> = picked
                .iter()
                .map(|pick| pick.instance.unwrap().instance_id.as_str())
                .collect();
            names.sort_unstable();
            names.dedup();
            names.concat()
        });
        let expected = expected.map(str::to_owned);
        assert_eq!(picked, expected, "{ejected} {resting:?} {barred:?}");
    }
}

#[test]
fn after_a_rest_one_call_tries_and_the_others_go_elsewhere() {
    let now = Instant::now();
    let (mut balancer, set) = with("", &[("a", 2)], now);
    let later = now + Duration::from_secs(2);
    let mut tries = || {
        let pick = |_| balancer.pick(set.iter(), Past::default(), None, later);
        let picks = (0..30).map(pick).map(Result::unwrap);
        let tries: Vec<_> = picks.filter(|pick| pick.tries).collect();
        for pick in &tries {
            assert_eq!(pick.instance.unwrap().instance_id, id("a"));
        }
        (tries.len(), {
            balancer.rest(Some(&id("a"))).unwrap().left();
        })
    };
    assert_eq!((tries().0, tries().0), (1, 1));
    let rest = balancer.rest(Some(&id("a"))).unwrap();
    rest.answered(later);
    assert!(!picks(&mut balancer, &set, 30, later).is_empty());
    assert_eq!(balancer.resting(later).count(), 0);
}

#[test]
fn a_version_without_instances_rests_itself() {
    let now = Instant::now();
    let mut balancer = Balancer::default();
    let until = now + Duration::from_secs(2);
    balancer.rest(None).unwrap().until(until);
    let pick = |balancer: &mut Balancer, now| balancer.pick([].iter(), Past::default(), None, now);
    let nobody = Nobody { until: Some(until) };
    assert_eq!(pick(&mut balancer, now).unwrap_err(), nobody);
    assert_eq!(balancer.resting(now).collect::<Vec<_>>(), [(None, until)]);
    let own = pick(&mut balancer, until).unwrap();
    assert_eq!((own.instance, own.tries), (None, true));
    assert!(pick(&mut balancer, until).is_err(), "one at a time");
}

/// How often each of `a` and `b` is picked, of 1,000 calls that are over at once.
fn adaptive(balancer: &mut Balancer, set: &[Instance], now: Instant) -> (usize, usize) {
    let pick = |other| balancer.pick(set.iter(), Past::default(), Some(other), now);
    let picked: Vec<_> = (0..1000u32).map(pick).map(Result::unwrap).collect();
    let a = picked
        .iter()
        .filter(|it| it.instance.unwrap().instance_id == id("a"));
    let a = a.count();
    (a, picked.len() - a)
}

#[test]
fn whose_turn_it_is_gives_way_only_to_one_that_is_much_better() {
    let now = Instant::now();
    let ms = Duration::from_millis;
    for (a, b, of_a) in [(10, 10, 500), (12, 10, 500), (14, 10, 0), (10, 14, 1000)] {
        let set = instances(&[("a", 50), ("b", 50)]);
        let mut balancer = Balancer::default();
        picks(&mut balancer, &set, 2, now);
        for (name, latency) in [("a", a), ("b", b)] {
            balancer.load(&id(name)).unwrap().took(ms(latency), now);
        }
        let one = |_| {
            let picked = balancer.pick(set.iter(), Past::default(), Some(0), now);
            picked.unwrap().instance.unwrap().instance_id == id("a")
        };
        assert_eq!(
            (0..1000).map(one).filter(|is_a| *is_a).count(),
            of_a,
            "{a} {b}"
        );
    }
}

#[test]
fn calls_under_way_are_shared_by_weight() {
    let now = Instant::now();
    let set = instances(&[("a", 75), ("b", 25)]);
    let (a, b) = adaptive(&mut Balancer::default(), &set, now);
    assert!(a.abs_diff(750) <= 10, "{a} {b}");
}

#[test]
fn who_fails_or_pushes_back_counts_as_slow_however_soon() {
    let now = Instant::now();
    let ms = Duration::from_millis;
    let set = instances(&[("a", 50), ("b", 50), ("c", 50)]);
    let mut balancer = Balancer::default();
    picks(&mut balancer, &set, 3, now);
    for name in ["a", "b", "c"] {
        balancer.load(&id(name)).unwrap().took(ms(10), now);
    }
    for (latency, longest, seconds) in [(1, 5000, 0.1), (1, 60, 0.06), (200, 100, 0.2)] {
        balancer
            .load(&id("a"))
            .unwrap()
            .clone_from(&Load::default());
        balancer.disappointed(&id("a"), ms(latency), ms(longest), now);
        let a = balancer.load(&id("a")).unwrap().seconds().unwrap();
        assert!((a - seconds).abs() < 1e-9, "{a} {seconds}");
    }
}

#[test]
fn a_newcomer_begins_with_the_mean_and_who_has_rested_is_tried_however_slow() {
    let now = Instant::now();
    let ms = Duration::from_millis;
    let mut balancer = Balancer::default();
    picks(&mut balancer, &instances(&[("a", 50), ("b", 50)]), 2, now);
    for (name, latency) in [("a", 10), ("b", 30)] {
        balancer.load(&id(name)).unwrap().took(ms(latency), now);
    }
    let set = instances(&[("a", 50), ("b", 50), ("c", 50)]);
    picks(&mut balancer, &set, 1, now);
    let c = balancer.load(&id("c")).unwrap().seconds().unwrap();
    assert!((c - 0.02).abs() < 1e-9, "{c}");

    balancer.load(&id("b")).unwrap().took(ms(5000), now);
    balancer.rest(Some(&id("b"))).unwrap().until(now);
    let pick = |other| {
        balancer
            .pick(set.iter(), Past::default(), Some(other), now)
            .unwrap()
    };
    let tries = (0..6).map(pick).filter(|pick| pick.tries).count();
    assert_eq!(tries, 1);
}

#[test]
fn results_of_an_instance_that_is_gone_are_ignored() {
    let now = Instant::now();
    let mut balancer = Balancer::default();
    assert!(!balancer.failed(&id("gone"), now, now, &SETTINGS));
    balancer.succeeded(&id("gone"), now);
    balancer.disappointed(&id("gone"), Duration::ZERO, Duration::MAX, now);
    assert!(balancer.load(&id("gone")).is_none());
}

#[test]
fn who_stays_keeps_its_ejection_and_a_newcomer_gets_no_burst() {
    let now = Instant::now();
    let mut balancer = Balancer::default();
    picks(&mut balancer, &instances(&[("a", 1), ("b", 1)]), 1, now);
    assert!(balancer.failed(&id("a"), now, now, &SETTINGS));
    let changed = instances(&[("c", 1), ("b", 1), ("a", 1)]);
    let picked = picks(&mut balancer, &changed, 100, now);
    assert_eq!(count(&picked, 'a'), 0);
    assert!(count(&picked, 'c').abs_diff(50) <= 1 && !picked.contains("cc"));
}

/// A step of a random history: a new weight for one of five instances (0 takes it out), then calls.
fn histories() -> impl Strategy<Value = Vec<(usize, u8, usize)>> {
    prop::collection::vec((0..5usize, 0..=100u8, 0..12usize), 1..60)
}

proptest! {
    /// Whichever instances come and go, credits sum to zero (but for rounding) and none exceeds a
    /// few calls: no instance gets a burst or a drought from changes.
    #[test]
    fn no_history_builds_up_a_debt(history in histories()) {
        let names = ["a", "b", "c", "d", "e"];
        let mut weights = [50u8; 5];
        let mut balancer = Balancer::default();
        for (at, weight, calls) in history {
            weights[at] = weight;
            let set = instances(&std::array::from_fn::<_, 5, _>(|i| (names[i], weights[i])));
            picks(&mut balancer, &set, calls, Instant::now());
            let credits = || balancer.peers.iter().map(|peer| peer.credit);
            prop_assert!(credits().sum::<i64>().abs() < 5);
            prop_assert!(credits().all(|credit| credit.abs() < 3 * CALL));
        }
    }

    /// With a constant set of instances no number of weight changes moves a share by three calls.
    #[test]
    fn weights_change_without_bias(
        history in prop::collection::vec((0..4usize, 1..=100u8, 0..5usize), 1..120)
    ) {
        let names = ["a", "b", "c", "d"];
        let mut weights = [25u8; 4];
        let mut balancer = Balancer::default();
        let mut owed = [0.0f64; 4];
        for (at, weight, calls) in history {
            weights[at] = weight;
            let set = instances(&std::array::from_fn::<_, 4, _>(|i| (names[i], weights[i])));
            let total: u32 = weights.iter().copied().map(u32::from).sum();
            for _ in 0..calls {
                let picked = pick(&mut balancer, &set, &[], Instant::now()).unwrap();
                for i in 0..4 {
                    owed[i] += f64::from(weights[i]) / f64::from(total);
                    owed[i] -= f64::from(u8::from(picked.instance_id.as_str() == names[i]));
                }
            }
            prop_assert!(owed.iter().all(|owed| owed.abs() < 3.0), "{owed:?}");
        }
    }

    /// Leaving instances out never lets a credit grow without bound, and no instance that is left
    /// out is picked.
    #[test]
    fn credits_stay_bounded(
        history in prop::collection::vec((prop::bits::u8::masked(0b1111), 1..=100u8), 1..120)
    ) {
        let names = ["a", "b", "c", "d"];
        let mut balancer = Balancer::default();
        for (mask, weight) in history {
            let set = instances(&[("a", weight), ("b", 20), ("c", 10), ("d", 1)]);
            let tried: Vec<_> = (0..4).filter(|i| mask & (1 << i) != 0).map(|i| id(names[i])).collect();
            let picked = pick(&mut balancer, &set, &tried, Instant::now()).unwrap();
            prop_assert!(tried.len() == 4 || !tried.contains(&picked.instance_id));
            for peer in &balancer.peers {
                prop_assert!(peer.credit.abs() <= 4 * CALL, "{} {}", peer.id, peer.credit);
            }
        }
    }
}

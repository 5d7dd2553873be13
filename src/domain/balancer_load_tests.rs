//! Load and latency against turns, in virtual time: tower's demonstration of its balancers, with
//! other figures for the slow ones.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{Rng, RngExt, SeedableRng};

use super::super::testing::instance;
use super::*;

const IN_FLIGHT: usize = 50;
const CALLS: usize = 50_000;

/// What is played: instances, each with its weight and the longest that it takes, in milliseconds.
struct Play<'a> {
    instances: &'a [(u8, u64)],
    balance: Balance,
    seed: u64,
}

/// A call under way, until then: the place of its instance, and when it began.
type Call = Reverse<(Duration, usize, Duration)>;

struct Stage {
    random: SmallRng,
    balance: Balance,
    balancer: Balancer,
    set: Vec<Instance>,
    longest: Vec<u64>,
    zero: Instant,
    calls: BinaryHeap<Call>,
    /// Guards of the calls under way; which is whose makes no difference to a count.
    guards: Vec<Vec<InFlight>>,
    now: Duration,
    picked: Vec<usize>,
    took: Vec<Duration>,
}

impl Stage {
    fn new(play: &Play<'_>) -> Self {
        let mut stage = Self {
            random: SmallRng::seed_from_u64(play.seed),
            balance: play.balance,
            balancer: Balancer::default(),
            set: Vec::new(),
            longest: Vec::new(),
            zero: Instant::now(),
            calls: BinaryHeap::new(),
            guards: Vec::new(),
            now: Duration::ZERO,
            picked: Vec::new(),
            took: Vec::new(),
        };
        for (weight, longest) in play.instances {
            stage.join(*weight, *longest);
        }
        stage
    }

    fn join(&mut self, weight: u8, longest: u64) {
        let name = format!("i{}", self.set.len());
        self.set.push(Instance {
            weight,
            ..instance(&name)
        });
        self.longest.push(longest);
        self.guards.push(Vec::new());
        self.picked.push(0);
    }

    fn begin(&mut self) {
        let other = match self.balance {
            Balance::Adaptive => Some(self.random.next_u32()),
            Balance::Weighted => None,
        };
        let now = self.zero + self.now;
        let pick = self
            .balancer
            .pick(self.set.iter(), Past::default(), other, now);
        let pick = pick.unwrap();
        let picked = &pick.instance.unwrap().instance_id;
        let at = self
            .set
            .iter()
            .position(|known| known.instance_id == *picked);
        let at = at.unwrap();
        self.picked[at] += 1;
        self.guards[at].push(pick.in_flight.unwrap());
        let longest = Duration::from_millis(self.longest[at]);
        let takes = longest.mul_f64(self.random.random_range(0.0..1.0));
        self.calls.push(Reverse((self.now + takes, at, self.now)));
    }

    fn end(&mut self) {
        let Reverse((now, at, begun)) = self.calls.pop().unwrap();
        self.now = now;
        self.guards[at].pop();
        self.took.push(now - begun);
        let load = self.balancer.load(&self.set[at].instance_id).unwrap();
        load.took(now - begun, self.zero + now);
    }

    fn run(&mut self, calls: usize) {
        for _ in 0..calls {
            while self.calls.len() < IN_FLIGHT {
                self.begin();
            }
            self.end();
        }
    }

    fn percentile(&mut self, of: f64) -> Duration {
        self.took.sort_unstable();
        let rank = (self.took.len() as f64 * of) as usize;
        self.took[rank]
    }
}

fn play(instances: &[(u8, u64)], balance: Balance) -> Stage {
    let mut stage = Stage::new(&Play {
        instances,
        balance,
        seed: 7,
    });
    stage.run(CALLS);
    stage
}

#[test]
fn who_is_slow_is_spared() {
    let instances = [4, 5, 10, 10, 10, 100, 100, 100, 500, 1000].map(|longest| (100, longest));
    let mut turns = play(&instances, Balance::Weighted);
    let mut load = play(&instances, Balance::Adaptive);
    let p99 = (turns.percentile(0.99), load.percentile(0.99));
    let wall = (turns.now, load.now);
    println!("p99 {p99:?}, wall {wall:?}, {:?}", load.picked);
    assert!(p99.1 <= p99.0 / 5, "{p99:?}");
    assert!(wall.1 <= wall.0 / 3, "{wall:?}");
}

#[test]
fn among_equals_weights_hold() {
    for weights in [[100; 10], [50, 50, 50, 50, 50, 100, 100, 100, 100, 100]] {
        let instances = weights.map(|weight| (weight, 100));
        let mut turns = play(&instances, Balance::Weighted);
        let mut load = play(&instances, Balance::Adaptive);
        let p50 = (turns.percentile(0.5), load.percentile(0.5));
        println!("p50 {p50:?}, {:?}", load.picked);
        assert!(p50.1 <= p50.0.mul_f64(1.02), "{p50:?}");
        let total: usize = weights.map(usize::from).iter().sum();
        for (weight, picked) in weights.iter().zip(&load.picked) {
            let exact = load.picked.iter().sum::<usize>() * usize::from(*weight) / total;
            assert!(picked.abs_diff(exact) * 20 <= exact, "{picked} for {exact}");
        }
    }
}

#[test]
fn a_newcomer_that_is_slow_gets_little_and_a_fast_one_its_share() {
    for (longest, slow) in [(1000, true), (10, false)] {
        let mut stage = Stage::new(&Play {
            instances: &[(100, 10); 9],
            balance: Balance::Adaptive,
            seed: 7,
        });
        stage.run(CALLS);
        stage.join(100, longest);
        let joined = stage.now;
        while stage.now < joined + Duration::from_secs(1) {
            stage.run(1);
        }
        let (before, all) = (stage.picked[9], stage.picked.iter().sum::<usize>());
        stage.run(CALLS);
        let got = stage.picked[9] - before;
        let all = stage.picked.iter().sum::<usize>() - all;
        println!("{before} in the first second, then {got} of {all}");
        if slow {
            assert!(got * 50 < all, "{got} of {all}");
        } else {
            assert!(got * 12 > all, "{got} of {all}");
        }
    }
}

//! Which instance of a version gets the next call: whose turn it is by smooth weighted round robin,
//! or, by load and latency, another one.
//!
//! The algorithm of turns is nginx's (`ngx_http_upstream_get_peer`, commit 52327e0627f4, 2012): with each
//! pick every peer earns its weight, the richest is picked and pays what all earned together, so a
//! cycle of weights 5/1/1 is `a a b a c a a` and never a run of one. Here peers earn shares of one
//! call instead of weights. A credit then means the same whatever the weights and whichever
//! instances are left out, so changes of the set need no restart, which would favour the first or
//! the heaviest.
//!
//! By load and latency, the instance whose turn it is is compared with another one, drawn by
//! weight, and is passed over if a call there would cost much less ([`Load::score`]). Two choices
//! are nearly as good as the best, without sending all calls to the best at once (M. Mitzenmacher,
//! "The Power of Two Choices", 2001). Where both are far slower than the fastest, a third is drawn:
//! of ten instances with two slow ones, every 45th call would have the choice between those. The
//! turn is spent either way, so a slow instance is owed no burst.

use std::time::{Duration, Instant};

use super::breaker::Settings;
use super::ejection::Ejection;
use super::extension::Instance;
use super::ids::InstanceId;
use super::load::{InFlight, Load, Score};
use super::rest::Rest;

/// One call, in units of credit. A share is rounded down by less than one unit: after 2^40 calls an
/// instance is less than one call off its exact share. Equal shares are rounded equally.
const CALL: i64 = 1 << 40;

/// Whose turn it is gets the call, unless it costs this many times what the other one does.
const MUCH_WORSE: f64 = 1.25;
/// If the calls of the chosen one take this many times as long as the fastest one's, another one is
/// drawn.
const FAR_WORSE: f64 = 4.0;
/// A failure that was fast counts as this many times what the others' calls take.
const SLOWNESS_OF_FAILURES: f64 = 10.0;

/// The turn of each instance of one version. Memory is bounded by the number of instances.
#[derive(Debug, Clone, Default)]
pub struct Balancer {
    peers: Vec<Peer>,
    /// The one of the version's own subject, where there are no instances.
    own: Rest,
}

#[derive(Debug, Clone)]
struct Peer {
    id: InstanceId,
    /// What it is owed: calls it should have had less calls it got, in units of [`CALL`].
    credit: i64,
    /// The instance's weight, if it may get the call that is about to be given; else 0.
    weight: u8,
    ejection: Ejection,
    rest: Rest,
    load: Load,
}

/// How much of the load and latency of instances counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Balance {
    /// Turns that are exact in proportion to the weights, whatever happens.
    Weighted,
    /// Of two the one that costs less.
    #[default]
    Adaptive,
}

/// Where earlier attempts of a call went.
#[derive(Debug, Clone, Copy, Default)]
pub struct Past<'a> {
    /// To these it does not go again.
    pub barred: &'a [InstanceId],
    /// To these only if no other is left.
    pub tried: &'a [InstanceId],
}

/// Where a call goes.
#[derive(Debug)]
pub struct Pick<'a> {
    /// The instance; without any, the version's own subject.
    pub instance: Option<&'a Instance>,
    /// To be kept while the call is under way there.
    pub in_flight: Option<InFlight>,
    /// Whether this is the one call that tries what has rested; [`Rest::left`] ends that.
    pub tries: bool,
}

/// A call may go nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nobody {
    /// When the first that rests is back; `None` where the call has been everywhere else.
    pub until: Option<Instant>,
}

impl Balancer {
    /// Picks among `instances`, the version's as the catalog has them now. `other`, a random number,
    /// draws the instance that is held against the one whose turn it is; without it, none is.
    ///
    /// Resting instances are left out. Ejected ones are left out, unless all others are. Of these,
    /// the instances that earlier attempts of this call went to are left out, unless all were
    /// tried.
    ///
    /// # Errors
    /// All that could serve rest, or are barred.
    pub fn pick<'a, I>(
        &mut self,
        instances: I,
        past: Past<'_>,
        other: Option<u32>,
        now: Instant,
    ) -> Result<Pick<'a>, Nobody>
    where
        I: Iterator<Item = &'a Instance> + Clone,
    {
        let instances = instances.filter(|instance| instance.serves());
        self.follow(instances.clone());
        if self.peers.is_empty() {
            return match self.own.refuses(now) {
                until @ Some(_) => Err(Nobody { until }),
                None => Ok(Pick {
                    instance: None,
                    in_flight: None,
                    tries: self.own.enter(),
                }),
            };
        }

        let fit = |peer: &Peer| peer.rest.refuses(now).is_none() && !past.barred.contains(&peer.id);
        let all_ejected = self.peers.iter().all(|p| p.is_ejected(now) || !fit(p));
        let standing = |peer: &Peer| fit(peer) && (all_ejected || !peer.is_ejected(now));
        let untried = |peer: &Peer| !past.tried.contains(&peer.id);
        let another_left = self.peers.iter().any(|p| standing(p) && untried(p));
        let eligible = |peer: &Peer| standing(peer) && (untried(peer) || !another_left);

        let mut field = Field::default();
        for (peer, instance) in self.peers.iter_mut().zip(instances.clone()) {
            peer.weight = if eligible(peer) { instance.weight } else { 0 };
            field.add(peer);
        }
        let Some(turn) = self.turn(&field, now) else {
            let rests = self.peers.iter().filter_map(|peer| peer.rest.refuses(now));
            return Err(Nobody { until: rests.min() });
        };
        let better = other.and_then(|other| field.better(turn, &self.peers, other, now));
        let at = better.unwrap_or(turn);
        let picked = self.peers.get_mut(at).zip(instances.clone().nth(at));
        let (peer, instance) = picked.ok_or(Nobody { until: None })?;
        Ok(Pick {
            instance: Some(instance),
            in_flight: Some(peer.load.enter()),
            tries: peer.rest.enter(),
        })
    }

    /// Gives the turn to the instance whose turn it is, of those with a weight.
    fn turn(&mut self, field: &Field, now: Instant) -> Option<usize> {
        let mean = field.mean_seconds();
        let (mut earned, mut turn, mut most) = (0, None, i64::MIN);
        for (at, peer) in self.peers.iter_mut().enumerate() {
            if peer.weight == 0 {
                continue;
            }
            let share = i64::from(peer.weight) * CALL / field.weight;
            peer.credit += share;
            earned += share;
            if peer.credit > most {
                (turn, most) = (Some(at), peer.credit);
            }
            if let Some(mean) = mean {
                peer.load.begin(mean, now);
            }
        }
        self.peers.get_mut(turn?)?.credit -= earned;
        turn
    }

    /// An attempt at `id` that began at `begun` succeeded.
    pub fn succeeded(&mut self, id: &InstanceId, begun: Instant) {
        if let Some(peer) = self.peer(id) {
            peer.ejection.succeeded(begun);
        }
    }

    /// An attempt at `id` that began at `begun` failed at `now`; true when this ejects it.
    pub fn failed(
        &mut self,
        id: &InstanceId,
        begun: Instant,
        now: Instant,
        settings: &Settings,
    ) -> bool {
        self.peer(id)
            .is_some_and(|peer| peer.ejection.failed(begun, now, settings))
    }

    /// What attempts at an instance show of its load; `None` where it is gone.
    pub fn load(&mut self, id: &InstanceId) -> Option<&mut Load> {
        self.peer(id).map(|peer| &mut peer.load)
    }

    /// An attempt at `id` was pushed back or failed `latency` after its begin: however soon that
    /// was, it counts as slow, but as no slower than `longest`.
    pub fn disappointed(
        &mut self,
        id: &InstanceId,
        latency: Duration,
        longest: Duration,
        now: Instant,
    ) {
        let others = self.peers.iter().filter(|peer| peer.id != *id);
        let seconds = others.filter_map(|peer| peer.load.seconds());
        let (count, sum) = seconds.fold((0u32, 0.0), |(count, sum), each| (count + 1, sum + each));
        let mean = sum / f64::from(count.max(1));
        let slow = Duration::try_from_secs_f64(mean * SLOWNESS_OF_FAILURES).unwrap_or(longest);
        if let Some(peer) = self.peer(id) {
            peer.load.took(latency.max(slow.min(longest)), now);
        }
    }

    /// The rest of an instance, or of the version's own subject; `None` where the instance is gone.
    pub fn rest(&mut self, instance: Option<&InstanceId>) -> Option<&mut Rest> {
        match instance {
            Some(id) => self.peer(id).map(|peer| &mut peer.rest),
            None => Some(&mut self.own),
        }
    }

    /// What rests at `now`, and until when: instances, or, without a name, the version's own
    /// subject.
    pub fn resting(&self, now: Instant) -> impl Iterator<Item = (Option<&InstanceId>, Instant)> {
        let own = Some(&self.own).filter(|_| self.peers.is_empty());
        let own = own.map(|rest| (None, rest));
        let peers = self.peers.iter().map(|peer| (Some(&peer.id), &peer.rest));
        let all = own.into_iter().chain(peers);
        all.filter_map(move |(id, rest)| Some((id, rest.resting(now)?)))
    }

    /// The instances that are out at `now`, and when each comes back.
    pub fn ejected(&self, now: Instant) -> impl Iterator<Item = (&InstanceId, Instant)> {
        let peers = self.peers.iter();
        peers.filter_map(move |peer| Some((&peer.id, peer.ejection.until(now)?)))
    }

    fn peer(&mut self, id: &InstanceId) -> Option<&mut Peer> {
        self.peers.iter_mut().find(|peer| peer.id == *id)
    }

    /// Makes the peers match `instances`, in their order. Instances that stay keep credit and
    /// ejection.
    fn follow<'a>(&mut self, instances: impl Iterator<Item = &'a Instance> + Clone) {
        let known = self.peers.iter().map(|peer| &peer.id);
        if known.eq(instances.clone().map(|instance| &instance.instance_id)) {
            return;
        }
        let mut leaving = std::mem::take(&mut self.peers);
        let mut newcomers = Vec::new();
        for instance in instances {
            let id = &instance.instance_id;
            match leaving.iter().position(|peer| peer.id == *id) {
                Some(at) => self.peers.push(leaving.swap_remove(at)),
                None => {
                    newcomers.push(self.peers.len());
                    self.peers.push(Peer {
                        id: id.clone(),
                        credit: 0,
                        weight: 0,
                        ejection: Ejection::default(),
                        rest: Rest::default(),
                        load: Load::default(),
                    });
                }
            }
        }
        self.settle(&newcomers);
    }

    /// Spreads the credits of removed instances over the remaining ones, so that credits sum to
    /// zero again and a new instance, which starts at zero, is neither ahead nor behind.
    fn settle(&mut self, newcomers: &[usize]) {
        let stayed = self.peers.len() - newcomers.len();
        let sum: i64 = self.peers.iter().map(|peer| peer.credit).sum();
        let Ok(Some(each)) = i64::try_from(stayed).map(|stayed| sum.checked_div(stayed)) else {
            return;
        };
        for (at, peer) in self.peers.iter_mut().enumerate() {
            if !newcomers.contains(&at) {
                peer.credit -= each;
            }
        }
    }
}

/// The instances that a call may go to, together.
#[derive(Debug, Default)]
struct Field {
    weight: i64,
    count: u32,
    /// The number of them that have a latency; their sum, in seconds, and the least.
    known: u32,
    seconds: f64,
    least: Option<f64>,
}

impl Field {
    fn add(&mut self, peer: &Peer) {
        if peer.weight == 0 {
            return;
        }
        self.weight += i64::from(peer.weight);
        self.count += 1;
        if let Some(seconds) = peer.load.seconds() {
            self.known += 1;
            self.seconds += seconds;
            self.least = Some(self.least.map_or(seconds, |least| least.min(seconds)));
        }
    }

    fn mean_seconds(&self) -> Option<f64> {
        (self.known > 0).then(|| self.seconds / f64::from(self.known))
    }

    /// The instance that gets the call instead of `turn`, if any.
    fn better(&self, turn: usize, peers: &[Peer], other: u32, now: Instant) -> Option<usize> {
        let peer = peers.get(turn)?;
        // After a rest, it is tried: to be left alone was what push-back costs.
        if peer.rest.has_been() {
            return None;
        }
        let others = self.weight - i64::from(peer.weight);
        let (mut chosen, mut score) = (turn, self.score(peer, now));
        // Another draw, where two were drawn by chance that are both slow.
        for drawn in [other, other.rotate_left(16)] {
            let mut left = i64::from(drawn).checked_rem(others)?;
            let (at, peer) = peers.iter().enumerate().find(|(at, peer)| {
                if *at != turn {
                    left -= i64::from(peer.weight);
                }
                left < 0
            })?;
            let its = self.score(peer, now);
            if score.cost > its.cost * MUCH_WORSE {
                (chosen, score) = (at, its);
            }
            if score.latency <= self.least() * FAR_WORSE {
                break;
            }
        }
        (chosen != turn).then_some(chosen)
    }

    /// What the calls of the fastest take, in seconds: where none has a latency, all have the same.
    fn least(&self) -> f64 {
        self.least.unwrap_or(1.0)
    }

    #[expect(clippy::cast_precision_loss, reason = "fewer than 2^53 instances")]
    fn score(&self, peer: &Peer, now: Instant) -> Score {
        let mean_weight = self.weight as f64 / f64::from(self.count.max(1));
        let scale = mean_weight / f64::from(peer.weight.max(1));
        peer.load.score(scale, self.least(), now)
    }
}

impl Peer {
    fn is_ejected(&self, now: Instant) -> bool {
        self.ejection.until(now).is_some()
    }
}

#[cfg(test)]
#[path = "balancer_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "balancer_load_tests.rs"]
mod load_tests;

//! Which instance of a version gets the next call: smooth weighted round robin.
//!
//! The algorithm is nginx's (`ngx_http_upstream_get_peer`, commit 52327e0627f4, 2012): with each
//! pick every peer earns its weight, the richest is picked and pays what all earned together, so a
//! cycle of weights 5/1/1 is `a a b a c a a` and never a run of one. Here peers earn shares of one
//! call instead of weights. A credit then means the same whatever the weights and whoever is left
//! out, so changes of the set need no restart, which would favour the first or the heaviest.

use std::time::Instant;

use super::ejection::{Ejection, EjectionSettings};
use super::extension::Instance;
use super::ids::InstanceId;
use super::rest::Rest;

/// One call, in units of credit. A share is rounded down by less than one unit: after 2^40 calls an
/// instance is less than one call off its exact share. Equal shares are rounded equally.
const CALL: i64 = 1 << 40;

/// The turn of each instance of one version. Memory is bounded by the number of instances.
#[derive(Debug, Clone, Default)]
pub struct Balancer {
    peers: Vec<Peer>,
    /// That of the version's own subject, where there are no instances.
    own: Rest,
}

#[derive(Debug, Clone)]
struct Peer {
    id: InstanceId,
    /// What it is owed: calls it should have had less calls it got, in units of [`CALL`].
    credit: i64,
    ejection: Ejection,
    rest: Rest,
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
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pick<'a> {
    /// The instance; without any, the version's own subject.
    pub instance: Option<&'a Instance>,
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
    /// Picks among `instances`, the version's as the catalog has them now.
    ///
    /// Who rests is left out. Ejected ones are left out, unless all others are. Of these, the
    /// instances that earlier attempts of this call went to are left out, unless all were tried.
    ///
    /// # Errors
    /// All that could serve rest, or are barred.
    pub fn pick<'a, I>(
        &mut self,
        instances: I,
        past: Past<'_>,
        now: Instant,
    ) -> Result<Pick<'a>, Nobody>
    where
        I: Iterator<Item = &'a Instance> + Clone,
    {
        let instances = instances.filter(|instance| instance.serves());
        self.follow(instances.clone());
        if self.peers.is_empty() {
            return self.own_subject(now);
        }

        let fit = |peer: &Peer| peer.rest.refuses(now).is_none() && !past.barred.contains(&peer.id);
        let all_ejected = self.peers.iter().all(|p| p.is_ejected(now) || !fit(p));
        let standing = |peer: &Peer| fit(peer) && (all_ejected || !peer.is_ejected(now));
        let untried = |peer: &Peer| !past.tried.contains(&peer.id);
        let another_left = self.peers.iter().any(|p| standing(p) && untried(p));
        let eligible = |peer: &Peer| standing(peer) && (untried(peer) || !another_left);

        let total: i64 = self
            .peers
            .iter()
            .zip(instances.clone())
            .filter(|(peer, _)| eligible(peer))
            .map(|(_, instance)| i64::from(instance.weight))
            .sum();
        let mut earned = 0;
        let mut richest: Option<(&mut Peer, &Instance)> = None;
        for (peer, instance) in self.peers.iter_mut().zip(instances) {
            if !eligible(peer) {
                continue;
            }
            let share = i64::from(instance.weight) * CALL / total;
            peer.credit += share;
            earned += share;
            if richest.as_ref().is_none_or(|(r, _)| peer.credit > r.credit) {
                richest = Some((peer, instance));
            }
        }
        let Some((peer, instance)) = richest else {
            let rests = self.peers.iter().filter_map(|peer| peer.rest.refuses(now));
            return Err(Nobody { until: rests.min() });
        };
        peer.credit -= earned;
        Ok(Pick {
            instance: Some(instance),
            tries: peer.rest.enter(),
        })
    }

    fn own_subject<'a>(&mut self, now: Instant) -> Result<Pick<'a>, Nobody> {
        match self.own.refuses(now) {
            until @ Some(_) => Err(Nobody { until }),
            None => Ok(Pick {
                instance: None,
                tries: self.own.enter(),
            }),
        }
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
        settings: &EjectionSettings,
    ) -> bool {
        self.peer(id)
            .is_some_and(|peer| peer.ejection.failed(begun, now, settings))
    }

    /// The rest of an instance, or of the version's own subject; `None` where the instance is gone.
    pub fn rest(&mut self, instance: Option<&InstanceId>) -> Option<&mut Rest> {
        match instance {
            Some(id) => self.peer(id).map(|peer| &mut peer.rest),
            None => Some(&mut self.own),
        }
    }

    /// Who rests at `now`, and until when: instances, or, without a name, the version's own subject.
    pub fn resting(&self, now: Instant) -> impl Iterator<Item = (Option<&InstanceId>, Instant)> {
        let own = Some(&self.own).filter(|_| self.peers.is_empty());
        let own = own.map(|rest| (None, rest));
        let peers = self.peers.iter().map(|peer| (Some(&peer.id), &peer.rest));
        let all = own.into_iter().chain(peers);
        all.filter_map(move |(id, rest)| Some((id, rest.resting(now)?)))
    }

    /// The instances that are out at `now`, and when each comes back.
    pub fn ejected(&self, now: Instant) -> impl Iterator<Item = (&InstanceId, Instant)> {
        self.peers
            .iter()
            .filter_map(move |peer| Some((&peer.id, peer.ejection.until(now)?)))
    }

    fn peer(&mut self, id: &InstanceId) -> Option<&mut Peer> {
        self.peers.iter_mut().find(|peer| peer.id == *id)
    }

    /// Makes the peers those of `instances`, in their order. Who stays keeps credit and ejection.
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
                    self.peers.push(Peer::new(id.clone()));
                }
            }
        }
        self.settle(&newcomers);
    }

    /// Spreads what leavers were owed over who stayed, so that credits sum up to nothing again and
    /// a newcomer, who starts at nothing, is neither ahead nor behind.
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

impl Peer {
    fn new(id: InstanceId) -> Self {
        Self {
            id,
            credit: 0,
            ejection: Ejection::default(),
            rest: Rest::default(),
        }
    }

    fn is_ejected(&self, now: Instant) -> bool {
        self.ejection.until(now).is_some()
    }
}

#[cfg(test)]
#[path = "balancer_tests.rs"]
mod tests;

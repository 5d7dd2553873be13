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

/// One call, in units of credit. A share is rounded down by less than one unit: after 2^40 calls an
/// instance is less than one call off its exact share. Equal shares are rounded equally.
const CALL: i64 = 1 << 40;

/// The turn of each instance of one version. Memory is bounded by the number of instances.
#[derive(Debug, Clone, Default)]
pub struct Balancer {
    peers: Vec<Peer>,
}

#[derive(Debug, Clone)]
struct Peer {
    id: InstanceId,
    /// What it is owed: calls it should have had less calls it got, in units of [`CALL`].
    credit: i64,
    ejection: Ejection,
}

impl Balancer {
    /// Picks among `instances`, the version's as the catalog has them now; `None` without any.
    ///
    /// Ejected ones are left out, unless all are. Of the others those in `tried`, the instances
    /// that earlier attempts of this call went to, are left out, unless all were tried.
    pub fn pick<'a, I>(
        &mut self,
        instances: I,
        tried: &[InstanceId],
        now: Instant,
    ) -> Option<&'a Instance>
    where
        I: Iterator<Item = &'a Instance> + Clone,
    {
        let instances = instances.filter(|instance| instance.serves());
        self.follow(instances.clone());

        let all_ejected = self.peers.iter().all(|peer| peer.is_ejected(now));
        let standing = |peer: &Peer| all_ejected || !peer.is_ejected(now);
        let untried = |peer: &Peer| !tried.contains(&peer.id);
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
        let (peer, instance) = richest?;
        peer.credit -= earned;
        Some(instance)
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
        }
    }

    fn is_ejected(&self, now: Instant) -> bool {
        self.ejection.until(now).is_some()
    }
}

#[cfg(test)]
#[path = "balancer_tests.rs"]
mod tests;

//! Which instances rest, and which are ejected, for display.

use std::time::Instant;

use super::runtime::{Runtime, Runtimes};
use crate::domain::balancer::Balancer;
use crate::domain::extension::Incarnation;
use crate::domain::ids::{ExtensionId, InstanceId, VersionName};
use crate::domain::routing::Resolved;

/// An instance that rests, or, without one, a version that has none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resting {
    /// The instance.
    pub instance: Option<InstanceId>,
    /// When calls go there again.
    pub until: Instant,
}

/// An extension: by its id, and which of it, where that is known.
type Of<'a> = (&'a ExtensionId, Option<Incarnation>);

impl Runtimes {
    /// What rests of a version now.
    pub fn resting(&self, of: Of<'_>, version: &VersionName) -> Vec<Resting> {
        let read = |balancer: &Balancer| {
            let resting = balancer.resting(Instant::now());
            let resting = resting.map(|(instance, until)| Resting {
                instance: instance.cloned(),
                until,
            });
            resting.collect()
        };
        self.balanced(of, version, read).unwrap_or_default()
    }

    /// Which instances of a version are ejected now, and until when.
    pub fn ejected(&self, of: Of<'_>, version: &VersionName) -> Vec<(InstanceId, Instant)> {
        let read = |balancer: &Balancer| {
            let ejected = balancer.ejected(Instant::now());
            ejected.map(|(id, until)| (id.clone(), until)).collect()
        };
        self.balanced(of, version, read).unwrap_or_default()
    }

    fn balanced<T>(
        &self,
        (id, incarnation): Of<'_>,
        version: &VersionName,
        read: impl FnOnce(&Balancer) -> T,
    ) -> Option<T> {
        let runtime = self.get(id.as_str())?;
        let both = runtime.whose.incarnation().zip(incarnation);
        if both.is_some_and(|(own, asked)| own != asked) {
            return None;
        }
        let setup = runtime.current_setup();
        let balancer = setup.balancer(version)?;
        Some(read(&balancer))
    }
}

impl Runtime {
    /// Until when a version rests: all its instances do, or, without any, its own subject.
    pub fn rests_until(&self, resolved: &Resolved<'_>, now: Instant) -> Option<Instant> {
        let setup = self.current_setup();
        let balancer = setup.balancer(resolved.version)?;
        let of = |wanted: Option<&InstanceId>| {
            let mut resting = balancer.resting(now);
            resting.find_map(|(instance, until)| (instance == wanted).then_some(until))
        };
        balancer.resting(now).next()?;
        let mut instances = resolved.instances().peekable();
        if instances.peek().is_none() {
            return of(None);
        }
        let resting = instances.map(|instance| of(Some(&instance.instance_id)));
        resting.collect::<Option<Vec<_>>>()?.into_iter().min()
    }
}

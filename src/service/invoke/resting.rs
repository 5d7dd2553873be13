//! Who is left alone, for whoever shows it.

use std::time::{Instant, SystemTime};

use super::runtime::{Runtime, Runtimes};
use crate::domain::ids::{ExtensionId, InstanceId, VersionName};
use crate::service::clock::Clock;

/// An instance that rests, or, without one, a version that has none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resting {
    /// The instance.
    pub instance: Option<InstanceId>,
    /// When calls go there again, by the wall clock.
    pub until: SystemTime,
}

impl Runtimes {
    /// Who of a version rests now.
    pub fn resting(&self, id: &ExtensionId, version: &VersionName, clock: &Clock) -> Vec<Resting> {
        let runtime = self.get(id.as_str());
        runtime.map_or_else(Vec::new, |runtime| resting(&runtime, version, clock))
    }
}

fn resting(runtime: &Runtime, version: &VersionName, clock: &Clock) -> Vec<Resting> {
    let setup = runtime.current_setup();
    let Some(balancer) = setup.balancer(version) else {
        return Vec::new();
    };
    let resting = balancer.resting(Instant::now());
    let resting = resting.map(|(instance, until)| Resting {
        instance: instance.cloned(),
        until: clock.wall_of(until),
    });
    resting.collect()
}

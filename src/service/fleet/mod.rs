//! This sidecar as one of many: what the others counted, and what applies to all.
//!
//! [`Keeper`] exchanges health with the store, [`OverrideKeeper`] keeps circuits as operators want
//! them. [`switch`] disables what fails, [`probe`] enables it again, [`halt`] ends rollouts that
//! fail, [`changes`] publishes events; [`link`] says when this sidecar may not judge. Nothing here
//! is in the path of a call, and calls go on without the store for as long as it is unreachable.

mod alive;
pub mod changes;
pub mod halt;
mod figures;
mod held;
mod keeper;
mod overrides;
mod spot;
#[cfg(test)]
mod testing;
mod totals;
pub mod link;
pub mod openings;
pub mod probe;
pub mod switch;

pub use alive::Alive;
pub use figures::FleetFigures;
pub use keeper::Keeper;
pub use overrides::{Order, OverrideHandle, OverrideKeeper, OverrideQueue, orders};
pub use spot::Spot;

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::boundary::survived_now;
use super::invoke::Tools;
use super::pauses::growing;

/// Looks every now and then whether all circuits are quiet again, until `stop`.
pub async fn keep_calm(tools: Tools, interval: Duration, stop: CancellationToken) {
    let looking = async {
        loop {
            tokio::time::sleep(jittered(interval)).await;
            survived_now(&tools.observers, || {
                for moved in tools.circuits.calm(tools.clock.tick()) {
                    tools.tell(moved);
                }
            });
        }
    };
    stop.run_until_cancelled(looking).await;
}

/// How long to wait before the database is asked again.
fn pauses() -> backon::ExponentialBackoff {
    growing(Duration::from_millis(200), Duration::from_secs(10))
}

/// Up to a tenth shorter or longer, so that sidecars that started together drift apart.
fn jittered(interval: Duration) -> Duration {
    interval.mul_f64(rand::random_range(0.9..1.1))
}

//! Reports periodically the health of all extensions.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;

use super::Health;
use crate::service::boundary::survived_now;
use crate::service::observe::{Observation, Observers};
use crate::service::progress::Progress;

/// Observes a summary each `interval`, from the first data on, until `stop` is cancelled.
pub async fn tell_summaries(
    health: Arc<Health>,
    progress: Progress,
    interval: Duration,
    observers: Observers,
    stop: CancellationToken,
) {
    let telling = async {
        progress.first_load().await;
        let mut ticks = interval_at(Instant::now() + interval, interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if let Some(summary) = survived_now(&observers, || health.summary()) {
                observers.observe(&Observation::HealthSummary(summary));
            }
        }
    };
    stop.run_until_cancelled(telling).await;
}

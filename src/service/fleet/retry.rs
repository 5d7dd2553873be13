//! How long to wait before the database is asked again.

use std::time::Duration;

use backon::BackoffBuilder;

const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// The longest pause, before jitter.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Growing, jittered pauses without end.
pub(super) fn pauses() -> impl Iterator<Item = Duration> + Send {
    backon::ExponentialBuilder::new()
        .with_min_delay(FIRST_PAUSE)
        .with_max_delay(LONGEST_PAUSE)
        .without_max_times()
        .with_jitter()
        .build()
}

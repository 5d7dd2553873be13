//! Pauses between attempts at what fails.

use std::time::Duration;

use backon::BackoffBuilder;

/// Growing, jittered pauses without end; `longest` is before jitter.
pub fn growing(first: Duration, longest: Duration) -> backon::ExponentialBackoff {
    backon::ExponentialBuilder::new()
        .with_min_delay(first)
        .with_max_delay(longest)
        .without_max_times()
        .with_jitter()
        .build()
}

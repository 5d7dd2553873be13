//! When a failing version's share is set to 0: section 4.4 of the contract.

use super::health::Counts;
use super::rollout::Halt;

/// The standard normal quantile of a two-sided interval of 99.9 %: of a thousand versions that fail as
/// often as the current one, judged once, about one is taken for worse; the difference that is
/// allowed comes on top.
const Z: f64 = 3.290_526_731_491_895;

/// The outcomes of the attempts of a version and of the current one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Comparison {
    /// Of the version with a share.
    pub version: Counts,
    /// Of the current version, in the same time.
    pub current: Counts,
}

impl Comparison {
    /// Whether the version's failure rate exceeds the current one's by more than `halt` allows. A
    /// current version without calls, as at a share of 100 percent, counts as never failing.
    pub fn halts(&self, halt: &Halt) -> bool {
        let enough = self.version.total() >= halt.min_requests.max(1);
        let allowed = failure_rate(self.current).unwrap_or(0.0) + halt.max_failure_rate_delta;
        enough && least_failure_rate(self.version).is_some_and(|rate| rate > allowed)
    }
}

/// Failures per attempt; `None` without any.
pub fn failure_rate(counts: Counts) -> Option<f64> {
    counts.success_rate().map(|rate| 1.0 - rate)
}

/// The lower end of the 99.9 % Wilson interval of the failure rate; `None` without attempts.
#[expect(
    clippy::cast_precision_loss,
    reason = "a ratio needs no more than 53 bits"
)]
pub fn least_failure_rate(counts: Counts) -> Option<f64> {
    let rate = failure_rate(counts)?;
    if counts.failures == 0 {
        // Exactly: the rounded difference below may exceed an allowance of 0.
        return Some(0.0);
    }
    let n = counts.total() as f64;
    let z2 = Z * Z;
    let center = rate + z2 / (2.0 * n);
    let spread = Z * (rate * (1.0 - rate) / n + z2 / (4.0 * n * n)).sqrt();
    Some(((center - spread) / (1.0 + z2 / n)).max(0.0))
}

#[cfg(test)]
#[path = "halting_tests.rs"]
mod tests;

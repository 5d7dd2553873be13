//! The sidecars there are: what many do at once is spread over time.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::domain::lock::locked;
use crate::service::health_store::Sidecars;

/// Up to this many sidecars, each acts as it would alone.
pub(super) const FEW: u64 = 50;
/// How long each of many gathers notifications before it looks: they reach all of them at once.
const GATHERING: [Duration; 2] = [Duration::from_millis(20), Duration::from_millis(50)];
/// This many sidecars look within that time; of more, each waits longer in proportion.
const AT_ONCE: u64 = 200;
/// The longest that it waits, however many there are.
const GATHERED: Duration = Duration::from_millis(500);
/// About how long it takes until one of many sidecars begins what one has to do for all.
const FIRST: Duration = Duration::from_millis(10);
/// However many there are, each has its turn within this time.
const LONGEST: Duration = Duration::from_secs(20);

/// The sidecars that started or flushed lately, ours included, as last counted; none before that.
#[derive(Debug, Clone, Default)]
pub struct Alive(Arc<Mutex<Arc<Sidecars>>>);

impl Alive {
    /// Replaces them by the ones just counted.
    pub fn counted(&self, sidecars: Sidecars) {
        *locked(&self.0) = Arc::new(sidecars);
    }

    /// The sidecars.
    pub fn sidecars(&self) -> Arc<Sidecars> {
        Arc::clone(&locked(&self.0))
    }

    /// How many there are.
    pub(super) fn total(&self) -> u64 {
        self.sidecars().total
    }

    /// How long to gather notifications before a look; not at all among few.
    pub fn gathering(&self) -> Option<Duration> {
        let sidecars = self.total();
        let times = u32::try_from(sidecars.div_ceil(AT_ONCE)).unwrap_or(u32::MAX);
        let [least, most] = GATHERING.map(|it| it.saturating_mul(times));
        let most = most.min(GATHERED);
        let least = least.min(most.mul_f64(0.4));
        (sidecars > FEW).then(|| rand::random_range(least..most))
    }

    /// How long to wait before doing what only one of all has to do; not at all among few.
    pub(super) fn turn(&self) -> Option<Duration> {
        let sidecars = u32::try_from(self.total()).unwrap_or(u32::MAX);
        let all = FIRST.saturating_mul(sidecars).min(LONGEST);
        (self.total() > FEW).then(|| rand::random_range(Duration::ZERO..all))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_many_wait_for_each_other() {
        let alive = Alive::default();
        let counted = |total| {
            alive.counted(Sidecars {
                total,
                ..Sidecars::default()
            });
        };
        for few in [0, 1, 50] {
            counted(few);
            assert_eq!((alive.gathering(), alive.turn()), (None, None), "{few}");
        }
        counted(51);
        for _ in 0..1000 {
            let gathering = alive.gathering().unwrap();
            assert!(gathering >= GATHERING[0] && gathering < GATHERING[1]);
            assert!(alive.turn().unwrap() < Duration::from_millis(510));
        }
        counted(1000);
        let gathering = alive.gathering().unwrap();
        assert!(gathering >= 5 * GATHERING[0] && gathering < 5 * GATHERING[1]);
        counted(u64::MAX);
        assert!(alive.turn().unwrap() < LONGEST);
        let mut gathering: Vec<_> = (0..100).map(|_| alive.gathering().unwrap()).collect();
        gathering.sort();
        assert!(
            gathering[99] <= GATHERED && gathering[0] < gathering[50],
            "spread"
        );
    }
}

//! Logs a repeated thing once, then seldom: an unreachable database must not fill the log.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::domain::lock::locked;

/// How often something that repeats is logged again.
pub(super) const PERIOD: Duration = Duration::from_secs(30);
/// How many keys are kept apart; a bound, as keys may come from outside.
const MAX_KEYS: usize = 256;

/// What was logged, and how often it happened since.
#[derive(Debug)]
pub(super) struct Repeats<K>(Mutex<HashMap<K, Said>>);

#[derive(Debug)]
struct Said {
    at: Instant,
    silent: u64,
}

impl<K> Default for Repeats<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Hash + Eq> Repeats<K> {
    /// Whether `key` should be logged at `now`; if so, how often it happened unlogged before.
    pub(super) fn say(&self, key: K, now: Instant) -> Option<u64> {
        let mut said = locked(&self.0);
        if said.len() >= MAX_KEYS && !said.contains_key(&key) {
            said.clear();
        }
        match said.get_mut(&key) {
            None => {
                said.insert(key, Said { at: now, silent: 0 });
                Some(0)
            }
            Some(last) if now.duration_since(last.at) < PERIOD => {
                last.silent += 1;
                None
            }
            Some(last) => {
                let silent = std::mem::take(&mut last.silent);
                last.at = now;
                Some(silent)
            }
        }
    }

    /// Whether `key` was never seen before; no once there are too many.
    pub(super) fn first(&self, key: K, now: Instant) -> bool {
        let mut said = locked(&self.0);
        if said.len() >= MAX_KEYS {
            return false;
        }
        said.insert(key, Said { at: now, silent: 0 }).is_none()
    }

    /// Forgets everything: what comes next is logged at once.
    pub(super) fn clear(&self) {
        locked(&self.0).clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_the_first_and_then_one_per_period_with_a_count() {
        let repeats = Repeats::default();
        let start = Instant::now();
        assert_eq!(repeats.say("a", start), Some(0));
        for n in 1..30 {
            assert_eq!(repeats.say("a", start + Duration::from_secs(n)), None);
        }
        assert_eq!(repeats.say("b", start), Some(0));
        assert_eq!(repeats.say("a", start + PERIOD), Some(29));
        assert_eq!(repeats.say("a", start + PERIOD), None);
        repeats.clear();
        assert_eq!(repeats.say("a", start + PERIOD), Some(0));
    }

    #[test]
    fn the_number_of_keys_is_bounded() {
        let repeats = Repeats::default();
        let now = Instant::now();
        let said = (0..1000).filter(|key| repeats.first(*key, now)).count();
        assert_eq!(said, MAX_KEYS);
    }
}

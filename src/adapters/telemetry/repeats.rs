//! Logs a repeated thing once, then seldom: an unreachable database must not fill the log.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::domain::lock::locked;

/// How often something that repeats is logged again.
pub(super) const PERIOD: Duration = Duration::from_secs(30);
/// How many keys are kept apart, and how many lines they may make in a period; a bound, as keys may
/// come from outside.
const MAX_KEYS: usize = 256;

/// What was logged, and how often it happened since.
#[derive(Debug)]
pub(super) struct Repeats<K>(Mutex<Kept<K>>);

#[derive(Debug)]
struct Kept<K> {
    said: HashMap<K, Said>,
    /// What happened unlogged of keys that are not kept.
    others: u64,
}

#[derive(Debug)]
struct Said {
    at: Instant,
    silent: u64,
}

impl<K> Default for Repeats<K> {
    fn default() -> Self {
        Self(Mutex::new(Kept {
            said: HashMap::new(),
            others: 0,
        }))
    }
}

impl<K: Hash + Eq> Repeats<K> {
    /// Whether `key` should be logged at `now`; if so, how often it happened unlogged before, keys
    /// that were too many to be kept included.
    pub(super) fn say(&self, key: K, now: Instant) -> Option<u64> {
        let mut kept = locked(&self.0);
        if kept.said.len() >= MAX_KEYS && !kept.said.contains_key(&key) {
            kept.forget_the_old(now);
            if kept.said.len() >= MAX_KEYS {
                kept.others += 1;
                return None;
            }
        }
        let silent = match kept.said.get_mut(&key) {
            None => {
                kept.said.insert(key, Said { at: now, silent: 0 });
                0
            }
            Some(last) if now.duration_since(last.at) < PERIOD => {
                last.silent += 1;
                return None;
            }
            Some(last) => {
                last.at = now;
                std::mem::take(&mut last.silent)
            }
        };
        Some(silent + std::mem::take(&mut kept.others))
    }

    /// Whether `key` was never seen before; no once there are too many.
    pub(super) fn first(&self, key: K, now: Instant) -> bool {
        let mut kept = locked(&self.0);
        if kept.said.len() >= MAX_KEYS {
            return false;
        }
        let said = Said { at: now, silent: 0 };
        kept.said.insert(key, said).is_none()
    }

    /// Forgets everything: what comes next is logged at once.
    pub(super) fn clear(&self) {
        let mut kept = locked(&self.0);
        kept.said.clear();
        kept.others = 0;
    }
}

impl<K: Hash + Eq> Kept<K> {
    /// Makes room: what was last logged a period ago is logged again anyway.
    fn forget_the_old(&mut self, now: Instant) {
        let others = &mut self.others;
        self.said.retain(|_, said| {
            let is_recent = now.duration_since(said.at) < PERIOD;
            if !is_recent {
                *others += said.silent;
            }
            is_recent
        });
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
    /// A notice may name another subject each time.
    #[test]
    fn keys_that_are_another_one_each_time_do_not_fill_the_log() {
        let repeats = Repeats::default();
        let start = Instant::now();
        let said = (0..1000).filter_map(|key| repeats.say(key, start));
        assert_eq!(said.collect::<Vec<_>>(), [0; MAX_KEYS]);
        assert_eq!(repeats.say(0, start), None);
        let later = start + PERIOD;
        assert_eq!(repeats.say(1000, later), Some(745), "and the one of key 0");
        assert_eq!(repeats.say(1, later), Some(0));
    }
}

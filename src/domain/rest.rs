//! Rest of one instance, or of a version without instances, after push-back.
//!
//! It is separate from ejection and is no failure: an instance that names a time to come back is
//! alive. After the rest one call at a time tries it, so that a crowd that has waited does not come
//! at once.

use std::time::{Duration, Instant};

/// The longest wait named to a caller refused while one call tries: it may be over at any time.
const TRIAL_RETRY_AFTER: Duration = Duration::from_secs(1);

/// Whether an instance rests. By default it does not.
#[derive(Debug, Clone, Default)]
pub struct Rest {
    /// When the rest ends, or has ended and nothing was answered yet since.
    until: Option<Instant>,
    /// Whether a call tries what has rested.
    tried: bool,
}

impl Rest {
    /// It asked to be left alone until then. The latest of several requests counts.
    pub fn until(&mut self, until: Instant) {
        self.until = self.until.max(Some(until));
    }

    /// Until when it rests, if it does at `now`.
    pub fn resting(&self, now: Instant) -> Option<Instant> {
        self.until.filter(|until| now < *until)
    }

    /// Whether it rests, or has, and nothing was answered yet since.
    pub fn has_been(&self) -> bool {
        self.until.is_some()
    }

    /// When a call that it may not have at `now` should come again, if there is such a thing.
    pub fn refuses(&self, now: Instant) -> Option<Instant> {
        let trial = || self.tried.then(|| now + TRIAL_RETRY_AFTER);
        self.resting(now).or_else(trial)
    }

    /// A call goes to it; true when that is the one that tries it.
    pub fn enter(&mut self) -> bool {
        self.tried = self.until.is_some();
        self.tried
    }

    /// The call that tries it, begun at `begun`, was answered without another push-back: it is back,
    /// unless it asked for more rest meanwhile.
    pub fn answered(&mut self, begun: Instant) {
        self.until = self.until.filter(|until| begun < *until);
    }

    /// The call that tries it is over, whatever its outcome.
    pub fn left(&mut self) {
        self.tried = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seconds after an arbitrary start.
    fn clock() -> impl Fn(u64) -> Instant {
        let start = Instant::now();
        move |seconds| start + Duration::from_secs(seconds)
    }

    #[test]
    fn it_is_left_alone_until_the_latest_moment_it_named() {
        let at = clock();
        let mut rest = Rest::default();
        assert_eq!(rest.refuses(at(0)), None);
        assert!(!rest.enter(), "nothing to try");
        for until in [2, 5, 3] {
            rest.until(at(until));
        }
        assert_eq!(rest.refuses(at(0)), Some(at(5)));
        assert_eq!(
            (rest.resting(at(4)), rest.resting(at(5))),
            (Some(at(5)), None)
        );
        assert_eq!(rest.refuses(at(5)), None);
    }

    #[test]
    fn one_call_at_a_time_tries_it_until_one_is_answered() {
        let at = clock();
        let mut rest = Rest::default();
        rest.until(at(2));
        for second in [3, 4] {
            assert!(rest.enter());
            assert_eq!(rest.refuses(at(second)), Some(at(second + 1)));
            assert_eq!(rest.resting(at(second)), None);
            rest.left();
            assert_eq!(rest.refuses(at(second)), None, "another may try");
        }
        assert!(rest.enter());
        rest.answered(at(4));
        rest.left();
        assert!(!rest.enter(), "open to all again");
    }

    #[test]
    fn an_answer_does_not_end_the_rest_that_was_asked_for_since() {
        let at = clock();
        let mut rest = Rest::default();
        rest.until(at(2));
        assert!(rest.enter());
        rest.until(at(9));
        rest.answered(at(3));
        rest.left();
        assert_eq!(rest.refuses(at(4)), Some(at(9)));
    }
}

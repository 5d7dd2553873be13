//! Subscriptions that the server refuses: at once, or later, when our permissions have changed.
//!
//! Permissions are given back as they are taken, on a connection that stays, and nobody is told. So
//! we subscribe again every now and then. What the server has already, it leaves as it is.

use std::collections::BTreeSet;
use std::mem;
use std::time::{Duration, Instant};

use crate::adapters::nats::wire::write::MAX_SUBJECTS;

/// From a refusal to the next attempt.
const AGAIN: Duration = Duration::from_secs(10);
/// The most subjects that are remembered: a lane has fewer.
const MOST: usize = 256;

/// The subjects that are refused on one connection.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    /// Refused since the last attempt.
    refused: BTreeSet<String>,
    /// When the last of them was.
    last: Option<Instant>,
    /// What was refused before that attempt, until the server has answered it.
    asked: Option<BTreeSet<String>>,
}

impl Refusals {
    /// The server refuses `subject`.
    pub(super) fn refused(&mut self, subject: &str, now: Instant) {
        self.last = Some(now);
        // No subscription of ours has a longer one.
        if self.refused.len() < MOST && subject.len() <= MAX_SUBJECTS {
            self.refused.insert(subject.to_owned());
        }
    }

    /// Whether it is time for another attempt, which then counts as begun.
    pub(super) fn ask(&mut self, now: Instant) -> bool {
        let is_over = |last| now.saturating_duration_since(last) >= AGAIN;
        let due = self.asked.is_none() && self.last.is_some_and(is_over);
        if due {
            self.asked = Some(mem::take(&mut self.refused));
            self.last = None;
        }
        due
    }

    /// Whether an attempt is under way.
    pub(super) fn is_asking(&self) -> bool {
        self.asked.is_some()
    }

    /// Whether a subject like this is refused.
    pub(super) fn any(&self, like: impl Fn(&str) -> bool) -> bool {
        self.refused.iter().any(|subject| like(subject))
    }

    /// The server has answered the attempt; which subjects it no longer refuses.
    pub(super) fn answered(&mut self) -> BTreeSet<String> {
        let mut permitted = self.asked.take().unwrap_or_default();
        permitted.retain(|subject| !self.refused.contains(subject));
        permitted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subjects(texts: &[&str]) -> BTreeSet<String> {
        texts.iter().map(|&text| text.to_owned()).collect()
    }

    #[test]
    fn what_is_refused_is_asked_for_until_it_is_permitted() {
        let now = Instant::now();
        let mut refusals = Refusals::default();
        assert!(!refusals.ask(now + 9 * AGAIN), "nothing was refused");
        refusals.refused("a", now);
        refusals.refused("b", now);
        assert!(!refusals.ask(now + AGAIN / 2));
        let again = now + AGAIN;
        assert!(refusals.ask(again));
        assert!(!refusals.ask(again + AGAIN), "the answer is awaited");
        refusals.refused("b", again);
        assert_eq!(refusals.answered(), subjects(&["a"]));
        assert!(refusals.any(|it| it == "b") && !refusals.any(|it| it == "a"));
        assert!(!refusals.ask(again + AGAIN / 2));
        assert!(refusals.ask(again + AGAIN));
        assert_eq!(refusals.answered(), subjects(&["b"]));
        assert!(!refusals.ask(again + 9 * AGAIN), "nothing is refused");
        assert_eq!(refusals.answered(), subjects(&[]));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut refusals = Refusals::default();
        for number in 0..2 * MOST {
            refusals.refused(&number.to_string(), Instant::now());
        }
        assert_eq!(refusals.refused.len(), MOST);
        let mut refusals = Refusals::default();
        refusals.refused(&"x".repeat(MAX_SUBJECTS + 1), Instant::now());
        assert!(refusals.refused.is_empty());
    }
}

//! The last failures of one version: when, where, for which tenant, and the extension's error text.
//!
//! **Memory.** At most [`MOST`] failures of [`MOST_BYTES`] bytes of text each: below 5 kB. A version
//! that never failed should have no log.

use std::collections::VecDeque;
use std::time::Instant;

use super::breaker::FailureKind;
use super::quote::{cut, quoted_within};

/// Failures that are kept.
pub const MOST: usize = 8;
/// What is kept of one id, in bytes.
pub const ID_BYTES: usize = 64;
/// What is kept of the extension's own words, in bytes.
pub const ERROR_BYTES: usize = 200;
/// What is kept of all texts of one failure.
pub const MOST_BYTES: usize = ERROR_BYTES + 4 * ID_BYTES;

/// One failed attempt, with texts as they are, or as they are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failed<T> {
    /// When its outcome came in.
    pub at: Instant,
    /// Which attempt of its call it was, from 1; 0 where a router reported it.
    pub attempt: u32,
    /// What it was.
    pub kind: FailureKind,
    /// The code of the extension's error, where it had one.
    pub code: Option<u32>,
    /// The extension's error text, if any.
    pub error: Option<T>,
    /// The instance that was called, where the version has any.
    pub instance: Option<T>,
    /// The id of the call, where it had one.
    pub call: Option<T>,
    /// The trace that the call is of.
    pub trace_id: Option<T>,
    /// The tenant it was made for.
    pub tenant_id: Option<T>,
}

impl Failed<&str> {
    /// One that a router reported, without details.
    pub fn reported(at: Instant) -> Self {
        Self {
            at,
            attempt: 0,
            kind: FailureKind::Reported,
            code: None,
            error: None,
            instance: None,
            call: None,
            trace_id: None,
            tenant_id: None,
        }
    }

    /// The same as it is kept: with texts of its own, each cut to its bound.
    pub fn kept(&self) -> Failed<Box<str>> {
        Failed {
            at: self.at,
            attempt: self.attempt,
            kind: self.kind,
            code: self.code,
            error: kept(self.error, ERROR_BYTES),
            instance: kept(self.instance, ID_BYTES),
            call: kept(self.call, ID_BYTES),
            trace_id: kept(self.trace_id, ID_BYTES),
            tenant_id: kept(self.tenant_id, ID_BYTES),
        }
    }
}

/// The last failures, oldest first.
#[derive(Debug, Default)]
pub struct FailureLog(VecDeque<Failed<Box<str>>>);

impl FailureLog {
    /// Takes a failure in; the oldest goes where there are [`MOST`]. Texts are cut, and cleaned of
    /// control characters.
    pub fn push(&mut self, failed: &Failed<&str>) {
        if self.0.len() >= MOST {
            self.0.pop_front();
        }
        self.0.push_back(failed.kept());
    }

    /// All of them, newest first.
    pub fn newest_first(&self) -> impl Iterator<Item = &Failed<Box<str>>> {
        self.0.iter().rev()
    }
}

/// What is kept of a text: at most `limit` bytes, and nothing of an empty one.
fn kept(text: Option<&str>, limit: usize) -> Option<Box<str>> {
    let text = text.map(str::trim).filter(|text| !text.is_empty())?;
    // What is harmful is replaced by a character that may take more room.
    Some(cut(&quoted_within(text, limit), limit).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(attempt: u32, error: Option<&str>) -> Failed<&str> {
        Failed {
            at: Instant::now(),
            attempt,
            kind: FailureKind::Error,
            code: Some(500),
            error,
            instance: None,
            call: None,
            trace_id: None,
            tenant_id: Some("acme"),
        }
    }

    #[test]
    fn the_last_eight_are_kept_newest_first() {
        let mut log = FailureLog::default();
        for n in 1..=11 {
            let text = format!("error {n}");
            log.push(&failed(n, Some(&text)));
        }
        let kept: Vec<_> = log.newest_first().collect();
        let told = kept.iter().map(|it| (it.attempt, it.error.as_deref()));
        let told: Vec<_> = told.collect();
        assert_eq!(told.len(), MOST);
        assert_eq!(told.first(), Some(&(11, Some("error 11"))));
        assert_eq!(told.last(), Some(&(4, Some("error 4"))));
        for it in &kept {
            assert_eq!(it.tenant_id.as_deref(), Some("acme"));
            assert!(it.instance.is_none());
        }
    }

    #[test]
    fn texts_are_cut_and_cleaned_whatever_they_hold() {
        let mut log = FailureLog::default();
        let long = "\u{1b}".repeat(1_000);
        for text in ["a\u{1b}[2J\nb", "  ", &long, &"\u{e9}".repeat(300)] {
            log.push(&Failed {
                tenant_id: Some(long.as_str()),
                ..failed(1, Some(text))
            });
        }
        let kept: Vec<_> = log.newest_first().collect();
        assert_eq!(kept.len(), 4);
        for it in &kept {
            let (error, tenant_id) = (it.error.as_deref(), it.tenant_id.as_deref());
            assert!(error.is_none_or(|text| text.len() <= ERROR_BYTES));
            assert!(tenant_id.is_some_and(|id| id.len() <= ID_BYTES));
            let clean = |text: &str| !text.contains(char::is_control);
            assert!(error.is_none_or(clean) && tenant_id.is_none_or(clean));
        }
        let errors = kept.iter().rev().map(|it| it.error.as_deref());
        let errors: Vec<_> = errors.collect();
        assert_eq!(
            errors.get(..2),
            Some(&[Some("a\u{fffd}[2J\u{fffd}b"), None][..])
        );
    }

    #[test]
    fn it_takes_below_five_kilobytes() {
        let mut log = FailureLog::default();
        let long = "x".repeat(1_000);
        for n in 0..100 {
            log.push(&Failed {
                instance: Some(long.as_str()),
                call: Some(long.as_str()),
                trace_id: Some(long.as_str()),
                tenant_id: Some(long.as_str()),
                ..failed(n, Some(&long))
            });
        }
        assert!(MOST * (size_of::<Failed<Box<str>>>() + MOST_BYTES) <= 5_120);
        assert_eq!(log.newest_first().count(), MOST);
        for it in log.newest_first() {
            assert_eq!(it.error.as_deref().map(str::len), Some(ERROR_BYTES));
            assert_eq!(it.call.as_deref().map(str::len), Some(ID_BYTES));
        }
    }
}

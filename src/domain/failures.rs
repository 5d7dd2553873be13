//! The last failures of one version: when, where, for which tenant, and the extension's error text.
//!
//! **Memory.** At most [`MOST`] failures of [`MOST_BYTES`] bytes of text each, all in one piece: below
//! 4 kB. A version that never failed should have no log.

use std::time::Instant;

use super::breaker::FailureKind;
use super::quote::quoted_within;

/// Failures that are kept.
pub const MOST: usize = 8;
/// What is kept of one id, in bytes.
pub const ID_BYTES: usize = 64;
/// What is kept of the extension's own words, in bytes.
pub const ERROR_BYTES: usize = 200;
/// What is kept of all texts of one failure.
pub const MOST_BYTES: usize = ERROR_BYTES + 4 * ID_BYTES;

/// Texts of one failure, in the order in which they are kept.
const TEXTS: usize = 5;

/// One failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failed<'a> {
    /// When its outcome came in.
    pub at: Instant,
    /// Which attempt of its call it was, from 1; 0 where a router reported it.
    pub attempt: u32,
    /// What it was.
    pub kind: FailureKind,
    /// The code of the extension's error, where it had one.
    pub code: Option<u32>,
    /// The extension's error text, if any.
    pub error: Option<&'a str>,
    /// The instance that was called, where the version has any.
    pub instance: Option<&'a str>,
    /// The id of the call, where it had one.
    pub call: Option<&'a str>,
    /// The trace that the call is of.
    pub trace_id: Option<&'a str>,
    /// The tenant it was made for.
    pub tenant_id: Option<&'a str>,
}

impl Failed<'_> {
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
}

/// The last failures, oldest first.
#[derive(Debug, Default)]
pub struct FailureLog {
    entries: Vec<Entry>,
    /// The texts of all entries, one after the other.
    texts: String,
}

#[derive(Debug)]
struct Entry {
    at: Instant,
    attempt: u32,
    /// 0 for none.
    code: u32,
    kind: FailureKind,
    /// Of each text 1 more than its bytes; 0 where there is none.
    lengths: [u8; TEXTS],
}

impl Entry {
    fn bytes(&self) -> usize {
        let lengths = self.lengths.iter();
        lengths.map(|it| usize::from(*it).saturating_sub(1)).sum()
    }
}

impl FailureLog {
    /// Takes a failure in; the oldest goes where there are [`MOST`]. Texts are cut, and cleaned of
    /// control characters.
    pub fn push(&mut self, failed: &Failed<'_>) {
        if self.entries.len() >= MOST {
            let oldest = self.entries.remove(0);
            self.texts.drain(..oldest.bytes());
        }
        let ids = [
            failed.instance,
            failed.call,
            failed.trace_id,
            failed.tenant_id,
        ];
        let ids = ids.map(|id| kept(id, ID_BYTES));
        let [instance, call, trace_id, tenant_id] = ids;
        let texts = [
            kept(failed.error, ERROR_BYTES),
            instance,
            call,
            trace_id,
            tenant_id,
        ];
        let bytes = texts.iter().flatten().map(String::len).sum();
        self.texts.reserve_exact(bytes);
        self.entries.reserve_exact(1);
        let lengths = texts.map(|text| {
            let text = text?;
            self.texts.push_str(&text);
            u8::try_from(text.len() + 1).ok()
        });
        self.entries.push(Entry {
            at: failed.at,
            attempt: failed.attempt,
            code: failed.code.unwrap_or_default(),
            kind: failed.kind,
            lengths: lengths.map(Option::unwrap_or_default),
        });
    }

    /// All of them, newest first.
    pub fn newest_first(&self) -> Vec<Failed<'_>> {
        let mut rest = self.texts.as_str();
        let failed = self.entries.iter().map(|entry| {
            let [error, instance, call, trace_id, tenant_id] = entry.lengths.map(|length| {
                let bytes = usize::from(length.checked_sub(1)?);
                let (text, after) = rest.split_at_checked(bytes)?;
                rest = after;
                Some(text)
            });
            Failed {
                at: entry.at,
                attempt: entry.attempt,
                kind: entry.kind,
                code: (entry.code > 0).then_some(entry.code),
                error,
                instance,
                call,
                trace_id,
                tenant_id,
            }
        });
        let mut failed: Vec<_> = failed.collect();
        failed.reverse();
        failed
    }

    /// The last one.
    pub fn last(&self) -> Option<Failed<'_>> {
        self.newest_first().into_iter().next()
    }

    /// The bytes that it takes.
    pub fn bytes(&self) -> usize {
        let entries = self.entries.capacity() * size_of::<Entry>();
        size_of::<Self>() + entries + self.texts.capacity()
    }
}

/// What is kept of a text: at most `limit` bytes, and nothing of an empty one.
fn kept(text: Option<&str>, limit: usize) -> Option<String> {
    let text = text.map(str::trim).filter(|text| !text.is_empty())?;
    // What is harmful is replaced by a character that may take more room.
    let mut quotation = quoted_within(text, limit);
    let end = (0..=limit)
        .rev()
        .find(|end| quotation.is_char_boundary(*end));
    quotation.truncate(end.unwrap_or_default().min(quotation.len()));
    Some(quotation)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(attempt: u32, error: Option<&str>) -> Failed<'_> {
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
        let kept = log.newest_first();
        let told: Vec<_> = kept.iter().map(|it| (it.attempt, it.error)).collect();
        assert_eq!(told.len(), MOST);
        assert_eq!(told.first(), Some(&(11, Some("error 11"))));
        assert_eq!(told.last(), Some(&(4, Some("error 4"))));
        assert!(kept.iter().all(|it| it.tenant_id == Some("acme")));
        assert!(kept.iter().all(|it| it.instance.is_none()));
    }

    #[test]
    fn texts_are_cut_and_cleaned_whatever_they_hold() {
        let mut log = FailureLog::default();
        let long = "\u{1b}".repeat(1_000);
        for text in ["a\u{1b}[2J\nb", "  ", &long, &"\u{e9}".repeat(300)] {
            log.push(&Failed {
                tenant_id: Some(&long),
                ..failed(1, Some(text))
            });
        }
        let kept = log.newest_first();
        assert_eq!(kept.len(), 4);
        for it in &kept {
            assert!(it.error.is_none_or(|text| text.len() <= ERROR_BYTES));
            assert!(it.tenant_id.is_some_and(|id| id.len() <= ID_BYTES));
            let clean = |text: &str| !text.contains(char::is_control);
            assert!(it.error.is_none_or(clean) && it.tenant_id.is_none_or(clean));
        }
        let errors: Vec<_> = kept.iter().rev().map(|it| it.error).collect();
        assert_eq!(
            errors.get(..2),
            Some(&[Some("a\u{fffd}[2J\u{fffd}b"), None][..])
        );
    }

    #[test]
    fn it_takes_below_four_kilobytes() {
        let mut log = FailureLog::default();
        let long = "x".repeat(1_000);
        for n in 0..100 {
            log.push(&Failed {
                instance: Some(&long),
                call: Some(&long),
                trace_id: Some(&long),
                tenant_id: Some(&long),
                ..failed(n, Some(&long))
            });
        }
        assert!(log.bytes() <= 4_096, "{}", log.bytes());
        let kept = log.newest_first();
        let bytes = |text: Option<&str>| text.map(str::len);
        assert!(kept.iter().all(|it| bytes(it.error) == Some(ERROR_BYTES)));
        assert!(kept.iter().all(|it| bytes(it.call) == Some(ID_BYTES)));
    }
}

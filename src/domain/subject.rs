//! NATS subjects and subject patterns, parsed once at the edge.
//!
//! The client library accepts `*` and `>` in the subject of a publish; a registry that forwards
//! requests must not, or an extension row could address a whole tree of subjects.

use std::fmt;
use std::sync::Arc;

/// The longest subject accepted, in bytes: the width of the original's `subject` column.
pub const MAX_SUBJECT_BYTES: usize = 512;

/// The rule that a text breaks which is no subject or no pattern.
type Broken = &'static str;
const WILDCARD: Broken = "has a wildcard where none is allowed";

/// A subject that can be published to: printable ASCII tokens, no wildcards.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Subject(Arc<str>);

impl Subject {
    /// Parses `text`, refusing wildcards, empty tokens and anything but printable ASCII.
    pub fn parse(text: &str) -> Result<Self, Broken> {
        check_tokens(text)?;
        if text.split('.').any(|token| token.contains(['*', '>'])) {
            return Err(WILDCARD);
        }
        Ok(Self(text.into()))
    }

    /// The subject as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A subscription pattern: `*` stands for one token, a final `>` for one or more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubjectPattern(Box<str>);

impl SubjectPattern {
    /// Parses `text`; wildcards must be whole tokens and `>` the last one.
    pub fn parse(text: &str) -> Result<Self, Broken> {
        check_tokens(text)?;
        let mut tokens = text.split('.').peekable();
        while let Some(token) = tokens.next() {
            let wildcard = token.contains(['*', '>']);
            if wildcard && token.len() > 1 || token == ">" && tokens.peek().is_some() {
                return Err(WILDCARD);
            }
        }
        Ok(Self(text.into()))
    }

    /// Whether `subject` falls under this pattern, by NATS's own matching rules.
    pub fn matches(&self, subject: &str) -> bool {
        let mut tokens = subject.split('.');
        for wanted in self.0.split('.') {
            match (wanted, tokens.next()) {
                (">", Some(_)) => return true,
                ("*", Some(_)) => {}
                (wanted, Some(token)) if wanted == token => {}
                _ => return false,
            }
        }
        tokens.next().is_none()
    }

    /// The pattern as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether `text` is exactly one token of a subject.
pub fn is_token(text: &str) -> bool {
    let fits = |b: u8| b.is_ascii_graphic() && !matches!(b, b'.' | b'*' | b'>');
    !text.is_empty() && text.bytes().all(fits)
}

fn check_tokens(text: &str) -> Result<(), Broken> {
    if text.is_empty() {
        return Err("is empty");
    }
    if text.len() > MAX_SUBJECT_BYTES {
        return Err("is longer than 512 bytes");
    }
    if !text.bytes().all(|b| b.is_ascii_graphic()) {
        return Err("has a character that is not printable ASCII");
    }
    if text.split('.').any(str::is_empty) {
        return Err("has an empty token");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_without_wildcards_parse() {
        assert_eq!(Subject::parse("a.b").unwrap().as_str(), "a.b");
        for (text, error) in [
            ("", "is empty"),
            ("a..b", "has an empty token"),
            (".a", "has an empty token"),
            ("a.*", WILDCARD),
            ("a.>", WILDCARD),
            ("a b", "has a character that is not printable ASCII"),
            ("a\u{e9}", "has a character that is not printable ASCII"),
            ("a\0", "has a character that is not printable ASCII"),
        ] {
            assert_eq!(Subject::parse(text), Err(error), "{text:?}");
        }
        assert_eq!(
            Subject::parse(&"a".repeat(MAX_SUBJECT_BYTES + 1)),
            Err("is longer than 512 bytes")
        );
    }

    #[test]
    fn a_token_is_one_and_no_wildcard() {
        for token in ["a", "1", "_INBOX", "a-b$"] {
            assert!(is_token(token), "{token}");
        }
        for text in ["", "a.b", "*", ">", "a b", "\u{e9}"] {
            assert!(!is_token(text), "{text}");
        }
    }

    #[test]
    fn patterns_match_as_nats_matches() {
        for (pattern, subject, matches) in [
            ("beamline.ext.>", "beamline.ext.pre.x.v1", true),
            ("beamline.ext.>", "beamline.ext", false),
            ("a.*.c", "a.b.c", true),
            ("a.*.c", "a.b.c.d", false),
            ("a.b", "a.b", true),
            ("a.b", "a", false),
            ("a.b", "a.c", false),
            ("a.b", "b.b", false),
            ("*.*", "a", false),
            (">", "a", true),
        ] {
            let parsed = SubjectPattern::parse(pattern).unwrap();
            assert_eq!(parsed.matches(subject), matches, "{pattern} {subject}");
        }
        for bad in ["a.>.b", "a.b*", ">>", "a..>"] {
            assert!(SubjectPattern::parse(bad).is_err(), "{bad}");
        }
    }
}

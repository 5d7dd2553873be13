//! NATS subjects and subject patterns, parsed once at the edge.
//!
//! The client library accepts `*` and `>` in the subject of a publish; a registry that forwards
//! requests must not, or an extension row could address a whole tree of subjects.

use std::fmt;
use std::sync::Arc;

use thiserror::Error;

/// The longest subject accepted, in bytes: the width of the original's `subject` column.
pub const MAX_SUBJECT_BYTES: usize = 512;

/// Why a text is not a subject or a pattern.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SubjectError {
    /// The text is empty.
    #[error("is empty")]
    Empty,
    /// The text is longer than [`MAX_SUBJECT_BYTES`].
    #[error("is longer than {MAX_SUBJECT_BYTES} bytes")]
    TooLong,
    /// Two dots in a row, or a dot at either end.
    #[error("has an empty token")]
    EmptyToken,
    /// White space, a control or a non-ASCII character.
    #[error("has a character that is not printable ASCII")]
    BadCharacter,
    /// `*` or `>` where none is allowed.
    #[error("has a wildcard where none is allowed")]
    Wildcard,
}

/// A subject that can be published to: printable ASCII tokens, no wildcards.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Subject(Arc<str>);

impl Subject {
    /// Parses `text`, refusing wildcards, empty tokens and anything but printable ASCII.
    pub fn parse(text: &str) -> Result<Self, SubjectError> {
        check_tokens(text)?;
        if text.split('.').any(|token| token.contains(['*', '>'])) {
            return Err(SubjectError::Wildcard);
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
    pub fn parse(text: &str) -> Result<Self, SubjectError> {
        check_tokens(text)?;
        let mut tokens = text.split('.').peekable();
        while let Some(token) = tokens.next() {
            let wildcard = token.contains(['*', '>']);
            if wildcard && token.len() > 1 || token == ">" && tokens.peek().is_some() {
                return Err(SubjectError::Wildcard);
            }
        }
        Ok(Self(text.into()))
    }

    /// Whether `subject` falls under this pattern, by NATS's own matching rules.
    pub fn matches(&self, subject: &str) -> bool {
        let mut tokens = subject.split('.');
        for wanted in self.0.split('.') {
            match (wanted, tokens.next()) {
                (_, None) => return false,
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
    !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_graphic() && !matches!(b, b'.' | b'*' | b'>'))
}

fn check_tokens(text: &str) -> Result<(), SubjectError> {
    if text.is_empty() {
        return Err(SubjectError::Empty);
    }
    if text.len() > MAX_SUBJECT_BYTES {
        return Err(SubjectError::TooLong);
    }
    if !text.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(SubjectError::BadCharacter);
    }
    if text.split('.').any(str::is_empty) {
        return Err(SubjectError::EmptyToken);
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
            ("", SubjectError::Empty),
            ("a..b", SubjectError::EmptyToken),
            (".a", SubjectError::EmptyToken),
            ("a.*", SubjectError::Wildcard),
            ("a.>", SubjectError::Wildcard),
            ("a b", SubjectError::BadCharacter),
            ("a\u{e9}", SubjectError::BadCharacter),
            ("a\0", SubjectError::BadCharacter),
        ] {
            assert_eq!(Subject::parse(text), Err(error), "{text:?}");
        }
        assert_eq!(
            Subject::parse(&"a".repeat(MAX_SUBJECT_BYTES + 1)),
            Err(SubjectError::TooLong)
        );
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

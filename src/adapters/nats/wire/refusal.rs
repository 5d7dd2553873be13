//! What a server means by `-ERR`.

use thiserror::Error;

use crate::domain::quote::quoted;

const PUBLISH: &str = "Permissions Violation for Publish to ";
const SUBSCRIPTION: &str = "Permissions Violation for Subscription to ";
const FULL: &str = "maximum subscriptions exceeded";

/// How the words about a login begin, in lower case.
const LOGIN: [&str; 4] = [
    "authorization violation",
    "authentication timeout",
    "user authentication",
    "account authentication",
];

/// A refusal by its kind. The text is quoted: foreign, shortened, cleaned.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refusal {
    /// We may not publish to the subject.
    #[error("not permitted to publish to {}", quoted(.0))]
    Publish(String),
    /// We may not subscribe to the subject.
    #[error("not permitted to subscribe to {}", quoted(.0))]
    Subscription(String),
    /// It takes no more subscriptions on this connection, and does not say which one.
    #[error("{}", FULL)]
    Full,
    /// The login is not accepted, has expired, or was taken back.
    #[error("{0}")]
    Login(String),
    /// Anything else. Where it is the end of the connection, the server closes it after these words.
    #[error("{0}")]
    Other(String),
}

impl Refusal {
    /// Reads the text of an `-ERR`.
    pub fn parse(text: &[u8]) -> Self {
        let text = String::from_utf8_lossy(text);
        if let Some(subject) = text.strip_prefix(PUBLISH) {
            return Self::Publish(subject_of(subject));
        }
        if let Some(subject) = text.strip_prefix(SUBSCRIPTION) {
            return Self::Subscription(subject_of(subject));
        }
        let lower = text.to_ascii_lowercase();
        if lower == FULL {
            return Self::Full;
        }
        let about_login = LOGIN.iter().any(|phrase| lower.starts_with(phrase));
        let text = quoted(&text);
        if about_login {
            Self::Login(text)
        } else {
            Self::Other(text)
        }
    }
}

/// The subject between double quotes, as Go's `%q` writes it; what may follow names a queue group.
fn subject_of(rest: &str) -> String {
    let mut subject = String::new();
    let mut inner = rest.strip_prefix('"').unwrap_or(rest).chars();
    while let Some(next) = inner.next() {
        match next {
            '"' => break,
            '\\' => subject.extend(inner.next()),
            next => subject.push(next),
        }
    }
    subject
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_told_apart() {
        let text = |text: &str| text.to_owned();
        for (words, refusal) in [
            (
                "Permissions Violation for Publish to \"a.b\"",
                Refusal::Publish(text("a.b")),
            ),
            (
                "Permissions Violation for Subscription to \"a.*\" using queue \"q\"",
                Refusal::Subscription(text("a.*")),
            ),
            (
                "Authorization Violation",
                Refusal::Login(text("Authorization Violation")),
            ),
            (
                "User Authentication Expired",
                Refusal::Login(text("User Authentication Expired")),
            ),
            ("maximum subscriptions exceeded", Refusal::Full),
            ("Invalid Subject", Refusal::Other(text("Invalid Subject"))),
            ("Stale Connection", Refusal::Other(text("Stale Connection"))),
            (
                "maximum connections exceeded",
                Refusal::Other(text("maximum connections exceeded")),
            ),
            ("", Refusal::Other(text(""))),
        ] {
            assert_eq!(Refusal::parse(words.as_bytes()), refusal, "{words}");
        }
        assert_eq!(
            Refusal::parse(b"\xff\x1b"),
            Refusal::Other(text("\u{fffd}\u{fffd}"))
        );
    }
}

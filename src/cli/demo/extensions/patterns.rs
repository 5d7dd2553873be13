//! What looks like personal data. Good enough for a sample: it knows shapes, no check digits.

use std::ops::Range;

/// A kind of personal data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pattern {
    Email,
    CreditCard,
    Ssn,
    Phone,
}

impl Pattern {
    /// The pattern that settings call `name`.
    pub(super) fn named(name: &str) -> Option<Self> {
        match name {
            "email" => Some(Self::Email),
            "credit_card" => Some(Self::CreditCard),
            "ssn" => Some(Self::Ssn),
            "phone" => Some(Self::Phone),
            _ => None,
        }
    }

    /// What it is, in words.
    pub(super) fn described(self) -> &'static str {
        match self {
            Self::Email => "an e-mail address",
            Self::CreditCard => "a card number",
            Self::Ssn => "a social security number",
            Self::Phone => "a phone number",
        }
    }

    /// Where it stands in `text`, in order.
    pub(super) fn find(self, text: &str) -> Vec<Range<usize>> {
        let shape = self.shape();
        runs(text, shape.part)
            .map(|run| trim(text, run, shape.trimmed))
            .filter(|run| text.get(run.clone()).is_some_and(shape.looks_right))
            .collect()
    }

    fn shape(self) -> Shape {
        let numeric = |looks_right| Shape {
            part: |c| c.is_ascii_digit() || " -+".contains(c),
            trimmed: &[' ', '-'],
            looks_right,
        };
        match self {
            Self::Email => Shape {
                part: |c| c.is_alphanumeric() || ".-_+@".contains(c),
                trimmed: &['.', '-', '+'],
                looks_right: is_email,
            },
            Self::CreditCard => numeric(|text| (13..=19).contains(&digits(text))),
            Self::Ssn => numeric(is_ssn),
            Self::Phone => numeric(|text| (7..=12).contains(&digits(text)) && !is_ssn(text)),
        }
    }
}

/// How a kind of data is written.
struct Shape {
    /// The characters it consists of.
    part: fn(char) -> bool,
    /// Those of them that it neither begins nor ends with.
    trimmed: &'static [char],
    looks_right: fn(&str) -> bool,
}

/// The longest parts of `text` that consist of `part`.
fn runs(text: &str, part: fn(char) -> bool) -> impl Iterator<Item = Range<usize>> {
    let mut from = 0;
    text.split_inclusive(move |c| !part(c)).map(move |run| {
        let start = from;
        from += run.len();
        let end = run.char_indices().rfind(|(_, c)| part(*c));
        start..end.map_or(start, |(at, c)| start + at + c.len_utf8())
    })
}

fn trim(text: &str, run: Range<usize>, trimmed: &[char]) -> Range<usize> {
    let found = text.get(run.clone()).unwrap_or_default();
    let rest = found.trim_start_matches(trimmed);
    let start = run.start + found.len() - rest.len();
    start..start + rest.trim_end_matches(trimmed).len()
}

fn is_email(text: &str) -> bool {
    let parts = text.split_once('@');
    parts.is_some_and(|(user, host)| {
        let labels = host.split('.').filter(|label| !label.is_empty());
        !user.is_empty() && !host.contains('@') && labels.count() > 1
    })
}

fn is_ssn(text: &str) -> bool {
    text.split('-').map(str::len).eq([3, 2, 4]) && digits(text) == 9
}

fn digits(text: &str) -> usize {
    text.bytes().filter(u8::is_ascii_digit).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: Pattern, text: &str, found: &[&str]) {
        let places = pattern.find(text).into_iter();
        let parts: Vec<&str> = places.map(|place| &text[place]).collect();
        assert_eq!(parts, found, "{pattern:?} in {text}");
    }

    #[test]
    fn shapes_are_found_where_they_stand() {
        use Pattern::{CreditCard, Email, Phone, Ssn};
        let text = "Écris à é.b@c.example, 4111-1111-1111-1111; 078-05-1120 or +49 30 1234567.";
        check(Email, text, &["é.b@c.example"]);
        check(CreditCard, text, &["4111-1111-1111-1111"]);
        check(Ssn, text, &["078-05-1120"]);
        check(Phone, text, &["+49 30 1234567"]);
    }

    #[test]
    fn other_texts_are_left_alone() {
        use Pattern::{CreditCard, Email, Phone, Ssn};
        for pattern in [Email, CreditCard, Ssn, Phone] {
            check(pattern, "", &[]);
            check(pattern, "12 apples @ 3.50 each, order 2026-11", &[]);
        }
        check(Email, "a@b and @c.d and x@y@z.org", &[]);
    }
}

//! Patterns of personal data. Good enough for a sample: they match shapes, without check digits.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

type Shape = LazyLock<Option<Regex>>;

static EMAIL: Shape = LazyLock::new(|| Regex::new(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+").ok());
static NUMBER: Shape = LazyLock::new(|| Regex::new(r"\+?\d(?:[ -]*\d)*").ok());

/// Compiles them: in a debug build that can take longer than a call may.
pub(super) fn prepare() {
    for shape in [&EMAIL, &NUMBER] {
        LazyLock::force(shape);
    }
}

/// The kind of data that settings call `name`, in words, and its place in `text`.
pub(super) fn find(name: &str, text: &str) -> Option<(&'static str, Vec<Range<usize>>)> {
    let (words, shape, is_one): (_, &Shape, fn(&str) -> bool) = match name {
        "email" => ("an e-mail address", &EMAIL, |_| true),
        "credit_card" => ("a card number", &NUMBER, |text| {
            (13..=19).contains(&digits(text))
        }),
        "ssn" => ("a social security number", &NUMBER, is_ssn),
        "phone" => ("a phone number", &NUMBER, |text| {
            (7..=12).contains(&digits(text)) && !is_ssn(text)
        }),
        _ => return None,
    };
    let found = shape.as_ref()?.find_iter(text);
    let found = found.filter(|found| is_one(found.as_str()));
    Some((words, found.map(|found| found.range()).collect()))
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
    fn check(name: &str, text: &str, found: &[&str]) {
        let (_, places) = find(name, text).unwrap();
        let parts: Vec<&str> = places.into_iter().map(|place| &text[place]).collect();
        assert_eq!(parts, found, "{name} in {text}");
    }

    #[test]
    fn shapes_are_found_where_they_stand() {
        let text = "Écris à é.b@c.example, 4111-1111-1111-1111; 078-05-1120 or +49 30 1234567.";
        check("email", text, &["é.b@c.example"]);
        check("credit_card", text, &["4111-1111-1111-1111"]);
        check("ssn", text, &["078-05-1120"]);
        check("phone", text, &["+49 30 1234567"]);
    }

    #[test]
    fn other_texts_are_left_alone() {
        for name in ["email", "credit_card", "ssn", "phone"] {
            check(name, "", &[]);
            check(name, "12 apples @ 3.50 each, order 2026-11", &[]);
        }
        check("email", "a@b and @c.d", &[]);
        assert!(find("iban", "").is_none());
    }
}

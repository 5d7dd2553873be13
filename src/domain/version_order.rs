//! Which of two versions is newer: digits compare as numbers, so `v10` comes after `v9`.

use std::cmp::Ordering;

/// Compares version names part by part, runs of digits as numbers and all else as text.
pub fn compare(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a.as_bytes(), b.as_bytes());
    loop {
        let (part_a, rest_a) = split_part(a);
        let (part_b, rest_b) = split_part(b);
        let order = compare_parts(part_a, part_b);
        if order != Ordering::Equal || part_a.is_empty() {
            return order;
        }
        (a, b) = (rest_a, rest_b);
    }
}

/// Splits off the first run of digits or of anything else.
fn split_part(text: &[u8]) -> (&[u8], &[u8]) {
    let digits = text.first().is_some_and(u8::is_ascii_digit);
    let end = text.iter().position(|b| b.is_ascii_digit() != digits);
    text.split_at(end.unwrap_or(text.len()))
}

fn compare_parts(a: &[u8], b: &[u8]) -> Ordering {
    let numeric = |part: &[u8]| part.first().is_some_and(u8::is_ascii_digit);
    if !(numeric(a) && numeric(b)) {
        return a.cmp(b);
    }
    // Without leading zeros the longer number is the larger: no limit on its size.
    let significant = |part: &'_ [u8]| part.iter().position(|b| *b != b'0').unwrap_or(part.len());
    let (a, b) = (a.split_at(significant(a)).1, b.split_at(significant(b)).1);
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_in_order_of_age() {
        let ordered = [
            "1.0", "1.0.1", "1.2", "1.10", "2", "10", "v1", "v2", "v2-rc", "v9", "v10", "v10a",
        ];
        for (i, a) in ordered.iter().enumerate() {
            for (j, b) in ordered.iter().enumerate() {
                assert_eq!(compare(a, b), i.cmp(&j), "{a} {b}");
            }
        }
        assert_eq!(compare("v01", "v1"), Ordering::Equal);
        assert_eq!(
            compare("v99999999999999999999", "v100000000000000000000"),
            Ordering::Less
        );
    }
}

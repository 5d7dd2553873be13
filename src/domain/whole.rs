//! Whole numbers, however they are written: the one reader of requests, headers, queries and files.
//!
//! Many languages have one kind of number, and write 500 as `500.0` or `5e2`.

use std::fmt::Display;
use std::ops::RangeInclusive;

use super::decimal::Decimal;

/// Reads a number in JSON's notation, which must be a whole one within `range`.
///
/// # Errors
/// The rule, readable after the name of whatever breaks it.
pub fn whole<T>(text: &str, range: &RangeInclusive<T>) -> Result<T, String>
where
    T: TryFrom<i128> + PartialOrd + Display,
{
    let number = Decimal::parse(text).and_then(|number| number.to_whole());
    let number = number.and_then(|number| T::try_from(number).ok());
    let number = number.filter(|number| range.contains(number));
    number.ok_or_else(|| rule(range.start(), range.end()))
}

/// The message for a value that is not a whole number from `from` to `to`.
pub fn rule(from: impl Display, to: impl Display) -> String {
    format!("must be a whole number from {from} to {to}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_are_read_however_they_are_written_and_nothing_else_is() {
        for text in ["500", "500.0", "5e2", "5E+2", "50000e-2", "0.5e3"] {
            assert_eq!(whole(text, &(1..=1000u32)), Ok(500), "{text}");
        }
        let rule = || Err("must be a whole number from 1 to 1000".to_owned());
        for text in [
            "0",
            "-0",
            "1001",
            "1.5",
            "-1",
            "1e3000",
            "1e999999999",
            "1e-999999999",
            "\"5\"",
            "true",
            "[]",
            "",
            " 5",
        ] {
            assert_eq!(whole(text, &(1..=1000u32)), rule(), "{text}");
        }
        assert_eq!(whole("18446744073709551615", &(0..=u64::MAX)), Ok(u64::MAX));
        assert!(whole("18446744073709551616", &(0..=u64::MAX)).is_err());
        assert_eq!(whole("-9223372036854775808", &(i64::MIN..=0)), Ok(i64::MIN));
    }
}

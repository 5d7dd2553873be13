//! Decimal numbers, exactly as written.
//!
//! A float cannot distinguish 18446744073709551616 from 18446744073709551617: one tenant would be
//! taken for another. So numbers that are compared or hashed stay decimals, from the text they came
//! in.

use std::fmt;

use smol_str::SmolStr;

/// The most significant digits: from the first that is not zero to the last that is not.
pub const MAX_DIGITS: usize = 64;
/// Digits before the point that a number may have: it has to be below 1e308.
const MAX_WHOLE_DIGITS: i64 = 308;
/// Digits after the point that it may have; a bound on its text, which a rollout hashes.
const MAX_PLACES: i64 = 1000;
/// Exponents are cut to this before anything is computed with them; no number near it is one of ours.
const FAR: i64 = 1 << 40;

/// A decimal number. Equal numbers are equal however they were written.
///
/// `Display` is the shortest text in plain decimal notation: no exponent, no leading or trailing
/// zeros, no point where nothing follows it, `0` for zero. Rollouts hash it, so it must never
/// change.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Decimal {
    negative: bool,
    /// Neither begins nor ends with a zero; empty for zero.
    digits: SmolStr,
    /// The power of ten of the last digit.
    exponent: i64,
}

impl Decimal {
    /// Reads a number as JSON writes it. `None` for any other text, and for a number with more than
    /// [`MAX_DIGITS`] digits, one from 1e308 on, or one with more than 1000 digits after the point.
    ///
    /// Takes time in proportion to the text, whatever its exponent.
    pub fn parse(text: &str) -> Option<Self> {
        let (negative, text) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        // Most numbers are nothing but digits.
        let (whole, rest) = digits(text)?;
        let (fraction, rest) = match rest.strip_prefix('.') {
            Some(rest) => digits(rest)?,
            None => ("", rest),
        };
        let exponent = match rest.strip_prefix(['e', 'E']) {
            Some(exponent) => parse_exponent(exponent)?,
            None if rest.is_empty() => 0,
            None => return None,
        };
        Self::of_parts(negative, whole, fraction, exponent)
    }

    fn of_parts(negative: bool, whole: &str, fraction: &str, exponent: i64) -> Option<Self> {
        let (mut whole, mut fraction) = (whole.trim_start_matches('0'), fraction);
        fraction = fraction.trim_end_matches('0');
        let mut last = exponent.checked_sub(length(fraction))?;
        if fraction.is_empty() {
            let significant = whole.trim_end_matches('0');
            last = last.checked_add(length(whole) - length(significant))?;
            whole = significant;
        }
        if whole.is_empty() {
            fraction = fraction.trim_start_matches('0');
        }
        let count = whole.len() + fraction.len();
        if count == 0 {
            return Some(Self::default());
        }
        let fits = count <= MAX_DIGITS
            && last + i64::try_from(count).ok()? <= MAX_WHOLE_DIGITS
            && -last <= MAX_PLACES;
        let digits = match (whole, fraction) {
            (_, _) if !fits => return None,
            (digits, "") | ("", digits) => SmolStr::new(digits),
            (whole, fraction) => whole.chars().chain(fraction.chars()).collect(),
        };
        Some(Self {
            negative,
            digits,
            exponent: last,
        })
    }

    /// The number, where it is a whole one of up to 38 digits.
    pub fn to_whole(&self) -> Option<i128> {
        (self.exponent >= 0).then(|| self.ceil_times(0)).flatten()
    }

    /// The least whole number that is not below this number times ten to the power of `power`, where
    /// this number is not negative; `None` beyond 38 digits.
    pub fn ceil_times(&self, power: u32) -> Option<i128> {
        let exponent = self.exponent + i64::from(power);
        let (whole, more) = match usize::try_from(-exponent) {
            Err(_) | Ok(0) => (self.digits.as_str(), false),
            Ok(places) => {
                let before = self.digits.len().saturating_sub(places);
                // The last digit is none of the zeros.
                (self.digits.get(..before)?, !self.digits.is_empty())
            }
        };
        let zeros = u32::try_from(exponent.max(0)).ok()?;
        let number = match whole {
            "" => 0,
            digits => digits.parse::<i128>().ok()?,
        };
        let number = number.checked_mul(10i128.checked_pow(zeros)?)?;
        let number = number.checked_add(i128::from(more))?;
        Some(if self.negative { -number } else { number })
    }

    /// Whether it is below zero.
    pub fn is_negative(&self) -> bool {
        self.negative
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.negative {
            f.write_str("-")?;
        }
        let digits = self.digits.as_str();
        let Ok(places) = usize::try_from(-self.exponent) else {
            f.write_str(digits)?;
            return zeros(f, usize::try_from(self.exponent).unwrap_or(0));
        };
        match digits.len().checked_sub(places) {
            _ if digits.is_empty() => f.write_str("0"),
            Some(before) if places == 0 => f.write_str(digits.get(..before).unwrap_or(digits)),
            Some(before) if before > 0 => {
                let (whole, fraction) = digits.split_at_checked(before).unwrap_or((digits, ""));
                write!(f, "{whole}.{fraction}")
            }
            _ => {
                f.write_str("0.")?;
                zeros(f, places - digits.len())?;
                f.write_str(digits)
            }
        }
    }
}

fn zeros(f: &mut fmt::Formatter<'_>, count: usize) -> fmt::Result {
    write!(f, "{:0<count$}", "")
}

/// The digits that `text` begins with, of which there must be one, and what follows.
fn digits(text: &str) -> Option<(&str, &str)> {
    let end = text.bytes().position(|byte| !byte.is_ascii_digit());
    let (digits, rest) = text.split_at_checked(end.unwrap_or(text.len()))?;
    (!digits.is_empty()).then_some((digits, rest))
}

fn length(text: &str) -> i64 {
    i64::try_from(text.len()).unwrap_or(FAR)
}

/// An exponent, cut where it is far out.
fn parse_exponent(text: &str) -> Option<i64> {
    let (negative, text) = match text.strip_prefix('-') {
        Some(text) => (true, text),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (digits, "") = digits(text)? else {
        return None;
    };
    let size = digits.bytes().fold(0, |size: i64, digit| {
        (size * 10 + i64::from(digit - b'0')).min(FAR)
    });
    Some(if negative { -size } else { size })
}

#[cfg(test)]
#[path = "decimal_tests.rs"]
mod tests;

//! Texts to values: each function either gives the value or the rule that the text breaks. Those
//! that need a range or other parts give a function that does.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use super::variables::Variable;

/// The rule that a text breaks, to be read after the variable's name.
pub(super) type Rule = String;

pub(super) fn boolean(text: &str) -> Result<bool, Rule> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        _ => Err("must be true or false".to_owned()),
    }
}

/// A number within `range`.
pub(super) fn number<T>(range: RangeInclusive<T>) -> impl Fn(&str) -> Result<T, Rule>
where
    T: FromStr + PartialOrd + Display,
{
    move |text| {
        let number = text.trim().parse().ok();
        number
            .filter(|number| range.contains(number))
            .ok_or_else(|| {
                let (least, most) = (range.start(), range.end());
                format!("must be a number between {least} and {most}")
            })
    }
}

/// A duration within a range of seconds: humantime, or a bare number in the unit that ends the name.
pub(super) fn duration(
    variable: &Variable,
    range: RangeInclusive<f64>,
) -> impl Fn(&str) -> Result<Duration, Rule> {
    let a_second = match variable.name.ends_with("_MS") {
        true => 1000.0,
        false => 1.0,
    };
    move |text| {
        let text = text.trim();
        let seconds = match text.parse::<f64>() {
            Ok(number) => Some(number / a_second),
            Err(_) => humantime::parse_duration(text)
                .ok()
                .map(|time| time.as_secs_f64()),
        };
        let seconds = seconds.filter(|seconds| range.contains(seconds));
        seconds.map(Duration::from_secs_f64).ok_or_else(|| {
            let bounds = [*range.start(), *range.end()].map(Duration::from_secs_f64);
            let [least, most] = bounds.map(humantime::format_duration);
            format!("must be a duration between {least} and {most}")
        })
    }
}

/// `None` for `off`, else what `parse` makes of the text.
pub(super) fn unless_off<T>(
    parse: impl Fn(&str) -> Result<T, Rule>,
) -> impl Fn(&str) -> Result<Option<T>, Rule> {
    move |text| match text.trim().eq_ignore_ascii_case("off") {
        true => Ok(None),
        false => parse(text)
            .map(Some)
            .map_err(|rule| format!("{rule}, or `off`")),
    }
}

/// The value of the word that the text is.
pub(super) fn word<T: Copy>(words: &[(&str, T)]) -> impl Fn(&str) -> Result<T, Rule> {
    move |text| {
        let mut known = words.iter();
        let found = known.find(|(word, _)| text.trim().eq_ignore_ascii_case(word));
        found.map(|(_, value)| *value).ok_or_else(|| {
            let words: Vec<String> = words.iter().map(|(word, _)| format!("`{word}`")).collect();
            format!("must be one of {}", words.join(", "))
        })
    }
}

/// A text that is not blank.
pub(super) fn text(text: &str) -> Result<String, Rule> {
    match text.trim() {
        "" => Err("must not be empty".to_owned()),
        text => Ok(text.to_owned()),
    }
}

/// One or more items, separated by commas, each made by `parse`.
pub(super) fn list<T>(
    parse: impl Fn(&str) -> Result<T, Rule>,
) -> impl Fn(&str) -> Result<Vec<T>, Rule> {
    let item = move |item: &str| match item.trim() {
        "" => Err("must not have an empty item".to_owned()),
        item => parse(item),
    };
    move |text| text.split(',').map(&item).collect()
}

#[cfg(test)]
mod tests {
    use super::super::variables::{CIRCUIT_BREAKER_SLOW_CALL_MS, SYNC_INTERVAL_SECONDS};
    use super::*;

    #[test]
    fn durations_take_bare_numbers_in_the_names_unit_and_humantime() {
        let parse = |variable, text| duration(variable, 0.0..=3600.0)(text);
        for (variable, text, milliseconds) in [
            (&SYNC_INTERVAL_SECONDS, "60", Some(60_000)),
            (&SYNC_INTERVAL_SECONDS, "0.25", Some(250)),
            (&SYNC_INTERVAL_SECONDS, "250ms", Some(250)),
            (&SYNC_INTERVAL_SECONDS, "1m 30s", Some(90_000)),
            (&CIRCUIT_BREAKER_SLOW_CALL_MS, "1500", Some(1500)),
            (&CIRCUIT_BREAKER_SLOW_CALL_MS, "2s", Some(2000)),
            (&SYNC_INTERVAL_SECONDS, "-1", None),
            (&SYNC_INTERVAL_SECONDS, "NaN", None),
            (&SYNC_INTERVAL_SECONDS, "soon", None),
            (&SYNC_INTERVAL_SECONDS, "", None),
            (&SYNC_INTERVAL_SECONDS, "2h", None),
            (&SYNC_INTERVAL_SECONDS, "1e300", None),
        ] {
            assert_eq!(
                parse(variable, text).ok(),
                milliseconds.map(Duration::from_millis),
                "{text}"
            );
        }
        assert_eq!(
            parse(&SYNC_INTERVAL_SECONDS, "2h"),
            Err("must be a duration between 0s and 1h".to_owned())
        );
    }

    #[test]
    fn numbers_keep_to_their_range() {
        assert_eq!(number(1..=10)("7"), Ok(7));
        assert_eq!(number(0.0..=1.0)("0.5"), Ok(0.5));
        for bad in ["0", "11", "x", "", "1.5", "-1"] {
            let rule = "must be a number between 1 and 10".to_owned();
            assert_eq!(number::<u32>(1..=10)(bad), Err(rule), "{bad}");
        }
        assert!(number(0.0..=1.0)("NaN").is_err());
    }

    #[test]
    fn words_lists_and_off() {
        assert_eq!(boolean("TRUE"), Ok(true));
        assert!(boolean("maybe").is_err());
        assert_eq!(word(&[("a", 1), ("b", 2)])("b"), Ok(2));
        assert_eq!(
            word(&[("a", 1), ("b", 2)])("c"),
            Err("must be one of `a`, `b`".into())
        );
        assert_eq!(list(text)("a, b"), Ok(vec!["a".to_owned(), "b".to_owned()]));
        assert!(list(text)("a,,b").is_err());
        assert!(list(text)("").is_err());
        assert_eq!(unless_off(boolean)("off"), Ok(None));
        assert_eq!(unless_off(boolean)("true"), Ok(Some(true)));
    }
}

//! Texts to values: each function either gives the value or the rule that the text breaks.

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
pub(super) fn number<T>(text: &str, range: &RangeInclusive<T>) -> Result<T, Rule>
where
    T: FromStr + PartialOrd + Display,
{
    text.trim()
        .parse()
        .ok()
        .filter(|number| range.contains(number))
        .ok_or_else(|| {
            format!(
                "must be a number between {} and {}",
                range.start(),
                range.end()
            )
        })
}

/// A duration within `range`: humantime, or a bare number in the unit that ends the name.
pub(super) fn duration(
    text: &str,
    variable: &Variable,
    range: &RangeInclusive<Duration>,
) -> Result<Duration, Rule> {
    let text = text.trim();
    let duration = match text.parse::<f64>() {
        Ok(number) => {
            let milliseconds = variable.name.ends_with("_MS");
            let seconds = if milliseconds {
                number / 1000.0
            } else {
                number
            };
            Duration::try_from_secs_f64(seconds).ok()
        }
        Err(_) => humantime::parse_duration(text).ok(),
    };
    duration
        .filter(|duration| range.contains(duration))
        .ok_or_else(|| {
            format!(
                "must be a duration between {} and {}",
                humantime::format_duration(*range.start()),
                humantime::format_duration(*range.end()),
            )
        })
}

/// `None` for `off`, else what `parse` makes of the text.
pub(super) fn unless_off<T>(
    text: &str,
    parse: impl FnOnce(&str) -> Result<T, Rule>,
) -> Result<Option<T>, Rule> {
    if text.trim().eq_ignore_ascii_case("off") {
        return Ok(None);
    }
    parse(text)
        .map(Some)
        .map_err(|rule| format!("{rule}, or `off`"))
}

/// The value of the word that `text` is.
pub(super) fn word<T: Copy>(text: &str, words: &[(&str, T)]) -> Result<T, Rule> {
    words
        .iter()
        .find(|(word, _)| text.trim().eq_ignore_ascii_case(word))
        .map(|(_, value)| *value)
        .ok_or_else(|| {
            let words: Vec<String> = words.iter().map(|(word, _)| format!("`{word}`")).collect();
            format!("must be one of {}", words.join(", "))
        })
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
    text: &str,
    mut parse: impl FnMut(&str) -> Result<T, Rule>,
) -> Result<Vec<T>, Rule> {
    text.split(',')
        .map(|item| match item.trim() {
            "" => Err("must not have an empty item".to_owned()),
            item => parse(item),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::variables::{CIRCUIT_BREAKER_SLOW_CALL_MS, SYNC_INTERVAL_SECONDS};
    use super::*;

    #[test]
    fn durations_take_bare_numbers_in_the_names_unit_and_humantime() {
        let range = Duration::ZERO..=Duration::from_secs(3600);
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
                duration(text, variable, &range).ok(),
                milliseconds.map(Duration::from_millis),
                "{text}"
            );
        }
        assert_eq!(
            duration("2h", &SYNC_INTERVAL_SECONDS, &range),
            Err("must be a duration between 0s and 1h".to_owned())
        );
    }

    #[test]
    fn numbers_keep_to_their_range() {
        assert_eq!(number("7", &(1..=10)), Ok(7));
        assert_eq!(number("0.5", &(0.0..=1.0)), Ok(0.5));
        for bad in ["0", "11", "x", "", "1.5", "-1"] {
            let rule = "must be a number between 1 and 10".to_owned();
            assert_eq!(number::<u32>(bad, &(1..=10)), Err(rule), "{bad}");
        }
        assert!(number("NaN", &(0.0..=1.0)).is_err());
    }

    #[test]
    fn words_lists_and_off() {
        assert_eq!(boolean("TRUE"), Ok(true));
        assert!(boolean("maybe").is_err());
        assert_eq!(word("b", &[("a", 1), ("b", 2)]), Ok(2));
        assert_eq!(
            word("c", &[("a", 1), ("b", 2)]),
            Err("must be one of `a`, `b`".into())
        );
        assert_eq!(list("a, b", text), Ok(vec!["a".to_owned(), "b".to_owned()]));
        assert!(list("a,,b", text).is_err());
        assert!(list("", text).is_err());
        assert_eq!(unless_off("off", boolean), Ok(None));
        assert_eq!(unless_off("true", boolean), Ok(Some(true)));
    }
}

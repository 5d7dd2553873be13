//! Texts to values: each function either gives the value or the rule that the text breaks. Those
//! that need a range or other parts give a function that does.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

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
        let (least, most) = (range.start(), range.end());
        match text.trim().parse() {
            Ok(number) if range.contains(&number) => Ok(number),
            _ => Err(format!("must be a number between {least} and {most}")),
        }
    }
}

/// A rate that opens a circuit, over 0 and up to 1. Zero would open it at every call.
pub(super) fn rate(text: &str) -> Result<f64, Rule> {
    match number(0.0..=1.0)(text)? {
        0.0 => Err("must be more than 0".to_owned()),
        rate => Ok(rate),
    }
}

/// A duration within a range of seconds: humantime, or a bare number of seconds.
pub(super) fn seconds(range: RangeInclusive<f64>) -> impl Fn(&str) -> Result<Duration, Rule> {
    duration(1.0, range)
}

/// A duration within a range of milliseconds: humantime, or a bare number of milliseconds.
pub(super) fn millis(range: RangeInclusive<f64>) -> impl Fn(&str) -> Result<Duration, Rule> {
    duration(1000.0, range)
}

fn duration(
    in_a_second: f64,
    range: RangeInclusive<f64>,
) -> impl Fn(&str) -> Result<Duration, Rule> {
    let duration = move |number: f64| Duration::from_secs_f64(number / in_a_second);
    move |text| {
        let text = text.trim();
        let number = text.parse().or_else(|_| {
            let duration = humantime::parse_duration(text);
            duration.map(|duration| duration.as_secs_f64() * in_a_second)
        });
        match number {
            Ok(number) if range.contains(&number) => Ok(duration(number)),
            _ => {
                let bounds = [*range.start(), *range.end()].map(duration);
                let [least, most] = bounds.map(humantime::format_duration);
                Err(format!("must be a duration between {least} and {most}"))
            }
        }
    }
}

/// `None` for a variable that is unset, else what `parse` makes of the text.
pub(super) fn maybe<T>(
    parse: impl Fn(&str) -> Result<T, Rule>,
) -> impl Fn(&str) -> Result<Option<T>, Rule> {
    move |text| match text {
        "" => Ok(None),
        text => parse(text).map(Some),
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

/// The value whose word the text is.
pub(super) fn word<T: Copy>(
    values: &[T],
    word: fn(T) -> &'static str,
) -> impl Fn(&str) -> Result<T, Rule> {
    move |text| {
        let mut known = values.iter().copied();
        let found = known.find(|value| text.trim().eq_ignore_ascii_case(word(*value)));
        found.ok_or_else(|| {
            let words = values.iter().map(|value| format!("`{}`", word(*value)));
            format!("must be one of {}", words.collect::<Vec<_>>().join(", "))
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

/// A text taken as it is: blanks at the ends of a path or a secret may be meant.
pub(super) fn plain<T: for<'a> From<&'a str>>(text: &str) -> Result<T, Rule> {
    Ok(text.into())
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
    use super::*;

    #[test]
    fn durations_take_bare_numbers_in_their_unit_and_humantime() {
        for (text, of_seconds, of_millis) in [
            ("60", Some(60_000), Some(60)),
            ("0.25", Some(250), None),
            ("250ms", Some(250), Some(250)),
            ("1m 30s", Some(90_000), Some(90_000)),
            ("1500", Some(1_500_000), Some(1500)),
            ("1ms", None, Some(1)),
            ("1h", Some(3_600_000), Some(3_600_000)),
            ("-1", None, None),
            ("NaN", None, None),
            ("soon", None, None),
            ("", None, None),
            ("2h", None, None),
            ("1e300", None, None),
        ] {
            let duration = |millis| Ok(Duration::from_millis(millis));
            let or_none = |duration: Result<_, _>| duration.ok().map(Ok::<_, Rule>);
            let found = seconds(0.05..=3600.0)(text);
            assert_eq!(or_none(found), of_seconds.map(duration), "{text}");
            let found = millis(1.0..=3_600_000.0)(text);
            assert_eq!(or_none(found), of_millis.map(duration), "{text}");
        }
        for error in [
            seconds(0.05..=3600.0)("2h"),
            millis(50.0..=3_600_000.0)("2h"),
        ] {
            let rule = "must be a duration between 50ms and 1h";
            assert_eq!(error, Err(rule.to_owned()));
        }
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
        let a_or_b = word(&["a", "b"], |word| word);
        assert_eq!(a_or_b("B"), Ok("b"));
        assert_eq!(a_or_b("c"), Err("must be one of `a`, `b`".into()));
        assert_eq!(list(text)("a, b"), Ok(vec!["a".to_owned(), "b".to_owned()]));
        assert!(list(text)("a,,b").is_err());
        assert!(list(text)("").is_err());
        assert_eq!(unless_off(boolean)("off"), Ok(None));
        assert_eq!(maybe(boolean)(""), Ok(None));
        assert!(maybe(boolean)(" ").is_err());
        assert_eq!(unless_off(boolean)("true"), Ok(Some(true)));
    }
}

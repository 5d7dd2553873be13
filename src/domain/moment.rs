//! Moments as text. Times come from outside: databases hold the year 12026, and infinity.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// From 0001-01-01 to 1970, in seconds.
const BEFORE_1970: u64 = 62_135_596_800;
/// From 1970 to 10000-01-01, the first moment that has no text.
const AFTER_1970: u64 = 253_402_300_800;
/// After 400 years the calendar is the same again.
const YEARS_PER_ERA: u64 = 400;
const SECONDS_PER_ERA: u64 = 146_097 * 86_400;

/// RFC 3339 in UTC, with microseconds: `2026-11-28T23:57:27.123456Z`. `None` for what it cannot
/// write: years before 1 and after 9999, and so infinity.
///
/// The library writes years from 1970 on; earlier years are written as the same ones of a later era.
#[expect(clippy::disallowed_methods, reason = "within the years it can write")]
pub fn rfc3339(at: SystemTime) -> Option<String> {
    let at = writable(at)?;
    let eras: u64 = if at < UNIX_EPOCH { 5 } else { 0 };
    let later = at.checked_add(Duration::from_secs(eras * SECONDS_PER_ERA))?;
    let text = humantime::format_rfc3339_micros(later).to_string();
    let (year, rest) = text.split_at_checked(4)?;
    let year = digits(year)?.checked_sub(eras * YEARS_PER_ERA)?;
    Some(format!("{year:04}{rest}"))
}

/// Reads RFC 3339: any year and offset, letters of either case. A space before the offset is a `+` that
/// came in a URL.
///
/// The library reads UTC, and years from 1970 on; earlier years are read as the same ones of a later era.
pub fn parse(text: &str) -> Option<SystemTime> {
    let text = text.to_ascii_uppercase();
    let (local, offset) = match text.strip_suffix('Z') {
        Some(local) => (local, Offset::default()),
        None => {
            let (local, offset) = text.split_at_checked(text.len().checked_sub(OFFSET)?)?;
            (local, Offset::parse(offset)?)
        }
    };
    let (year, rest) = local.split_at_checked(4)?;
    let year: u64 = digits(year)?;
    let eras = 1970_u64.saturating_sub(year).div_ceil(YEARS_PER_ERA);
    let later = format!("{:04}{rest}Z", year + eras * YEARS_PER_ERA);
    let later = humantime::parse_rfc3339(&later).ok()?;
    let at = later.checked_sub(Duration::from_secs(eras * SECONDS_PER_ERA))?;
    match offset.is_west {
        true => at.checked_add(offset.from_utc),
        false => at.checked_sub(offset.from_utc),
    }
}

/// The length of `+01:00`.
const OFFSET: usize = 6;

#[derive(Default)]
struct Offset {
    is_west: bool,
    from_utc: Duration,
}

impl Offset {
    fn parse(text: &str) -> Option<Self> {
        let (sign, time) = text.split_at_checked(1)?;
        let (hours, minutes) = time.split_once(':')?;
        let (hours, minutes) = (digits(hours)?, digits(minutes)?);
        let is_west = match sign {
            "+" | " " => false,
            "-" => true,
            _ => return None,
        };
        (hours < 24 && minutes < 60).then(|| Self {
            is_west,
            from_utc: Duration::from_secs(hours * 3600 + minutes * 60),
        })
    }
}

/// A number of digits alone: no sign.
fn digits(text: &str) -> Option<u64> {
    let all = text.bytes().all(|byte| byte.is_ascii_digit());
    all.then(|| text.parse().ok()).flatten()
}

/// The moment, if [`rfc3339`] can write it.
pub fn writable(at: SystemTime) -> Option<SystemTime> {
    let first = UNIX_EPOCH.checked_sub(Duration::from_secs(BEFORE_1970))?;
    let end = UNIX_EPOCH.checked_add(Duration::from_secs(AFTER_1970))?;
    (first..end).contains(&at).then_some(at)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn at(seconds: i64) -> SystemTime {
        let away = Duration::from_secs(seconds.unsigned_abs());
        match seconds < 0 {
            true => UNIX_EPOCH - away,
            false => UNIX_EPOCH + away,
        }
    }

    /// CASES.md D4.
    #[test]
    fn every_year_that_has_a_text_is_written_and_no_other() {
        for (seconds, text) in [
            (-62_135_596_801, None),
            (-62_135_596_800, Some("0001-01-01T00:00:00.000000Z")),
            (-62_130_412_801, Some("0001-03-01T23:59:59.000000Z")),
            (-11_676_096_000, Some("1600-01-01T00:00:00.000000Z")),
            (-2_203_891_201, Some("1900-02-28T23:59:59.000000Z")),
            (-2_203_891_200, Some("1900-03-01T00:00:00.000000Z")),
            (-3600, Some("1969-12-31T23:00:00.000000Z")),
            (0, Some("1970-01-01T00:00:00.000000Z")),
            (951_782_400, Some("2000-02-29T00:00:00.000000Z")),
            (253_402_300_799, Some("9999-12-31T23:59:59.000000Z")),
            (253_402_300_800, None),
            (i64::MAX, None),
            (i64::MIN, None),
        ] {
            let at = at(seconds);
            assert_eq!(rfc3339(at).as_deref(), text, "{seconds}");
            assert_eq!(writable(at).is_some(), text.is_some(), "{seconds}");
        }
        let before = UNIX_EPOCH - Duration::from_nanos(1);
        assert_eq!(rfc3339(before).unwrap(), "1969-12-31T23:59:59.999999Z");
    }

    #[test]
    fn every_form_of_a_time_is_read() {
        let morning = parse("2026-11-29T08:00:00Z").unwrap();
        for same in [
            "2026-11-29T09:00:00+01:00",
            "2026-11-29T09:00:00 01:00",
            "2026-11-29t09:00:00+01:00",
            "2026-11-29T02:30:00-05:30",
            "2026-11-29t08:00:00z",
            "2026-11-29T08:00:00.000Z",
            "2026-11-30T07:59:00+23:59",
        ] {
            assert_eq!(parse(same), Some(morning), "{same}");
        }
        for (text, seconds) in [
            ("1969-12-31T23:59:59Z", -1),
            ("1969-12-31T23:59:59-00:01", 59),
            ("0001-01-01T00:00:00Z", -62_135_596_800),
            ("1900-02-28T23:59:59Z", -2_203_891_201),
            ("9999-12-31T23:59:59Z", 253_402_300_799),
        ] {
            assert_eq!(parse(text), Some(at(seconds)), "{text}");
        }
        for no_time in [
            "",
            "Z",
            "1h",
            "2026-11-29",
            "2026-11-29T08:00:00",
            "2026-11-29T08:00:00+24:00",
            "2026-11-29T08:00:00+01:60",
            "2026-11-29T08:00:00*01:00",
            "1900-02-29T00:00:00Z",
            "+026-11-29T08:00:00Z",
            "2026-13-29T08:00:00Z",
            "2026-11-29T08:00:00+0\u{e9}:00",
            "\u{1f680}\u{1f680}Z",
        ] {
            assert_eq!(parse(no_time), None, "{no_time}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(us in -62_135_596_800_000_000_i64..253_402_300_800_000_000) {
            let away = Duration::from_micros(us.unsigned_abs());
            let at = if us < 0 { UNIX_EPOCH - away } else { UNIX_EPOCH + away };
            prop_assert_eq!(parse(&rfc3339(at).unwrap()), Some(at));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[0-9TtZz:+ .\u{e9}-]{0,30}|.{0,30}") {
            let _ = parse(&text);
        }

        /// Days go on without gaps: each has the next date.
        #[test]
        fn the_day_after_is_the_next(day in 0_u64..3_652_058) {
            let date = |day: u64| {
                let text = rfc3339(at(i64::try_from(day * 86_400).unwrap() - 62_135_596_800));
                let text = text.unwrap();
                let parts = text[..10].split('-').map(|it| it.parse().unwrap());
                let parts: Vec<u64> = parts.collect();
                (parts[0], parts[1], parts[2])
            };
            let ((year, month, of_month), next) = (date(day), date(day + 1));
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let last = match month {
                2 => 28 + u64::from(leap),
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            let expected = match (of_month == last, month) {
                (false, _) => (year, month, of_month + 1),
                (true, 12) => (year + 1, 1, 1),
                (true, _) => (year, month + 1, 1),
            };
            prop_assert_eq!(next, expected);
        }
    }
}

//! Moments as text. Times come from outside: databases hold the year 12026, and infinity.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// 0001-01-01, in microseconds of the Unix epoch.
const FIRST_US: i128 = -62_135_596_800_000_000;
/// 10000-01-01, the first moment that has no text.
const END_US: i128 = 253_402_300_800_000_000;
const US_PER_SECOND: u64 = 1_000_000;
const SECONDS_PER_DAY: u64 = 86_400;
/// After 400 years the calendar is the same again.
const YEARS_PER_ERA: u64 = 400;
const DAYS_PER_ERA: u64 = 146_097;

/// RFC 3339 in UTC, with microseconds: `2026-11-28T23:57:27.123456Z`. `None` for what it cannot
/// write: years before 1 and after 9999, and so infinity.
pub fn rfc3339(at: SystemTime) -> Option<String> {
    let since_first = since_first_us(at)?;
    let (seconds, us) = (since_first / US_PER_SECOND, since_first % US_PER_SECOND);
    let (year, month, day) = date(seconds / SECONDS_PER_DAY);
    let of_day = seconds % SECONDS_PER_DAY;
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    Some(format!(
        "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{us:06}Z"
    ))
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
    let at = later.checked_sub(Duration::from_secs(eras * DAYS_PER_ERA * SECONDS_PER_DAY))?;
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
    since_first_us(at).map(|_| at)
}

/// Whole microseconds since the first moment that has a text.
fn since_first_us(at: SystemTime) -> Option<u64> {
    let nanos = match at.duration_since(UNIX_EPOCH) {
        Ok(after) => i128::try_from(after.as_nanos()).ok()?,
        Err(before) => i128::try_from(before.duration().as_nanos())
            .ok()?
            .checked_neg()?,
    };
    let us = nanos.div_euclid(1000);
    let written = (FIRST_US..END_US).contains(&us);
    u64::try_from(us - FIRST_US).ok().filter(|_| written)
}

/// Year, month and day, that many days after 0001-01-01. Reckoned in years that begin in March, so
/// that a leap day is the last one (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms").
const fn date(days: u64) -> (u64, u64, u64) {
    const FROM_MARCH_OF_YEAR_0: u64 = 306;
    let days = days + FROM_MARCH_OF_YEAR_0;
    let (era, day) = (days / DAYS_PER_ERA, days % DAYS_PER_ERA);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let of_month = of_year - (153 * month + 2) / 5 + 1;
    let year = YEARS_PER_ERA * era + year;
    if month < 10 {
        (year, month + 3, of_month)
    } else {
        (year + 1, month - 9, of_month)
    }
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

        /// The library knows the years from 1970 on.
        #[test]
        fn years_after_1970_are_as_everybody_writes_them(us in 0_u64..253_402_300_800_000_000) {
            let at = UNIX_EPOCH + Duration::from_micros(us);
            #[expect(clippy::disallowed_methods, reason = "within the years it can write")]
            let known = humantime::format_rfc3339_micros(at).to_string();
            prop_assert_eq!(rfc3339(at).unwrap(), known);
        }

        /// Days go on without gaps: each has the next date.
        #[test]
        fn the_day_after_is_the_next(day in 0_u64..3_652_058) {
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

//! How long a busy extension asks to rest: the hint in its error reply.
//!
//! A hint is for what all callers share. An extension that limits one tenant gives none, and goes on
//! serving the others.

use std::time::Duration;

/// The header with whole or fractional milliseconds; it counts before [`RETRY_AFTER`].
pub const RETRY_AFTER_MS: &str = "Beamline-Retry-After-Ms";
/// HTTP's header, in seconds; its other form, a date, is no hint.
pub const RETRY_AFTER: &str = "Retry-After";

/// No rest is longer, whatever a reply asks for.
const LONGEST_REST: Duration = Duration::from_secs(300);

/// What a reply asks for about when to come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hint {
    /// The time to rest; `None` where the reply has zero or less, which means: do not try again.
    pub rest: Option<Duration>,
}

impl Hint {
    /// Reads the headers of a reply through `header`; `None` where neither can be read.
    pub fn read<'a>(header: impl Fn(&'static str) -> Option<&'a str>) -> Option<Self> {
        let number = |name| header(name)?.trim().parse::<f64>().ok();
        let finite = |name| number(name).filter(|number| number.is_finite());
        let millis = finite(RETRY_AFTER_MS).map(|ms| ms / 1e3);
        let seconds = millis.or_else(|| finite(RETRY_AFTER))?;
        let rest = Duration::try_from_secs_f64(seconds.min(LONGEST_REST.as_secs_f64()));
        Some(Self {
            rest: rest.ok().filter(|rest| !rest.is_zero()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Milliseconds of rest.
    fn read(millis: Option<&str>, seconds: Option<&str>) -> Option<Option<u128>> {
        let hint = Hint::read(|name| match name {
            RETRY_AFTER_MS => millis,
            _ => seconds,
        })?;
        Some(hint.rest.map(|rest| rest.as_millis()))
    }

    #[test]
    fn a_hint_is_a_number_of_either_header_and_never_more_than_five_minutes() {
        for (millis, seconds, expected) in [
            (None, None, None),
            (Some("250"), None, Some(Some(250))),
            (None, Some("2"), Some(Some(2000))),
            (None, Some(" 1.5 "), Some(Some(1500))),
            (Some("250"), Some("2"), Some(Some(250))),
            (Some("soon"), Some("2"), Some(Some(2000))),
            (Some("NaN"), Some("2"), Some(Some(2000))),
            (Some("infinity"), Some("2"), Some(Some(2000))),
            (None, Some("Wed, 21 Oct 2026 07:28:00 GMT"), None),
            (Some(""), None, None),
            (Some("NaN"), None, None),
            (Some("inf"), None, None),
            (Some("0"), None, Some(None)),
            (Some("-1"), None, Some(None)),
            (None, Some("-1e300"), Some(None)),
            (None, Some("86400"), Some(Some(300_000))),
            (Some("1e300"), None, Some(Some(300_000))),
        ] {
            assert_eq!(read(millis, seconds), expected, "{millis:?} {seconds:?}");
        }
    }
}

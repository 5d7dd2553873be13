//! A `timestamptz` as it comes: every one can be read, infinity too.

use std::error::Error;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio_postgres::types::{FromSql, Type, accepts};

use crate::domain::moment::writable;

/// 2000-01-01, where the database's times begin.
const EPOCH: Duration = Duration::from_secs(946_684_800);

/// Microseconds since 2000; the least and the greatest stand for minus infinity and infinity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp(i64);

impl<'a> FromSql<'a> for Stamp {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(i64::from_be_bytes(raw.try_into()?)))
    }

    accepts!(TIMESTAMPTZ, TIMESTAMP);
}

impl Stamp {
    /// The moment by the database's clock; `None` for one that no reply can write.
    pub(super) fn moment(self) -> Option<SystemTime> {
        moved(UNIX_EPOCH.checked_add(EPOCH)?, self.0).and_then(writable)
    }

    /// The moment by our own clock, where the database's shows `now`; `None` for one that no reply
    /// can write.
    fn by_our_clock(self, now: Self) -> Option<SystemTime> {
        moved(SystemTime::now(), self.0.saturating_sub(now.0)).and_then(writable)
    }

    /// A past moment by our monotonic clock, when the database's clock shows `now`; a later one
    /// counts as now. `None` for a time that no reply can write.
    pub(super) fn past(self, now: Self) -> Option<Instant> {
        self.by_our_clock(now)?;
        let ago = now.0.saturating_sub(self.0).max(0).unsigned_abs();
        Instant::now().checked_sub(Duration::from_micros(ago))
    }

    /// How long after `now` it is, at most [`Duration::MAX`] for infinity; nothing for the past.
    pub(super) fn ahead_of(self, now: Self) -> Duration {
        match self.0 {
            i64::MAX => Duration::MAX,
            at => Duration::from_micros(at.saturating_sub(now.0).max(0).unsigned_abs()),
        }
    }
}

/// `from`, moved by that many microseconds; `None` beyond what the system can represent.
fn moved(from: SystemTime, us: i64) -> Option<SystemTime> {
    let away = Duration::from_micros(us.unsigned_abs());
    match us < 0 {
        true => from.checked_sub(away),
        false => from.checked_add(away),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::moment::rfc3339;

    /// CASES.md D4.
    #[test]
    fn every_stamp_is_read_and_those_beyond_the_calendar_are_no_moment() {
        const YEAR_US: i64 = 31_556_952_000_000;
        let text = |us: i64| Stamp(us).moment().and_then(rfc3339);
        assert_eq!(text(0).unwrap(), "2000-01-01T00:00:00.000000Z");
        assert_eq!(text(-1).unwrap(), "1999-12-31T23:59:59.999999Z");
        assert!(text(-1998 * YEAR_US).unwrap().starts_with("000"));
        for us in [
            i64::MIN,
            i64::MIN + 1,
            -2100 * YEAR_US,
            8001 * YEAR_US,
            i64::MAX,
        ] {
            assert_eq!(text(us), None, "{us}");
            assert_eq!(Stamp(us).by_our_clock(Stamp(0)), None, "{us}");
        }
        let (now, past) = (Stamp(100), Stamp(i64::MIN));
        for now in [now, past] {
            assert_eq!(Stamp(i64::MAX).ahead_of(now), Duration::MAX);
        }
        assert_eq!(past.ahead_of(now), Duration::ZERO);
        assert_eq!(Stamp(107).ahead_of(now), Duration::from_micros(7));
    }
}

//! Whole numbers of requests, as fields of JSON and as parameters of a URL.

use std::ops::RangeInclusive;

use serde::de::{Deserialize, Deserializer, Error};
use serde_json::value::RawValue;

use crate::domain::whole::whole;
use crate::service::progress::MAX_WAIT_MS;
use crate::service::read::MAX_PAGE;

/// Revisions, milliseconds from now, ids of entries.
pub const ANY: RangeInclusive<u64> = 0..=u64::MAX;
/// Rows of a page.
pub const ROWS: RangeInclusive<u64> = 1..=MAX_PAGE as u64;
/// How long a read may wait, in milliseconds.
pub const WAITS_MS: RangeInclusive<u64> = 0..=MAX_WAIT_MS;

/// An optional number of [`ANY`] size.
pub fn any<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    within(deserializer, &ANY)
}

/// An optional number of [`ROWS`].
pub fn rows<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    within(deserializer, &ROWS)
}

/// An optional number of milliseconds to wait.
pub fn waits_ms<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    within(deserializer, &WAITS_MS)
}

/// An optional number within `range`. Its text is read, not a float: clients that write all numbers
/// as floats are understood, and no digit is lost.
pub fn within<'de, D: Deserializer<'de>>(
    deserializer: D,
    range: &RangeInclusive<u64>,
) -> Result<Option<u64>, D::Error> {
    let text = Option::<&RawValue>::deserialize(deserializer)?;
    let number = text.map(|text| whole(text.get(), range));
    number.transpose().map_err(D::Error::custom)
}

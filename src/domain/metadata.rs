//! What the daemon itself reads of an extension's `metadata`: its limits.
//!
//! A limit that cannot be read would silently be no limit. So it is a fault, from any source.

use super::json::{JsonObject, KeyFault, Reader};
use super::whole::whole;

/// The limits that an extension sets; the daemon's apply for the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OwnLimits {
    /// The largest payload, in bytes.
    pub max_payload_size: Option<usize>,
    /// The largest request metadata, in bytes.
    pub max_metadata_size: Option<usize>,
    /// Calls at a time; with 0 there are none.
    pub max_in_flight: Option<usize>,
}

impl OwnLimits {
    /// Each with its key.
    pub fn named(self) -> [(&'static str, Option<usize>); 3] {
        [
            ("max_payload_size", self.max_payload_size),
            ("max_metadata_size", self.max_metadata_size),
            ("max_in_flight", self.max_in_flight),
        ]
    }
}

/// Far beyond every limit of a daemon, and a number that every language holds exactly.
const MOST: usize = 1 << 53;

impl OwnLimits {
    /// Reads the limits in `metadata`; the error names every key at fault.
    ///
    /// # Errors
    /// A limit that is no whole number.
    pub fn read(metadata: &JsonObject) -> Result<Self, Vec<KeyFault>> {
        let mut reader = Reader::of(metadata, "");
        let mut limit = |key| reader.read(key, |value| whole(value, &(0..=MOST)));
        let limits = Self {
            max_payload_size: limit("max_payload_size"),
            max_metadata_size: limit("max_metadata_size"),
            max_in_flight: limit("max_in_flight"),
        };
        reader.done(limits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(metadata: &str) -> Result<[Option<usize>; 3], String> {
        let limits = OwnLimits::read(&JsonObject::parse(metadata).unwrap());
        let limits = limits.map(|limits| {
            [
                limits.max_payload_size,
                limits.max_metadata_size,
                limits.max_in_flight,
            ]
        });
        limits.map_err(|faults| {
            let faults: Vec<_> = faults.iter().map(ToString::to_string).collect();
            faults.join("; ")
        })
    }

    /// CASES.md C5.
    #[test]
    fn a_limit_is_a_whole_number_however_it_is_written_or_a_fault() {
        for (metadata, expected) in [
            ("{}", [None; 3]),
            (
                r#"{"max_payload_size":2000,"max_metadata_size":0,"max_in_flight":1}"#,
                [Some(2000), Some(0), Some(1)],
            ),
            (
                r#"{"max_payload_size":1e2,"max_in_flight":1.0}"#,
                [Some(100), None, Some(1)],
            ),
            (r#"{"max_payload_size":null,"a":[]}"#, [None; 3]),
            (r#"{"owner":{"max_in_flight":"1"}}"#, [None; 3]),
        ] {
            assert_eq!(read(metadata), Ok(expected), "{metadata}");
        }
        let rule = "must be a whole number from 0 to 9007199254740992";
        for bad in ["\"1\"", "\"100B\"", "-1", "1.5", "true", "[1]", "1e400"] {
            let metadata = format!(r#"{{"max_in_flight":{bad},"max_metadata_size":{bad}}}"#);
            let faults = format!("`max_metadata_size` {rule}; `max_in_flight` {rule}");
            assert_eq!(read(&metadata), Err(faults), "{metadata}");
        }
    }
}

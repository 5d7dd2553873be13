//! What an extension's `metadata` set for its calls: which instance gets them, how long a stream
//! may take, and when a fallback is called.
//!
//! A setting that cannot be read leaves its default in force, which is safe: so it is a fault only
//! when it is written, and a warning of what is there already.

use std::time::Duration;

use super::balancer::Balance;
use super::json::{JsonObject, KeyFault, Reader, string};
use super::whole::whole;

/// The longest that a stream may be given for anything, in milliseconds.
const MOST_MS: u64 = 3_600_000;
/// How long a stream may go on by default.
const DEFAULT_TOTAL: Duration = Duration::from_secs(600);

/// How calls of one extension go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CallRules {
    /// How an instance is chosen.
    pub balance: Balance,
    /// How long streams may take.
    pub stream: StreamLimits,
    /// Whether a fallback is called only where the circuit is open, and not for a call that failed.
    pub fallback_on_open_only: bool,
}

/// How long an answer in pieces may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamLimits {
    /// From the begin of an attempt to the first piece; by default the timeout.
    pub first_chunk: Option<Duration>,
    /// From one piece to the next; by default the timeout.
    pub gap: Option<Duration>,
    /// From the begin of the attempt to the end.
    pub total: Duration,
}

impl Default for StreamLimits {
    fn default() -> Self {
        Self {
            first_chunk: None,
            gap: None,
            total: DEFAULT_TOTAL,
        }
    }
}

impl CallRules {
    /// Reads `metadata`, and names every key at fault; those have their default.
    pub fn read(metadata: &JsonObject) -> (Self, Vec<KeyFault>) {
        let mut reader = Reader::of(metadata, "");
        // As in a database, which keeps no escapes, so in a file.
        let open_only = reader.read("fallback_on", |json| match string(json).as_deref() {
            Some("open") => Ok(true),
            _ => Err("must be `open`"),
        });
        let balance = reader.read("balance", |json| match string(json).as_deref() {
            Some("adaptive") => Ok(Balance::Adaptive),
            Some("weighted") => Ok(Balance::Weighted),
            _ => Err("must be `adaptive` or `weighted`"),
        });
        let object = |json: &str| JsonObject::parse(json).map_err(|_| "must be a JSON object");
        let stream = reader.read("stream", object);
        let stream = stream.map(|given| StreamLimits::read(&given, &mut reader.faults));
        let rules = Self {
            balance: balance.unwrap_or_default(),
            stream: stream.unwrap_or_default(),
            fallback_on_open_only: open_only.unwrap_or_default(),
        };
        (rules, reader.faults)
    }
}

impl StreamLimits {
    fn read(given: &JsonObject, faults: &mut Vec<KeyFault>) -> Self {
        let mut reader = Reader::of(given, "stream.");
        let time = |json: &str| whole(json, &(1..=MOST_MS)).map(Duration::from_millis);
        let limits = Self {
            first_chunk: reader.read("first_chunk_ms", time),
            gap: reader.read("gap_ms", time),
            total: reader.read("total_ms", time).unwrap_or(DEFAULT_TOTAL),
        };
        reader.refuse_the_rest("is not known: there are first_chunk_ms, gap_ms and total_ms");
        faults.append(&mut reader.faults);
        limits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn load_and_latency_count_unless_weights_are_to_be_exact() {
        for (metadata, balance, faults) in [
            ("{}", Balance::Adaptive, 0),
            (r#"{"balance":null}"#, Balance::Adaptive, 0),
            (r#"{"balance":"adaptive"}"#, Balance::Adaptive, 0),
            (r#"{"balance":"weighted"}"#, Balance::Weighted, 0),
            (r#"{"balance":"weighte\u0064"}"#, Balance::Weighted, 0),
            (r#"{"balance":"random"}"#, Balance::Adaptive, 1),
            (r#"{"balance":"\ud800"}"#, Balance::Adaptive, 1),
        ] {
            let (rules, found) = CallRules::read(&JsonObject::parse(metadata).unwrap());
            assert_eq!(
                (rules.balance, found.len()),
                (balance, faults),
                "{metadata}"
            );
        }
    }

    #[test]
    fn what_can_be_read_counts_and_what_cannot_is_named() {
        let stream = |first_chunk: Option<u64>, gap: Option<u64>, total| StreamLimits {
            first_chunk: first_chunk.map(ms),
            gap: gap.map(ms),
            total: ms(total),
        };
        let default = stream(None, None, 600_000);
        let rule = "must be a whole number from 1 to 3600000";
        for (metadata, limits, open_only, faults) in [
            ("{}", default, false, vec![]),
            (
                r#"{"stream":null,"fallback_on":null}"#,
                default,
                false,
                vec![],
            ),
            (
                r#"{"stream":{},"fallback_on":"open"}"#,
                default,
                true,
                vec![],
            ),
            (
                r#"{"stream":{"first_chunk_ms":1,"gap_ms":2.0,"total_ms":3600000}}"#,
                stream(Some(1), Some(2), 3_600_000),
                false,
                vec![],
            ),
            (
                r#"{"stream":{"first_chunk_ms":0,"gap_ms":7,"total_ms":3600001}}"#,
                stream(None, Some(7), 600_000),
                false,
                vec![
                    format!("`stream.first_chunk_ms` {rule}"),
                    format!("`stream.total_ms` {rule}"),
                ],
            ),
            (
                r#"{"stream":{"gap":5},"fallback_on":true}"#,
                default,
                false,
                vec![
                    "`fallback_on` must be `open`".to_owned(),
                    "`stream.gap` is not known: there are first_chunk_ms, gap_ms and total_ms"
                        .to_owned(),
                ],
            ),
            (
                r#"{"stream":{"gap":"soon","total_ms":null},"fallback_on":"op\u0065n"}"#,
                default,
                true,
                vec![
                    "`stream.gap` is not known: there are first_chunk_ms, gap_ms and total_ms"
                        .to_owned(),
                ],
            ),
            (
                r#"{"stream":[1]}"#,
                default,
                false,
                vec!["`stream` must be a JSON object".to_owned()],
            ),
        ] {
            let (rules, found) = CallRules::read(&JsonObject::parse(metadata).unwrap());
            assert_eq!(
                (rules.stream, rules.fallback_on_open_only),
                (limits, open_only)
            );
            let found: Vec<_> = found.iter().map(ToString::to_string).collect();
            assert_eq!(found, faults, "{metadata}");
        }
    }

    #[test]
    fn one_record_can_make_us_say_only_so_much() {
        let keys: Vec<_> = (0..1000).map(|n| format!("\"key{n}\":1")).collect();
        let long = format!("\"\\u001b{}\":1", "k".repeat(1000));
        for (keys, most) in [(keys.join(","), 8), (long, 1)] {
            let metadata = format!(r#"{{"stream":{{{keys}}}}}"#);
            let (_, found) = CallRules::read(&JsonObject::parse(&metadata).unwrap());
            assert_eq!(found.len(), most);
            let mut all = found.iter().map(ToString::to_string);
            assert!(all.all(|fault| fault.len() < 300 && !fault.contains('\u{1b}')));
        }
    }
}

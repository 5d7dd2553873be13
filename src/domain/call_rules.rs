//! What an extension's `metadata` set for its calls: which instance gets them, how long a stream
//! may take, and when a fallback is called.
//!
//! A setting that cannot be read leaves its default in force, which is safe: so it is a fault only
//! when it is written, and a warning of what is there already.

use std::time::Duration;

use serde_json::value::RawValue;

use super::balancer::Balance;
use super::json::{JsonObject, KeyFault};
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
        let (mut rules, mut faults) = (Self::default(), Vec::new());
        if metadata.raw().is_none() {
            return (rules, faults);
        }
        let fields = metadata.members();
        let given = |key| fields.get(key).filter(|value| value.get() != "null");
        match given("fallback_on").map(|value| value.get()) {
            None => {}
            Some(r#""open""#) => rules.fallback_on_open_only = true,
            Some(_) => faults.push(fault("fallback_on", "must be `open`")),
        }
        match given("balance").map(|value| value.get()) {
            None | Some(r#""adaptive""#) => {}
            Some(r#""weighted""#) => rules.balance = Balance::Weighted,
            Some(_) => faults.push(fault("balance", "must be `adaptive` or `weighted`")),
        }
        if let Some(stream) = given("stream") {
            rules.stream = StreamLimits::read(stream, &mut faults);
        }
        (rules, faults)
    }
}

impl StreamLimits {
    fn read(given: &RawValue, faults: &mut Vec<KeyFault>) -> Self {
        let mut limits = Self::default();
        let Ok(object) = JsonObject::parse(given.get()) else {
            faults.push(fault("stream", "must be a JSON object"));
            return limits;
        };
        for (key, value) in object.members() {
            let limit = match value.get() {
                "null" => None,
                value => match whole(value, &(1..=MOST_MS)) {
                    Ok(ms) => Some(Duration::from_millis(ms)),
                    Err(rule) => {
                        faults.push(fault(&format!("stream.{key}"), &rule));
                        continue;
                    }
                },
            };
            match key.as_str() {
                "first_chunk_ms" => limits.first_chunk = limit,
                "gap_ms" => limits.gap = limit,
                "total_ms" => limits.total = limit.unwrap_or(DEFAULT_TOTAL),
                _ => {
                    let rule = "is not known: there are first_chunk_ms, gap_ms and total_ms";
                    faults.push(fault(&format!("stream.{key}"), rule));
                }
            }
        }
        limits
    }
}

fn fault(key: &str, rule: &str) -> KeyFault {
    KeyFault {
        key: key.to_owned(),
        rule: rule.to_owned(),
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
            (r#"{"balance":"random"}"#, Balance::Adaptive, 1),
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
}

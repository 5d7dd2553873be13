//! Sizes, numbers and times: the daemon's limits and the extension's own.

use crate::domain::breaker::Settings;
use crate::domain::extension::Extension;
use crate::domain::metadata::OwnLimits;

/// The limits of one extension, or the daemon's own where it sets none.
#[derive(Debug, Clone)]
pub struct Limits {
    /// The largest payload, in bytes.
    pub max_payload_bytes: usize,
    /// The largest request metadata, in bytes.
    pub max_metadata_bytes: usize,
    /// Calls at a time.
    pub max_in_flight: usize,
    /// When its circuits open.
    pub breaker: Settings,
}

impl Limits {
    /// The limits of `extension`; its record was checked when it was applied.
    pub fn of(extension: &Extension, defaults: &Self) -> Self {
        let own = OwnLimits::read(&extension.metadata).unwrap_or_default();
        let breaker = extension.circuit_breaker.as_deref();
        let breaker = breaker.and_then(|object| defaults.breaker.overridden(object).ok());
        Self {
            max_payload_bytes: own.max_payload_size.unwrap_or(defaults.max_payload_bytes),
            max_metadata_bytes: own.max_metadata_size.unwrap_or(defaults.max_metadata_bytes),
            max_in_flight: own.max_in_flight.unwrap_or(defaults.max_in_flight),
            breaker: breaker.unwrap_or_else(|| defaults.breaker.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::json::JsonObject;
    use crate::domain::testing::{BREAKER, extension};

    fn defaults() -> Limits {
        Limits {
            max_payload_bytes: 1000,
            max_metadata_bytes: 100,
            max_in_flight: 10,
            breaker: Settings {
                trial_limit: Duration::from_secs(130),
                ..BREAKER
            },
        }
    }

    #[test]
    fn metadata_sets_limits() {
        for (metadata, expected) in [
            ("{}", (1000, 100, 10)),
            (
                r#"{"max_payload_size":2000,"max_metadata_size":0,"max_in_flight":1}"#,
                (2000, 0, 1),
            ),
            (
                r#"{"max_payload_size":null,"max_in_flight":7}"#,
                (1000, 100, 7),
            ),
            (r#"{"owner":{"max_in_flight":1}}"#, (1000, 100, 10)),
        ] {
            let extension = Extension {
                metadata: JsonObject::parse(metadata).unwrap(),
                ..extension("x")
            };
            let limits = Limits::of(&extension, &defaults());
            let found = (
                limits.max_payload_bytes,
                limits.max_metadata_bytes,
                limits.max_in_flight,
            );
            assert_eq!(found, expected, "{metadata}");
            assert_eq!(limits.breaker, defaults().breaker);
        }
    }

    #[test]
    fn breaker_settings_lie_over_the_daemons() {
        let own = r#"{"failure_threshold":2,"timeout_seconds":0.5}"#;
        let extension = Extension {
            circuit_breaker: Some(Box::new(JsonObject::parse(own).unwrap())),
            ..extension("x")
        };
        let expected = Settings {
            failure_threshold: 2,
            open_time: Duration::from_millis(500),
            ..defaults().breaker
        };
        assert_eq!(Limits::of(&extension, &defaults()).breaker, expected);
    }
}

//! What an extension may set, and how mistakes are named.

use super::script::{ms, settings};
use crate::domain::breaker::{Settings, SlowCalls};
use crate::domain::json::JsonObject;

fn overridden(daemon: &Settings, json: &str) -> Result<Settings, String> {
    let object = JsonObject::parse(json).unwrap();
    daemon.overridden(&object).map_err(|faults| {
        let lines: Vec<_> = faults.iter().map(ToString::to_string).collect();
        lines.join("; ")
    })
}

const SLOW: SlowCalls = SlowCalls {
    latency: ms_const(250),
    rate_threshold: 0.9,
};

const fn ms_const(n: u64) -> std::time::Duration {
    std::time::Duration::from_millis(n)
}

#[test]
fn what_is_set_takes_the_place_of_the_daemons_value() {
    let plain = settings;
    let slow = || Settings {
        slow_calls: Some(SLOW),
        ..settings()
    };
    for (json, daemon, expected) in [
        ("{}", plain(), plain()),
        (
            r#"{"enabled":null,"timeout_seconds":null}"#,
            plain(),
            plain(),
        ),
        (
            r#"{"enabled":false}"#,
            plain(),
            Settings {
                enabled: false,
                ..plain()
            },
        ),
        (
            r#"{"failure_threshold":1,"error_rate_threshold":1,"minimum_requests":7,
                "half_open_max_requests":2,"window_seconds":0.5}"#,
            plain(),
            Settings {
                failure_threshold: 1,
                error_rate_threshold: 1.0,
                minimum_requests: 7,
                half_open_max_requests: 2,
                window: ms(500),
                ..plain()
            },
        ),
        (
            r#"{"failure_threshold":1e1,"minimum_requests":7.0,"window_seconds":5e-1}"#,
            plain(),
            Settings {
                failure_threshold: 10,
                minimum_requests: 7,
                window: ms(500),
                ..plain()
            },
        ),
        (
            r#"{"slow_call_ms":250,"slow_call_rate_threshold":0.9}"#,
            plain(),
            slow(),
        ),
        (
            r#"{"slow_call_ms":"250ms","slow_call_rate_threshold":0.9}"#,
            plain(),
            slow(),
        ),
        (r#"{"slow_call_ms":"off"}"#, slow(), plain()),
        (r#"{"slow_call_ms":"\u006fff"}"#, slow(), plain()),
        (
            r#"{"slow_call_ms":"off","slow_call_rate_threshold":"off"}"#,
            slow(),
            plain(),
        ),
        (r#"{"failure_threshold":5}"#, slow(), slow()),
        (
            r#"{"timeout_seconds":2,"max_timeout_seconds":"1m 30s"}"#,
            plain(),
            Settings {
                open_time: ms(2000),
                max_open_time: ms(90_000),
                ..plain()
            },
        ),
        // One of the two alone moves the other out of its way.
        (
            r#"{"timeout_seconds":9}"#,
            plain(),
            Settings {
                open_time: ms(9000),
                max_open_time: ms(9000),
                ..plain()
            },
        ),
        (
            r#"{"max_timeout_seconds":0.5}"#,
            plain(),
            Settings {
                open_time: ms(500),
                max_open_time: ms(500),
                ..plain()
            },
        ),
    ] {
        assert_eq!(overridden(&daemon, json), Ok(expected), "{json}");
    }
}

#[test]
fn every_key_at_fault_is_named_with_its_rule() {
    let bounds = "must be a whole number from 1 to 1000000";
    for (json, faults) in [
        (
            r#"{"enabled":"yes"}"#,
            "`enabled` must be true or false".to_owned(),
        ),
        (
            r#"{"failure_threshold":0}"#,
            format!("`failure_threshold` {bounds}"),
        ),
        (
            r#"{"failure_threshold":2.5}"#,
            format!("`failure_threshold` {bounds}"),
        ),
        (
            r#"{"minimum_requests":1e99}"#,
            format!("`minimum_requests` {bounds}"),
        ),
        // CASES.md C6: a number that no float holds replaced all settings by the daemon's.
        (
            r#"{"window_seconds":1e400,"failure_threshold":1}"#,
            "`window_seconds` must be a time from 100ms to 1h".to_owned(),
        ),
        (
            r#"{"error_rate_threshold":1e999999999}"#,
            "`error_rate_threshold` must be a number over 0 and up to 1".to_owned(),
        ),
        (
            r#"{"window_seconds":"\ud800"}"#,
            "`window_seconds` must be a time from 100ms to 1h".to_owned(),
        ),
        (
            r#"{"minimum_requests":-1}"#,
            format!("`minimum_requests` {bounds}"),
        ),
        (
            r#"{"error_rate_threshold":0}"#,
            "`error_rate_threshold` must be a number over 0 and up to 1".to_owned(),
        ),
        (
            r#"{"half_open_max_requests":"3"}"#,
            "`half_open_max_requests` must be a whole number from 1 to 10000".to_owned(),
        ),
        (
            r#"{"window_seconds":0.05}"#,
            "`window_seconds` must be a time from 100ms to 1h".to_owned(),
        ),
        (
            r#"{"timeout_seconds":-1}"#,
            "`timeout_seconds` must be a time from 10ms to 1day".to_owned(),
        ),
        (
            r#"{"slow_call_ms":"soon","slow_call_rate_threshold":0.5}"#,
            "`slow_call_ms` must be a time from 1ms to 1h, or \"off\"".to_owned(),
        ),
        (
            r#"{"slow_call_ms":5}"#,
            "`slow_call_ms` needs `slow_call_rate_threshold` to be set too".to_owned(),
        ),
        (
            r#"{"slow_call_ms":"off","slow_call_rate_threshold":0.5}"#,
            "`slow_call_rate_threshold` needs `slow_call_ms` to be set too".to_owned(),
        ),
        (
            r#"{"timeout_seconds":60,"max_timeout_seconds":30}"#,
            "`max_timeout_seconds` must be at least `timeout_seconds`".to_owned(),
        ),
        (
            r#"{"failure_treshold":3,"enabled":1}"#,
            "`enabled` must be true or false; \
             `failure_treshold` is not a setting of the circuit breaker"
                .to_owned(),
        ),
    ] {
        assert_eq!(overridden(&settings(), json), Err(faults), "{json}");
    }
}

#[test]
fn one_record_can_make_us_say_only_so_much() {
    let keys: Vec<_> = (0..1000).map(|n| format!("\"key{n}\":1")).collect();
    let object = JsonObject::parse(&format!("{{{}}}", keys.join(","))).unwrap();
    assert_eq!(settings().overridden(&object).unwrap_err().len(), 8);
}

//! One event in one line, for `watch`.

use serde_json::value::RawValue;

use super::text::{clean, line, pairs, plain, time};
use crate::cli::document::{at, list, string};
use crate::cli::screen::{Screen, Tone};
use crate::cli::table::NONE;

/// What there is to know of a kind; where it does not fit, its fields.
const CIRCUIT: &str = "{version} {from} -> {to} ({reason})[, {failure_count} failures, last \
                       {last_error}][: {error}][, since {failing_since}][, next trial {retry_at}]";
const HALTED: &str = "revision {revision}: {reason.version} has no share any more[, {reason.failures} \
                      of {reason.requests} attempts failed][, {reason.current_failures} of \
                      {reason.current_requests} of the current version]";
const MANY: &str = "revision {revision}: {total} changes[ by {changed_by}]: {ids}";
const SWITCHED: &str = "revision {revision}: {reason.reason} of {reason.version}[, \
                        {reason.failure_count} failures, last {reason.last_error}][, success rate \
                        {reason.health.success_rate}]";
const CHANGED: &str = "revision {revision}: {changed}[ by {changed_by}]";
const WHOLE: &str = "revision {revision}[ by {changed_by}]";

/// Time, kind, id, what an operator needs to know, and which sidecar reports it.
pub(super) fn shown(kind: &str, event: &RawValue, screen: &Screen) -> String {
    let data = at(event, "data").map_or_else(|| NONE.to_owned(), |data| told(kind, data));
    lead(kind, event, &plain(event, "subject"), &data, screen)
}

/// The same of `data` about `subject`.
pub(super) fn lead(
    kind: &str,
    event: &RawValue,
    subject: &str,
    data: &str,
    screen: &Screen,
) -> String {
    let from = string(event, "source");
    let from = from.strip_prefix("/beamline-registry/").unwrap_or(&from);
    format!(
        "{}  {}  {subject}  {data}  [{}]",
        time(&plain(event, "time")),
        screen.painted(&format!("{:<19}", clean(kind)), tone(kind)),
        clean(from),
    )
}

fn tone(kind: &str) -> Tone {
    match kind {
        "circuit_opened" | "health_degraded" | "auto_disabled" | "rollout_halted" => Tone::Bad,
        "circuit_half_opened" | "extension_disabled" => Tone::Doubtful,
        "circuit_closed" | "health_recovered" | "auto_enabled" => Tone::Good,
        _ => Tone::Plain,
    }
}

fn told(kind: &str, data: &RawValue) -> String {
    let sentence = match kind {
        "circuit_opened" | "circuit_half_opened" | "circuit_closed" => line(CIRCUIT, data),
        "auto_disabled" | "auto_enabled" => line(SWITCHED, data),
        "rollout_halted" => line(HALTED, data),
        // Of the fleet; a sidecar's own has no ids.
        "registry_reloaded" => at(data, "ids").and_then(|_| line(MANY, data)),
        _ if list(data, "changed").is_empty() => line(WHOLE, data),
        _ => line(CHANGED, data),
    };
    sentence.unwrap_or_else(|| pairs(data))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_when_what_whom_and_who_tells() {
        let event = r#"{"time": "2026-11-21T15:18:04.286098Z", "subject": "a\u001b",
            "source": "/beamline-registry/pod-1", "data": {"revision": 7, "changed": ["retry"]}}"#;
        assert_eq!(
            shown(
                "extension_updated",
                serde_json::from_str(event).unwrap(),
                &Screen::plain()
            ),
            "2026-11-21T15:18:04.286Z  extension_updated    a\\u{1b}  revision 7: retry  [pod-1]"
        );
    }

    #[test]
    fn each_kind_tells_what_matters() {
        for (kind, data, text) in [
            (
                "circuit_opened",
                r#"{"version": "v1", "from": "closed", "to": "open", "last_error": "timeout",
                    "reason": "consecutive_failures", "failure_count": 5,
                    "retry_at": "2026-11-21T15:19:04.435881Z"}"#,
                "v1 closed -> open (consecutive_failures), 5 failures, last timeout, \
                 next trial 2026-11-21T15:19:04.435Z",
            ),
            (
                "health_degraded",
                r#"{"success_rate": 0.5, "min_success_rate": 0.8}"#,
                "success_rate=50.0% min_success_rate=80.0%",
            ),
            (
                "auto_disabled",
                r#"{"revision": 8, "reason": {"reason": "circuit_opened", "version": "v1",
                    "failure_count": 5, "last_error": "timeout", "health": {"success_rate": 0.25}}}"#,
                "revision 8: circuit_opened of v1, 5 failures, last timeout, success rate 25.0%",
            ),
            (
                "extension_created",
                r#"{"revision": 7, "changed": []}"#,
                "revision 7",
            ),
            (
                "source_changed",
                r#"{"from": "fixtures", "to": "database"}"#,
                "from=fixtures to=database",
            ),
            ("unheard_of", r#"{"a": 1}"#, "a=1"),
        ] {
            assert_eq!(told(kind, serde_json::from_str(data).unwrap()), text);
        }
    }
}

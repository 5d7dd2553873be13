//! One event in one line, for `watch`.

use serde_json::Value;

use crate::cli::operator::screen::Screen;
use crate::cli::operator::table::Tone;
use crate::cli::operator::text;

/// What can be told of.
pub(in crate::cli::operator) const KINDS: [&str; 15] = [
    "circuit_opened",
    "circuit_half_opened",
    "circuit_closed",
    "health_degraded",
    "health_recovered",
    "health_summary",
    "registry_reloaded",
    "source_changed",
    "extension_created",
    "extension_updated",
    "extension_deleted",
    "extension_enabled",
    "extension_disabled",
    "auto_disabled",
    "auto_enabled",
];

/// Time, kind, id, what an operator needs to know, and which sidecar tells it.
pub(in crate::cli::operator) fn line(kind: &str, event: &Value, screen: &Screen) -> String {
    let id = text::plain(event.get("subject"));
    let data = event.get("data").unwrap_or(&Value::Null);
    let from = text::string(event, "/source");
    let from = from.strip_prefix("/beamline-registry/").unwrap_or(from);
    format!(
        "{}  {}  {id}  {}  [{}]",
        text::time(event.get("time")),
        screen.painted(&format!("{:<19}", text::clean(kind)), tone(kind)),
        told(kind, data),
        text::clean(from),
    )
}

fn tone(kind: &str) -> Tone {
    match kind {
        "circuit_opened" | "health_degraded" | "auto_disabled" => Tone::Bad,
        "circuit_half_opened" | "extension_disabled" => Tone::Doubtful,
        "circuit_closed" | "health_recovered" | "auto_enabled" => Tone::Good,
        _ => Tone::Plain,
    }
}

fn told(kind: &str, data: &Value) -> String {
    let field = |name: &str| text::plain(data.get(name));
    match kind {
        "circuit_opened" | "circuit_half_opened" | "circuit_closed" => circuit(data),
        "health_degraded" | "health_recovered" => format!(
            "success rate {} %, minimum {} %",
            text::percent(data.get("success_rate")),
            text::percent(data.get("min_success_rate")),
        ),
        "health_summary" => format!(
            "{} extensions, {} enabled: {} healthy, {} unhealthy, {} half open; success rate {} %",
            field("total"),
            field("enabled"),
            field("healthy"),
            field("unhealthy"),
            field("half_open"),
            text::percent(data.get("avg_success_rate")),
        ),
        "registry_reloaded" if data.get("trigger").is_some() => format!(
            "revision {}: {} added, {} updated, {} removed; {} extensions, {} in quarantine ({})",
            field("revision"),
            field("added"),
            field("updated"),
            field("removed"),
            field("total"),
            field("quarantined"),
            field("trigger"),
        ),
        "source_changed" => format!("from {} to {}", field("from"), field("to")),
        "auto_disabled" | "auto_enabled" => switched(data),
        kind if kind.starts_with("extension_") => match text::list(data.get("changed")).as_str() {
            text::NONE => format!("revision {}", field("revision")),
            changed => format!("revision {}: {changed}", field("revision")),
        },
        _ => text::plain(Some(data)),
    }
}

fn circuit(data: &Value) -> String {
    let field = |name: &str| text::plain(data.get(name));
    let mut told = format!(
        "{} {} -> {} ({})",
        field("version"),
        field("from"),
        field("to"),
        field("reason"),
    );
    if data.get("last_error").is_some_and(|error| !error.is_null()) {
        told += &format!(
            ", {} failures, last {}",
            field("failure_count"),
            field("last_error")
        );
    }
    if let Some(at) = data.get("retry_at").filter(|at| !at.is_null()) {
        told += &format!(", next trial {}", text::time(Some(at)));
    }
    told
}

/// Why the machine did it, and the figures it went by.
fn switched(data: &Value) -> String {
    let at = |pointer| text::plain(data.pointer(pointer));
    let mut told = format!(
        "revision {}: {} of {}",
        at("/revision"),
        at("/reason/reason"),
        at("/reason/version")
    );
    if data.pointer("/reason/failure_count").is_some() {
        told += &format!(
            ", {} failures, last {}, success rate {} %",
            at("/reason/failure_count"),
            at("/reason/last_error"),
            text::percent(data.pointer("/reason/health/success_rate")),
        );
    }
    told
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_line_says_when_what_whom_and_who_tells() {
        let event = json!({"time": "2026-11-21T15:18:04.286098Z", "subject": "a\u{1b}",
            "source": "/beamline-registry/pod-1", "data": {"revision": 7, "changed": ["retry"]}});
        assert_eq!(
            line("extension_updated", &event, &Screen::default()),
            "2026-11-21T15:18:04.286Z  extension_updated    a\\u{1b}  revision 7: retry  [pod-1]"
        );
    }

    #[test]
    fn each_kind_tells_what_matters() {
        let opened = json!({"version": "v1", "from": "closed", "to": "open",
            "reason": "consecutive_failures", "failure_count": 5, "last_error": "timeout",
            "retry_at": "2026-11-21T15:19:04.435881Z"});
        assert_eq!(
            told("circuit_opened", &opened),
            "v1 closed -> open (consecutive_failures), 5 failures, last timeout, \
             next trial 2026-11-21T15:19:04.435Z"
        );
        let degraded = json!({"success_rate": 0.5, "min_success_rate": 0.8});
        assert_eq!(
            told("health_degraded", &degraded),
            "success rate 50.0 %, minimum 80.0 %"
        );
        let disabled = json!({"revision": 8, "reason": {"reason": "circuit_opened",
            "version": "v1", "failure_count": 5, "last_error": "timeout",
            "health": {"success_rate": 0.25}}});
        assert_eq!(
            told("auto_disabled", &disabled),
            "revision 8: circuit_opened of v1, 5 failures, last timeout, success rate 25.0 %"
        );
        let created = json!({"revision": 7, "changed": []});
        assert_eq!(told("extension_created", &created), "revision 7");
        let changed = json!({"from": "fixtures", "to": "database"});
        assert_eq!(
            told("source_changed", &changed),
            "from fixtures to database"
        );
        // A kind of a later version is told as it is.
        assert_eq!(told("unheard_of", &json!({"a": 1})), r#"{"a":1}"#);
    }
}

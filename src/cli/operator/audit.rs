//! `audit`: changes and their actors.

use std::collections::BTreeSet;

use serde_json::value::RawValue;

use super::show::listed;
use super::text::{clean, line, plain, time};
use crate::cli::document::{at, fields, string};
use crate::cli::screen::Screen;
use crate::cli::table::NONE;

/// A row per entry. Its time is exact: it is what other records are compared with.
pub(super) fn view(document: &RawValue, screen: &Screen) -> String {
    let chosen = "time revision id=extension_id action by changed";
    listed(document, "entries", chosen, made, screen)
}

fn made(head: &str, entry: &RawValue) -> Option<String> {
    match head {
        "time" => Some(time(&plain(entry, "timestamp"))),
        "by" => Some(by(entry)),
        "changed" => Some(changed(entry)),
        _ => None,
    }
}

/// The actor, and how it is known: only a subject is enforced by NATS permissions.
fn by(entry: &RawValue) -> String {
    let by = plain(entry, "changed_by");
    match string(entry, "actor_source").as_str() {
        "none" | "" => by,
        source => format!("{by} ({})", clean(source)),
    }
}

/// The names of what changed; why, where it was done automatically; what was ordered of a circuit.
fn changed(entry: &RawValue) -> String {
    let side = |name| at(entry, name).filter(|side| side.get().starts_with('{'));
    let (old, new) = (side("changes.old"), side("changes.new"));
    if string(entry, "action") == "circuit_override" {
        let order = "action {action}, version {version}[, until {until}][, reason {reason}]";
        return new.and_then(|new| line(order, new)).unwrap_or_default();
    }
    if at(entry, "changes.reason.reason").is_some() {
        return plain(entry, "changes.reason.reason");
    }
    // All of a record that is new or gone.
    let (Some(old), Some(new)) = (old, new) else {
        return NONE.to_owned();
    };
    let mut names = BTreeSet::new();
    for (name, value) in fields(old).iter().chain(&fields(new)) {
        match (name.as_str(), fields(value)) {
            ("versions" | "instances", parts) if !parts.is_empty() => {
                names.extend(parts.keys().map(|part| clean(&format!("{name}.{part}"))));
            }
            _ => _ = names.insert(clean(name)),
        }
    }
    names.into_iter().collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(entries: &str, next: &str) -> String {
        let document = format!(r#"{{"entries":[{entries}],"next":{next}}}"#);
        view(serde_json::from_str(&document).unwrap(), &Screen::plain())
    }

    /// CASES.md D4.
    #[test]
    fn what_is_null_is_a_dash() {
        let entry = r#"{"id":-1,"extension_id":"a","action":"updated","changed_by":null,
            "actor_source":"database","changes":null,"revision":null,"timestamp":null}"#;
        let text = show(entry, "null");
        assert_eq!(text, "id  action   by\na   updated  - (database)");
    }

    #[test]
    fn a_row_per_entry() {
        let entry = |action: &str, source: &str, changes: &str| {
            format!(
                r#"{{"id":1,"extension_id":"a","action":"{action}","changed_by":"alice",
                "actor_source":"{source}","changes":{changes},"revision":3,
                "timestamp":"2026-11-21T15:18:04.286098Z"}}"#
            )
        };
        let entries = [
            entry(
                "circuit_override",
                "none",
                r#"{"old":null,"new":{"action":"open","version":"v1","until":null,"reason":"a test"}}"#,
            ),
            entry(
                "auto_disabled",
                "none",
                r#"{"old":{"auto_disabled":false},"new":{"auto_disabled":true},
                    "reason":{"reason":"circuit_opened"}}"#,
            ),
            entry(
                "version_put",
                "subject",
                r#"{"old":{"versions":{"v2":null}},"new":{"versions":{"v2":{}}}}"#,
            ),
            entry(
                "updated",
                "header",
                r#"{"old":{"config":{},"retry":1},"new":{"config":{"a":1},"retry":2}}"#,
            ),
            entry("created", "database", r#"{"old":null,"new":{"id":"a"}}"#),
        ];
        assert_eq!(
            show(&entries.join(","), "1"),
            "\
time                      revision  id  action            by                changed
2026-11-21T15:18:04.286Z         3  a   circuit_override  alice             action open, version v1, reason a test
2026-11-21T15:18:04.286Z         3  a   auto_disabled     alice             circuit_opened
2026-11-21T15:18:04.286Z         3  a   version_put       alice (subject)   versions.v2
2026-11-21T15:18:04.286Z         3  a   updated           alice (header)    config, retry
2026-11-21T15:18:04.286Z         3  a   created           alice (database)  -

the first 5; there are more (--limit)"
        );
    }
}

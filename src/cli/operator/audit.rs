//! `audit`: changes and their actors.

use std::collections::BTreeSet;

use serde_json::value::RawValue;

use super::show::{counted, listed};
use super::text::{clean, line, plain, time};
use crate::cli::document::{Fields, at, fields, list, string};
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

/// Each entry with every value that it changed, before and after.
pub(super) fn diff(document: &RawValue, screen: &Screen) -> String {
    let entries = list(document, "entries");
    let entries: Vec<_> = entries.iter().map(|entry| differences(entry)).collect();
    match entries.is_empty() {
        true => view(document, screen),
        false => counted(document, entries.len(), entries.join("\n\n")),
    }
}

fn differences(entry: &RawValue) -> String {
    let revision = plain(entry, "revision");
    let mut lines = vec![format!(
        "{}  revision {revision}  {}  {} by {}",
        time(&plain(entry, "timestamp")),
        plain(entry, "extension_id"),
        plain(entry, "action"),
        by(entry)
    )];
    let side = |name| at(entry, name);
    compare("", side("changes.old"), side("changes.new"), &mut lines);
    if let Some(reason) = side("changes.reason") {
        lines.push(format!("  reason: {}", clean(reason.get())));
    }
    lines.join("\n")
}

/// A line for each value that differs. Objects are compared by their fields, so that a long one shows
/// only what changed; a field that is null is none. An object that takes the place of another thing,
/// or gives it up, is shown whole.
fn compare(path: &str, old: Option<&RawValue>, new: Option<&RawValue>, lines: &mut Vec<String>) {
    let text = |side: Option<&RawValue>| side.map_or(NONE, RawValue::get).to_owned();
    if text(old) == text(new) {
        return;
    }
    let (before, after) = (parts(old), parts(new));
    let has_fields = |side: Option<&RawValue>| {
        let json = side.map_or("null", RawValue::get);
        json == "null" || json.starts_with('{')
    };
    let both = has_fields(old) && has_fields(new);
    if !both || before.is_empty() && after.is_empty() {
        let (old, new) = (clean(&text(old)), clean(&text(new)));
        return lines.push(format!("  {}: {old} -> {new}", clean(path)));
    }
    let names: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    for name in names {
        let path = match path {
            "" => name.clone(),
            path => format!("{path}.{name}"),
        };
        let (old, new) = (before.get(name), after.get(name));
        compare(&path, old.copied(), new.copied(), lines);
    }
}

fn parts(side: Option<&RawValue>) -> Fields<'_> {
    let mut parts = side.map(fields).unwrap_or_default();
    parts.retain(|_, value| value.get() != "null");
    parts
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

    /// All else gives way, at last the time.
    #[test]
    fn what_was_done_to_which_extension_fits_a_narrow_terminal() {
        let screen = Screen {
            width: Some(80),
            ..Screen::plain()
        };
        for (letters, has_time) in [(20, true), (60, false)] {
            let id = "x".repeat(letters);
            let entry = format!(
                r#"{{"id":1,"extension_id":"{id}","action":"circuit_override",
                "changed_by":"alice","actor_source":"subject","revision":3,
                "changes":{{"old":null,"new":{{"action":"open","version":"v1"}}}},
                "timestamp":"2026-11-21T15:18:04.286098Z"}}"#
            );
            let document = format!(r#"{{"entries":[{entry}],"next":null}}"#);
            let text = view(serde_json::from_str(&document).unwrap(), &screen);
            assert!(text.contains(&id), "{text}");
            assert!(text.contains("circuit_override"), "{text}");
            assert_eq!(text.contains("15:18:04.286Z"), has_time, "{text}");
        }
    }

    #[test]
    fn a_diff_shows_each_value_before_and_after() {
        let entry = r#"{"id":1,"extension_id":"a","action":"updated","changed_by":"alice",
            "actor_source":"header","revision":3,"timestamp":"2026-11-21T15:18:04.286098Z",
            "changes":{"old":{"config":{"deep":{"x":1,"y":[1]},"kind":{"z":1},"same":0},"retry":1,"owner":null},
                "new":{"config":{"deep":{"x":1,"y":[1,2]},"kind":5,"same":0},"retry":2,"owner":"\u001b[2J"}}}"#;
        let of = |next: &str| {
            let document = format!(r#"{{"entries":[{entry}],"next":{next}}}"#);
            diff(serde_json::from_str(&document).unwrap(), &Screen::plain())
        };
        let text = "\
2026-11-21T15:18:04.286Z  revision 3  a  updated by alice (header)
  config.deep.y: [1] -> [1,2]
  config.kind: {\"z\":1} -> 5
  owner: - -> \"\\u001b[2J\"
  retry: 1 -> 2";
        assert_eq!(of("null"), text);
        let more = format!("{text}\n\nthe first 1; there are more (--limit)");
        assert_eq!(of("1"), more);
    }
}

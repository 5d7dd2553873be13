//! `audit`.

use std::collections::BTreeSet;

use serde_json::Value;

use super::members;
use crate::cli::operator::screen::Screen;
use crate::cli::operator::table::{self, Cell, Column};
use crate::cli::operator::text;

const COLUMNS: &[Column] = &[
    ("time", |row| Cell::time(row, "/timestamp")),
    ("revision", |row| Cell::count(row, "/revision")),
    ("id", |row| Cell::at(row, "/extension_id")),
    ("action", |row| Cell::at(row, "/action")),
    ("by", by),
    ("changed", |row| Cell::new(changed(row))),
];

/// A row per entry.
pub(in crate::cli::operator) fn view(document: &Value, screen: &Screen) -> String {
    let rows = members(document, "entries");
    let shown = rows.len();
    if shown == 0 {
        return "no entries".to_owned();
    }
    let table = table::of(COLUMNS, rows, screen);
    match document.get("next").is_some_and(|next| !next.is_null()) {
        true => format!("{table}\n\nthe last {shown}; there are older ones (--limit)"),
        false => table,
    }
}

/// Who, and how that is known: only a subject is vouched for by NATS permissions.
fn by(row: &Value) -> Cell {
    let by = text::plain(row.get("changed_by"));
    Cell::new(match text::string(row, "/actor_source") {
        "none" | "" => by,
        source => format!("{by} ({})", text::clean(source)),
    })
}

/// The names of what changed; why, where the machine did it; what was ordered of a circuit.
fn changed(row: &Value) -> String {
    let at = |pointer| row.pointer(pointer);
    if text::string(row, "/action") == "circuit_override" {
        let order = ["action", "version", "until", "reason"];
        let told = order.iter().filter_map(|name| {
            let value = at("/changes/new")?
                .get(name)
                .filter(|value| !value.is_null())?;
            Some(format!("{name} {}", text::plain(Some(value))))
        });
        return told.collect::<Vec<_>>().join(", ");
    }
    if let Some(reason) = at("/changes/reason/reason") {
        return text::plain(Some(reason));
    }
    let sides = [at("/changes/old"), at("/changes/new")];
    let sides = sides.map(|side| side.and_then(Value::as_object));
    // All of a record that is new or gone.
    let [Some(old), Some(new)] = sides else {
        return text::NONE.to_owned();
    };
    let mut names = BTreeSet::new();
    for (name, value) in old.iter().chain(new) {
        match (name.as_str(), value.as_object()) {
            ("versions" | "instances", Some(parts)) => {
                names.extend(parts.keys().map(|part| format!("{name}.{part}")));
            }
            _ => _ = names.insert(name.clone()),
        }
    }
    let names: Vec<String> = names.iter().map(|name| text::clean(name)).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// CASES.md D4.
    #[test]
    fn what_is_null_is_a_dash() {
        let document = json!({"entries": [{"id": -1, "extension_id": "a", "action": "updated",
            "changed_by": null, "actor_source": "database", "changes": null, "revision": null,
            "timestamp": null}], "next": null});
        let row = view(&document, &Screen::default());
        let cells: Vec<_> = row.lines().last().unwrap().split_whitespace().collect();
        assert_eq!(cells, ["-", "-", "a", "updated", "-", "(database)", "-"]);
    }

    #[test]
    fn a_row_per_entry() {
        let entry = |action: &str, source: &str, changes: Value| {
            json!({"id": 1, "extension_id": "a", "action": action, "changed_by": "alice",
                "actor_source": source, "changes": changes, "revision": 3,
                "timestamp": "2026-11-21T15:18:04.286098Z"})
        };
        let document = json!({"entries": [
            entry("circuit_override", "none", json!({"old": null, "new":
                {"action": "open", "version": "v1", "until": null, "reason": "test"}})),
            entry("auto_disabled", "none", json!({"old": {"auto_disabled": false},
                "new": {"auto_disabled": true}, "reason": {"reason": "circuit_opened"}})),
            entry("version_put", "subject", json!({"old": {"versions": {"v2": null}},
                "new": {"versions": {"v2": {}}}})),
            entry("updated", "header", json!({"old": {"config": {}, "retry": 1},
                "new": {"config": {"a": 1}, "retry": 2}})),
            entry("created", "database", json!({"old": null, "new": {"id": "a"}})),
        ], "next": 1});
        assert_eq!(
            view(&document, &Screen::default()),
            "\
time                      revision  id  action            by                changed
2026-11-21T15:18:04.286Z         3  a   circuit_override  alice             action open, version v1, reason test
2026-11-21T15:18:04.286Z         3  a   auto_disabled     alice             circuit_opened
2026-11-21T15:18:04.286Z         3  a   version_put       alice (subject)   versions.v2
2026-11-21T15:18:04.286Z         3  a   updated           alice (header)    config, retry
2026-11-21T15:18:04.286Z         3  a   created           alice (database)  -

the last 5; there are older ones (--limit)"
        );
    }
}

//! `get`: the stored record, its versions and its instances.

use serde_json::Value;

use super::members;
use crate::cli::operator::screen::Screen;
use crate::cli::operator::table::{self, Cell, Column, Tone};
use crate::cli::operator::text;

const VERSIONS: &[Column] = &[
    ("version", |row| Cell::at(row, "/version")),
    ("enabled", |row| Cell::truth(row, "/enabled")),
    ("priority", |row| Cell::count(row, "/priority")),
    ("rules", |row| Cell::at(row, "/routing_rules")),
    ("rollout", |row| Cell::at(row, "/rollout")),
    ("timeout ms", |row| Cell::count(row, "/timeout_ms")),
    ("retry", |row| Cell::count(row, "/retry")),
    ("subject", |row| Cell::at(row, "/subject")),
    ("config", |row| Cell::at(row, "/config")),
    ("metadata", |row| Cell::at(row, "/metadata")),
];

const INSTANCES: &[Column] = &[
    ("instance", |row| Cell::at(row, "/instance_id")),
    ("version", |row| Cell::at(row, "/version")),
    ("weight", |row| Cell::count(row, "/weight")),
    ("enabled", |row| Cell::truth(row, "/enabled")),
    ("subject", |row| Cell::at(row, "/subject")),
];

/// Names and values, then a table each of versions and instances.
pub(in crate::cli::operator) fn view(record: &Value, screen: &Screen) -> String {
    let at = |pointer| Cell::at(record, pointer);
    let facts = table::facts(
        [
            ("id", at("/id")),
            ("type", at("/type")),
            ("enabled", enabled(record)),
            ("version", at("/version")),
            ("subject", at("/subject")),
            ("timeout ms", at("/timeout_ms")),
            ("retry", at("/retry")),
            ("config", at("/config")),
            ("metadata", at("/metadata")),
            ("fallback", Cell::new(text::list(record.get("fallback")))),
            ("rules", at("/routing_rules")),
            ("rollout", at("/rollout")),
            ("circuit breaker", at("/circuit_breaker")),
            ("revision", at("/revision")),
            ("created", stamp(record, "/created_at", "/created_by")),
            ("updated", stamp(record, "/updated_at", "/updated_by")),
        ],
        screen,
    );
    let mut parts = vec![facts];
    for (name, columns) in [("versions", VERSIONS), ("instances", INSTANCES)] {
        let rows = members(record, name);
        if !rows.is_empty() {
            parts.push(table::of(columns, rows, screen));
        }
    }
    parts.join("\n\n")
}

/// What a change has come to, in one sentence.
pub(in crate::cli::operator) fn committed(what: &str, answer: &Value) -> String {
    let field = |name: &str| text::plain(answer.get(name));
    format!("{}: {what}, revision {}", field("id"), field("revision"))
}

fn enabled(record: &Value) -> Cell {
    let is = |name: &str| record.get(name).and_then(Value::as_bool) == Some(true);
    match (is("enabled"), is("auto_disabled")) {
        (true, true) => Cell::new("auto-disabled").toned(Tone::Bad),
        (true, false) => Cell::new("yes").toned(Tone::Good),
        (false, true) => Cell::new("no, and auto-disabled").toned(Tone::Doubtful),
        (false, false) => Cell::new("no").toned(Tone::Doubtful),
    }
}

/// When and by whom.
fn stamp(record: &Value, at: &str, by: &str) -> Cell {
    let at = text::time(record.pointer(at));
    Cell::new(match text::string(record, by) {
        "" => at,
        by => format!("{at} by {}", text::clean(by)),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_record_with_its_versions_and_instances() {
        let record = json!({
            "id": "mask_pii", "type": "pre", "subject": "beamline.ext.mask_pii", "timeout_ms": 250,
            "retry": 1, "enabled": true, "auto_disabled": true, "version": "v1",
            "config": {"a": "\u{9b}2J"}, "metadata": {}, "fallback": ["other", "third"],
            "routing_rules": null, "rollout": null, "circuit_breaker": null,
            "versions": [{
                "version": "v2", "subject": "beamline.ext.mask_pii.v2", "timeout_ms": null,
                "retry": null, "config": null, "metadata": null, "rollout": null,
                "routing_rules": {"tenant_id": ["acme"]}, "priority": 0, "enabled": true,
            }],
            "instances": [{
                "instance_id": "blue", "version": "v1", "subject": "beamline.ext.mask_pii.blue",
                "weight": 30, "enabled": false,
            }],
            "revision": 7, "created_at": "2026-11-21T15:00:00.123456Z", "created_by": "alice",
            "updated_at": null, "updated_by": null,
        });
        assert_eq!(
            view(&record, &Screen::default()),
            r#"id               mask_pii
type             pre
enabled          auto-disabled
version          v1
subject          beamline.ext.mask_pii
timeout ms       250
retry            1
config           {"a":"\u{9b}2J"}
metadata         {}
fallback         other, third
rules            -
rollout          -
circuit breaker  -
revision         7
created          2026-11-21T15:00:00.123Z by alice
updated          -

version  enabled  priority  rules                   rollout  timeout ms  retry  subject                   config  metadata
v2       yes             0  {"tenant_id":["acme"]}  -                 -      -  beamline.ext.mask_pii.v2  -       -

instance  version  weight  enabled  subject
blue      v1           30  no       beamline.ext.mask_pii.blue"#
        );
    }
}

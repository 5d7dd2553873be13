//! `explain`: the choice, and what every candidate has to say for itself.

use serde_json::Value;

use super::{lookup, members};
use crate::cli::operator::commands::Fleet;
use crate::cli::operator::screen::Screen;
use crate::cli::operator::table::{self, Cell, Column, Tone};
use crate::cli::operator::text;

const CANDIDATES: &[Column] = &[
    ("candidate", |row| Cell::at(row, "/version")),
    ("verdict", verdict),
    ("enabled", |row| Cell::truth(row, "/enabled")),
    ("current", |row| Cell::truth(row, "/current")),
    ("priority", |row| Cell::count(row, "/priority")),
    ("rules", |row| Cell::new(rules(row))),
    ("rollout", |row| Cell::new(rollouts(row))),
    ("circuit", |row| {
        Cell::circuit(row, "/circuit_breaker_state")
    }),
    ("subject", |row| Cell::at(row, "/subject")),
];

/// What each sidecar chooses: circuits and success rates are their own.
pub(in crate::cli::operator) const FLEET: Fleet = Fleet {
    rows: |document| vec![document],
    columns: |_| {
        &[
            ("reason", |row| Cell::at(row, "/reason")),
            ("served by", |row| Cell::at(row, "/served_by")),
            ("version", |row| Cell::at(row, "/version")),
            ("subject", |row| Cell::at(row, "/subject")),
            ("circuit", |row| {
                Cell::circuit(row, "/circuit_breaker_state")
            }),
            ("revision", |row| Cell::count(row, "/revision")),
        ]
    },
};

/// The choice in a sentence, the candidates in the order in which they are tried, the instances.
pub(in crate::cli::operator) fn view(document: &Value, screen: &Screen) -> String {
    let mut parts = vec![
        sentence(document),
        table::of(CANDIDATES, members(document, "candidates"), screen),
    ];
    let instances = members(document, "instances");
    if !instances.is_empty() {
        parts.push(table::of(lookup::INSTANCES, instances, screen));
    }
    parts.join("\n\n")
}

/// The request of a dry run, as it would be sent.
pub(in crate::cli::operator) fn request(document: &Value) -> String {
    let at = |pointer| document.pointer(pointer);
    let mut lines = vec![format!(
        "\nto {}, for up to {} ms:",
        text::plain(at("/request/subject")),
        text::plain(at("/request/timeout_ms")),
    )];
    let headers = at("/request/headers").and_then(Value::as_object);
    for (name, value) in headers.into_iter().flatten() {
        lines.push(format!(
            "{}: {}",
            text::clean(name),
            text::plain(Some(value))
        ));
    }
    lines.push(String::new());
    lines.push(text::plain(at("/request/body")));
    lines.join("\n")
}

fn sentence(document: &Value) -> String {
    let field = |name: &str| text::plain(document.get(name));
    let (id, reason) = (field("id"), field("reason"));
    match text::string(document, "/served_by") {
        "" => format!("{id}: nobody serves ({reason})"),
        by if by == text::string(document, "/id") => {
            format!(
                "{id}: {} serves at {} ({reason})",
                field("version"),
                field("subject")
            )
        }
        by => format!(
            "{id}: {} {} serves in its place at {} ({reason})",
            text::clean(by),
            field("version"),
            field("subject"),
        ),
    }
}

fn verdict(row: &Value) -> Cell {
    let is = |name: &str| row.get(name).and_then(Value::as_bool) == Some(true);
    match (is("chosen"), is("takes_part")) {
        (true, _) => Cell::new("chosen").toned(Tone::Good),
        (false, true) => Cell::new("takes part"),
        (false, false) => Cell::new("out").toned(Tone::Doubtful),
    }
}

fn rules(row: &Value) -> String {
    let rules = members(row, "rules").into_iter().map(|rule| {
        let matched = rule.get("matched").and_then(Value::as_bool) == Some(true);
        let key = text::plain(rule.get("key"));
        format!("{key} {}", if matched { "matches" } else { "differs" })
    });
    joined(rules)
}

/// A bucket is where a request falls among 10,000; a request without the key falls nowhere.
fn rollouts(row: &Value) -> String {
    let rollouts = members(row, "rollouts").into_iter().map(|rollout| {
        let admitted = rollout.get("admitted").and_then(Value::as_bool) == Some(true);
        let verdict = if admitted { "in" } else { "out" };
        match rollout.get("bucket").and_then(Value::as_u64) {
            Some(bucket) => format!("bucket {bucket} {verdict}"),
            None => format!("no key, {verdict}"),
        }
    });
    joined(rollouts)
}

fn joined(texts: impl Iterator<Item = String>) -> String {
    let joined = texts.collect::<Vec<_>>().join(", ");
    match joined.is_empty() {
        true => text::NONE.to_owned(),
        false => joined,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_candidate_has_a_verdict() {
        let mut document = json!({
            "id": "a", "reason": "default", "served_by": "a", "version": "v1",
            "subject": "beamline.ext.a", "candidates": [
                {"version": "v2", "subject": "beamline.ext.a.v2", "enabled": true, "current": false,
                 "priority": 0, "rules": [{"key": "tenant_id", "matched": true},
                 {"key": "environment", "matched": false}],
                 "rollouts": [{"bucket": 6574, "admitted": false}], "takes_part": false,
                 "chosen": false, "circuit_breaker_state": "closed"},
                {"version": "v1", "subject": "beamline.ext.a", "enabled": true, "current": true,
                 "priority": 0, "rules": [], "rollouts": [], "takes_part": true, "chosen": true,
                 "circuit_breaker_state": "open"},
            ],
            "instances": [{"instance_id": "blue", "subject": "beamline.ext.a.blue", "weight": 30}],
        });
        assert_eq!(
            view(&document, &Screen::default()),
            "\
a: v1 serves at beamline.ext.a (default)

candidate  verdict  enabled  current  priority  rules                                   rollout          circuit  subject
v2         out      yes      no              0  tenant_id matches, environment differs  bucket 6574 out  closed   beamline.ext.a.v2
v1         chosen   yes      yes             0  -                                       -                open     beamline.ext.a

instance  weight  subject
blue          30  beamline.ext.a.blue"
        );
        document["served_by"] = json!("b");
        document["reason"] = json!("fallback");
        assert!(view(&document, &Screen::default()).starts_with("a: b v1 serves in its place"));
        document["served_by"] = json!(null);
        document["reason"] = json!("disabled");
        assert!(view(&document, &Screen::default()).starts_with("a: nobody serves (disabled)"));
    }
}

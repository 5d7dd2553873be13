//! `list`.

use serde_json::Value;

use super::members;
use crate::cli::operator::pages::OMITTED;
use crate::cli::operator::screen::Screen;
use crate::cli::operator::table::{self, Cell, Column, Tone};

const COLUMNS: &[Column] = &[
    ("id", |row| Cell::at(row, "/id")),
    ("type", |row| Cell::at(row, "/type")),
    ("version", |row| Cell::at(row, "/version")),
    ("enabled", enabled),
    ("circuit", |row| {
        Cell::circuit(row, "/circuit_breaker_state")
    }),
    ("timeout ms", |row| Cell::count(row, "/timeout_ms")),
    ("retry", |row| Cell::count(row, "/retry")),
    ("subject", |row| Cell::at(row, "/subject")),
];

/// A row per extension, and how many there are where not all are shown.
pub(in crate::cli::operator) fn view(document: &Value, screen: &Screen) -> String {
    let rows = members(document, "extensions");
    let shown = rows.len();
    let total = document.get("total").and_then(Value::as_u64);
    let mut text = match shown {
        0 => "no extensions".to_owned(),
        _ => table::of(COLUMNS, rows, screen),
    };
    if total.is_some_and(|total| total > shown as u64) {
        text += &format!("\n\n{shown} of {}", Cell::at(document, "/total").text());
    }
    let omitted = members(document, OMITTED).into_iter();
    let omitted: Vec<_> = omitted.filter_map(Value::as_str).collect();
    if !omitted.is_empty() {
        let omitted = omitted.join(", ");
        text += &format!("\n\nleft out, too large for a message: {omitted}");
    }
    text
}

fn enabled(row: &Value) -> Cell {
    let cell = Cell::truth(row, "/enabled");
    match row.get("enabled").and_then(Value::as_bool) {
        Some(false) => cell.toned(Tone::Doubtful),
        _ => cell,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_row_per_extension() {
        let document = json!({"extensions": [
            {"id": "normalize_text", "type": "pre", "version": "v1", "enabled": true,
             "circuit_breaker_state": "closed", "timeout_ms": 100, "retry": 0,
             "subject": "beamline.ext.pre.normalize_text.v1"},
            {"id": "slow", "type": "post", "version": "v12", "enabled": false,
             "circuit_breaker_state": "half_open", "timeout_ms": 5000, "retry": 1,
             "subject": "beamline.ext.slow"},
        ], "total": 12, "next": null});
        assert_eq!(
            view(&document, &Screen::default()),
            "\
id              type  version  enabled  circuit    timeout ms  retry  subject
normalize_text  pre   v1       yes      closed            100      0  beamline.ext.pre.normalize_text.v1
slow            post  v12      no       half_open        5000      1  beamline.ext.slow

2 of 12"
        );
        let none = json!({"extensions": [], "total": 0, "next": null});
        assert_eq!(view(&none, &Screen::default()), "no extensions");
        let large = json!({"extensions": [], "total": 0, "omitted": ["a", "b"], "next": null});
        let text = "no extensions\n\nleft out, too large for a message: a, b";
        assert_eq!(view(&large, &Screen::default()), text);
    }
}

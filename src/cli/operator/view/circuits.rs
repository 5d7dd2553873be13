//! `circuits`, and the one that `circuit` has changed.

use serde_json::Value;

use super::members;
use crate::cli::operator::commands::Fleet;
use crate::cli::operator::screen::Screen;
use crate::cli::operator::table::{self, Cell, Column};
use crate::cli::operator::text;

const COLUMNS: &[Column] = &[
    ("id", |row| Cell::at(row, "/id")),
    ("version", |row| Cell::at(row, "/version")),
    ("state", |row| Cell::circuit(row, "/state")),
    ("failures", |row| Cell::count(row, "/consecutive_failures")),
    ("error %", |row| {
        Cell::number(text::percent(row.get("error_rate")))
    }),
    ("opened", |row| Cell::time(row, "/opened_at")),
    ("retry", |row| Cell::time(row, "/retry_at")),
    ("forced", forced),
];

pub(in crate::cli::operator) const FLEET: Fleet = Fleet {
    rows: |document| members(document, "circuits"),
    columns: |_| COLUMNS,
};

/// A row per circuit.
pub(in crate::cli::operator) fn view(document: &Value, screen: &Screen) -> String {
    let rows = members(document, "circuits");
    match rows.is_empty() {
        true => "no circuits".to_owned(),
        false => table::of(COLUMNS, rows, screen),
    }
}

/// One circuit.
pub(in crate::cli::operator) fn one(document: &Value, screen: &Screen) -> String {
    table::of(COLUMNS, [document], screen)
}

/// Forced states end at a moment, or at the next order.
fn forced(row: &Value) -> Cell {
    match row.get("forced") {
        Some(Value::String(_)) => Cell::new(format!("until {}", text::time(row.get("forced")))),
        _ => Cell::truth(row, "/forced"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_row_per_circuit() {
        let circuit = |forced: Value| {
            json!({"id": "a", "version": "v1", "state": "open", "consecutive_failures": 5,
                "error_rate": 0.5, "opened_at": "2026-11-21T15:18:04.458060Z",
                "retry_at": null, "forced": forced})
        };
        let until = json!("2026-11-21T15:19:04.435881Z");
        let document = json!({"circuits": [circuit(json!(false)), circuit(until)], "next": null});
        assert_eq!(
            view(&document, &Screen::default()),
            "\
id  version  state  failures  error %  opened                    retry  forced
a   v1       open          5     50.0  2026-11-21T15:18:04.458Z  -      no
a   v1       open          5     50.0  2026-11-21T15:18:04.458Z  -      until 2026-11-21T15:19:04.435Z"
        );
        let none = json!({"circuits": [], "next": null});
        assert_eq!(view(&none, &Screen::default()), "no circuits");
    }
}

//! `health`, of one extension and of all.

use serde_json::Value;

use super::members;
use crate::cli::operator::commands::Fleet;
use crate::cli::operator::screen::Screen;
use crate::cli::operator::table::{self, Cell, Column, Tone};
use crate::cli::operator::text;

const COLUMNS: &[Column] = &[
    ("id", |row| Cell::at(row, "/id")),
    ("type", |row| Cell::at(row, "/type")),
    ("status", status),
    ("success %", |row| percent(row, "/health/success_rate")),
    ("p50 ms", |row| Cell::ms(row, "/health/p50_latency_ms")),
    ("p95 ms", |row| Cell::ms(row, "/health/p95_latency_ms")),
    ("p99 ms", |row| Cell::ms(row, "/health/p99_latency_ms")),
    ("calls", calls),
    ("failures", |row| Cell::count(row, "/health/failure_count")),
    ("circuit", |row| {
        Cell::circuit(row, "/health/circuit_breaker_state")
    }),
];

/// One row per sidecar: an extension where one is asked for, else the summary of all.
pub(in crate::cli::operator) const FLEET: Fleet = Fleet {
    rows: |document| vec![document],
    columns: |document| match document.get("summary") {
        Some(_) => SUMMARY,
        None => COLUMNS,
    },
};

const SUMMARY: &[Column] = &[
    ("healthy", |row| Cell::count(row, "/summary/healthy")),
    ("unhealthy", |row| Cell::count(row, "/summary/unhealthy")),
    ("half open", |row| Cell::count(row, "/summary/half_open")),
    ("enabled", |row| Cell::count(row, "/summary/enabled")),
    ("total", |row| Cell::count(row, "/summary/total")),
    ("success %", |row| percent(row, "/summary/avg_success_rate")),
    ("avg ms", |row| Cell::ms(row, "/summary/avg_latency_ms")),
    ("p95 ms", |row| Cell::ms(row, "/summary/avg_p95_latency_ms")),
];

/// A row per extension, and all of them in one sentence.
pub(in crate::cli::operator) fn view(document: &Value, screen: &Screen) -> String {
    let Some(summary) = document.get("summary") else {
        return table::of(COLUMNS, [document], screen);
    };
    let rows = members(document, "extensions");
    let count = |name: &str| text::plain(summary.get(name));
    let sentence = format!(
        "{} extensions, {} enabled: {} healthy, {} unhealthy, {} half open",
        count("total"),
        count("enabled"),
        count("healthy"),
        count("unhealthy"),
        count("half_open"),
    );
    if rows.is_empty() {
        return sentence;
    }
    format!("{}\n\n{sentence}", table::of(COLUMNS, rows, screen))
}

fn status(row: &Value) -> Cell {
    let tone = match text::string(row, "/health/status") {
        "healthy" => Tone::Good,
        "half_open" => Tone::Doubtful,
        "unhealthy" => Tone::Bad,
        _ => Tone::Plain,
    };
    Cell::at(row, "/health/status").toned(tone)
}

fn percent(row: &Value, pointer: &str) -> Cell {
    Cell::number(text::percent(row.pointer(pointer)))
}

fn calls(row: &Value) -> Cell {
    let count = |pointer| row.pointer(pointer).and_then(Value::as_u64);
    let successes = count("/health/success_count").unwrap_or_default();
    let failures = count("/health/failure_count").unwrap_or_default();
    Cell::number(successes.saturating_add(failures).to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn standing(id: &str, status: &str, rate: Value) -> Value {
        json!({"id": id, "type": "pre", "health": {
            "status": status, "success_count": 98, "failure_count": 2, "success_rate": rate,
            "p50_latency_ms": 0.25, "p95_latency_ms": 12.345, "p99_latency_ms": 1234.5,
            "circuit_breaker_state": "closed",
        }})
    }

    #[test]
    fn a_row_per_extension_and_a_summary() {
        let document = json!({
            "extensions": [standing("a", "healthy", json!(0.98)), standing("idle", "no_data", json!(null))],
            "summary": {"total": 2, "enabled": 2, "healthy": 2, "unhealthy": 0, "half_open": 0},
            "next": null,
        });
        assert_eq!(
            view(&document, &Screen::default()),
            "\
id    type  status   success %  p50 ms  p95 ms  p99 ms  calls  failures  circuit
a     pre   healthy       98.0    0.25    12.3    1234    100         2  closed
idle  pre   no_data          -    0.25    12.3    1234    100         2  closed

2 extensions, 2 enabled: 2 healthy, 0 unhealthy, 0 half open"
        );
        let one = view(&standing("a", "unhealthy", json!(0.5)), &Screen::default());
        assert_eq!(one.lines().count(), 2, "{one}");
    }
}

//! `stats`.

use std::time::Duration;

use serde_json::Value;

use super::members;
use crate::cli::operator::commands::Fleet;
use crate::cli::operator::screen::Screen;
use crate::cli::operator::table::{self, Cell, Column, Tone};
use crate::cli::operator::text;

const QUARANTINED: &[Column] = &[
    ("quarantined", |row| Cell::at(row, "/origin")),
    ("reason", |row| Cell::at(row, "/reason")),
];

pub(in crate::cli::operator) const FLEET: Fleet = Fleet {
    rows: |document| vec![document],
    columns: |_| {
        &[
            ("version", |row| Cell::at(row, "/version")),
            ("source", |row| Cell::at(row, "/active_source")),
            ("revision", |row| Cell::count(row, "/revision")),
            ("extensions", |row| Cell::count(row, "/total_extensions")),
            ("enabled", |row| Cell::count(row, "/enabled_extensions")),
            ("quarantined", |row| Cell::count(row, "/quarantined_total")),
            ("lookups", |row| {
                Cell::number(sum(row, "/lookups", &["hits", "misses"]).to_string())
            }),
            ("calls", |row| Cell::number(calls(row).to_string())),
            ("database", |row| state(row, "/database/state")),
            ("stale ms", |row| Cell::count(row, "/staleness_ms")),
            ("up", uptime),
        ]
    },
};

/// Names and values, then what is in quarantine.
pub(in crate::cli::operator) fn view(stats: &Value, screen: &Screen) -> String {
    let at = |pointer| Cell::at(stats, pointer);
    let facts = table::facts(
        [
            ("instance", at("/instance_id")),
            ("version", at("/version")),
            ("started", Cell::time(stats, "/started_at")),
            ("up", uptime(stats)),
            ("source", source(stats)),
            ("revision", at("/revision")),
            ("epoch", at("/epoch")),
            ("digest", at("/digest")),
            ("extensions", extensions(stats)),
            ("loads", loads(stats)),
            ("last change", Cell::time(stats, "/last_reload")),
            ("last error", at("/last_error")),
            ("stale ms", at("/staleness_ms")),
            ("lookups", lookups(stats)),
            ("calls", invocations(stats)),
            ("nats", state(stats, "/nats/state")),
            ("database", database(stats)),
            ("listener", state(stats, "/listener/state")),
        ],
        screen,
    );
    let quarantined = members(stats, "quarantined");
    match quarantined.is_empty() {
        true => facts,
        false => format!("{facts}\n\n{}", table::of(QUARANTINED, quarantined, screen)),
    }
}

fn state(stats: &Value, pointer: &str) -> Cell {
    let tone = match text::string(stats, pointer) {
        "up" | "listening" => Tone::Good,
        "away" | "failing" => Tone::Bad,
        _ => Tone::Plain,
    };
    Cell::at(stats, pointer).toned(tone)
}

/// Its state, and what is wrong where something is.
fn database(stats: &Value) -> Cell {
    match text::string(stats, "/database/error") {
        "" => state(stats, "/database/state"),
        error => Cell::new(error.to_owned()).toned(Tone::Bad),
    }
}

fn source(stats: &Value) -> Cell {
    let active = text::plain(stats.get("active_source"));
    Cell::new(format!("{active} ({})", text::plain(stats.get("source"))))
}

fn extensions(stats: &Value) -> Cell {
    let field = |name: &str| text::plain(stats.get(name));
    Cell::new(format!(
        "{}, {} enabled, {} in quarantine",
        field("total_extensions"),
        field("enabled_extensions"),
        field("quarantined_total"),
    ))
}

fn loads(stats: &Value) -> Cell {
    let field = |name: &str| text::plain(stats.get(name));
    Cell::new(format!(
        "{}, {} failed",
        field("load_count"),
        field("error_count")
    ))
}

fn lookups(stats: &Value) -> Cell {
    let field = |pointer| text::plain(stats.pointer(pointer));
    Cell::new(format!(
        "{} hits, {} misses, {} refused",
        field("/lookups/hits"),
        field("/lookups/misses"),
        field("/lookups/refused"),
    ))
}

fn invocations(stats: &Value) -> Cell {
    let parts = [
        "success",
        "failure",
        "timeout",
        "neutral",
        "rejected",
        "overloaded",
        "retries",
    ];
    let invocations = stats.get("invocations");
    let field = |name: &str| text::plain(invocations.and_then(|fields| fields.get(name)));
    let told = parts.map(|name| format!("{} {name}", field(name)));
    Cell::new(format!(
        "{}, {} in flight",
        told.join(", "),
        field("in_flight")
    ))
}

fn calls(stats: &Value) -> u64 {
    sum(
        stats,
        "/invocations",
        &["success", "failure", "timeout", "neutral"],
    )
}

fn sum(stats: &Value, pointer: &str, names: &[&str]) -> u64 {
    let object = stats.pointer(pointer);
    let field = |name: &&str| object?.get(name)?.as_u64();
    names.iter().filter_map(field).sum()
}

/// To the second.
fn uptime(stats: &Value) -> Cell {
    let ms = stats.get("uptime_ms").and_then(Value::as_u64);
    let text = ms.map(|ms| humantime::format_duration(Duration::from_secs(ms / 1000)).to_string());
    Cell::number(text.unwrap_or_else(|| text::NONE.to_owned()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_sidecar_at_a_glance() {
        let stats = json!({
            "source": "auto", "active_source": "database", "revision": 5, "epoch": "e0",
            "digest": "aefb875db14f405a", "total_extensions": 7, "enabled_extensions": 6,
            "quarantined": [{"origin": "row faulty", "reason": "subject not allowed"}],
            "quarantined_total": 1, "load_count": 15, "error_count": 2, "last_error": null,
            "last_reload": "2026-11-21T15:18:04.428389Z", "staleness_ms": 4,
            "lookups": {"hits": 10, "misses": 1, "refused": 0},
            "invocations": {"success": 4, "failure": 3, "timeout": 2, "neutral": 1, "rejected": 0,
                "overloaded": 0, "retries": 5, "in_flight": 1},
            "listener": {"state": "listening"}, "database": {"state": "up"}, "nats": {"state": "up"},
            "instance_id": "pod-1", "version": "0.1.0",
            "started_at": "2026-11-21T15:16:03.159425Z", "uptime_ms": 121_310,
        });
        assert_eq!(
            view(&stats, &Screen::default()),
            "\
instance     pod-1
version      0.1.0
started      2026-11-21T15:16:03.159Z
up           2m 1s
source       database (auto)
revision     5
epoch        e0
digest       aefb875db14f405a
extensions   7, 6 enabled, 1 in quarantine
loads        15, 2 failed
last change  2026-11-21T15:18:04.428Z
last error   -
stale ms     4
lookups      10 hits, 1 misses, 0 refused
calls        4 success, 3 failure, 2 timeout, 1 neutral, 0 rejected, 0 overloaded, 5 retries, 1 in flight
nats         up
database     up
listener     listening

quarantined  reason
row faulty   subject not allowed"
        );
        let row = table::of((FLEET.columns)(&stats), [&stats], &Screen::default());
        assert!(row.contains("       11     10  up  "), "{row}");
    }
}

//! `reload`.

use serde_json::Value;

use crate::cli::operator::commands::Fleet;
use crate::cli::operator::screen::Screen;
use crate::cli::operator::table::Cell;
use crate::cli::operator::text;

pub(in crate::cli::operator) const FLEET: Fleet = Fleet {
    rows: |document| vec![document],
    columns: |_| {
        &[
            ("added", |row| Cell::count(row, "/added")),
            ("updated", |row| Cell::count(row, "/updated")),
            ("removed", |row| Cell::count(row, "/removed")),
            ("total", |row| Cell::count(row, "/total")),
            ("revision", |row| Cell::count(row, "/revision")),
            ("source", |row| Cell::at(row, "/active_source")),
            ("ms", |row| Cell::ms(row, "/duration_ms")),
        ]
    },
};

/// What it did, in one sentence.
pub(in crate::cli::operator) fn view(document: &Value, _: &Screen) -> String {
    let field = |name: &str| text::plain(document.get(name));
    format!(
        "{} added, {} updated, {} removed; {} extensions at revision {}, from {} in {} ms",
        field("added"),
        field("updated"),
        field("removed"),
        field("total"),
        field("revision"),
        field("active_source"),
        text::milliseconds(document.get("duration_ms")),
    )
}

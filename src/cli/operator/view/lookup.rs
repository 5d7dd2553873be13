//! `lookup`, of one and of many.

use serde_json::Value;

use super::{list, members};
use crate::cli::operator::screen::Screen;
use crate::cli::operator::table::{self, Cell, Column};
use crate::cli::operator::text;

/// Instances with the weights among which calls are shared.
pub(super) const INSTANCES: &[Column] = &[
    ("instance", |row| Cell::at(row, "/instance_id")),
    ("weight", |row| Cell::count(row, "/weight")),
    ("subject", |row| Cell::at(row, "/subject")),
];

/// The version that serves, in full; or a row for each of many.
pub(in crate::cli::operator) fn view(document: &Value, screen: &Screen) -> String {
    if document.get("extensions").is_some() {
        return list::view(document, screen);
    }
    let at = |pointer| Cell::at(document, pointer);
    let facts = table::facts(
        [
            ("id", at("/id")),
            ("type", at("/type")),
            ("version", at("/version")),
            ("subject", at("/subject")),
            ("timeout ms", at("/timeout_ms")),
            ("retry", at("/retry")),
            ("config", at("/config")),
            ("metadata", at("/metadata")),
            ("fallback", Cell::new(text::list(document.get("fallback")))),
            ("circuit", Cell::circuit(document, "/circuit_breaker_state")),
            ("revision", at("/revision")),
        ],
        screen,
    );
    let instances = members(document, "instances");
    match instances.is_empty() {
        true => facts,
        false => format!("{facts}\n\n{}", table::of(INSTANCES, instances, screen)),
    }
}

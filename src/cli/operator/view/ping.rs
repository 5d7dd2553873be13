//! `ping`.

use serde_json::Value;

use crate::cli::operator::commands::Fleet;
use crate::cli::operator::pages::ELAPSED_MS;
use crate::cli::operator::screen::Screen;
use crate::cli::operator::table::Cell;
use crate::cli::operator::text;

pub(in crate::cli::operator) const FLEET: Fleet = Fleet {
    rows: |document| vec![document],
    columns: |_| {
        &[("ms", |row| {
            Cell::number(text::milliseconds(row.get(ELAPSED_MS)))
        })]
    },
};

/// Who answers, and after how long.
pub(in crate::cli::operator) fn view(document: &Value, _: &Screen) -> String {
    format!(
        "{} answers in {} ms",
        text::plain(document.get("instance_id")),
        text::milliseconds(document.get(ELAPSED_MS)),
    )
}

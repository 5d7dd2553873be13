//! `ping`.

use serde_json::Value;

use crate::cli::people::commands::Fleet;
use crate::cli::people::pages::ELAPSED_MS;
use crate::cli::people::screen::Screen;
use crate::cli::people::table::Cell;
use crate::cli::people::text;

pub(in crate::cli::people) const FLEET: Fleet = Fleet {
    rows: |document| vec![document],
    columns: |_| {
        &[("ms", |row| {
            Cell::number(text::milliseconds(row.get(ELAPSED_MS)))
        })]
    },
};

/// Who answers, and after how long.
pub(in crate::cli::people) fn view(document: &Value, _: &Screen) -> String {
    format!(
        "{} answers in {} ms",
        text::plain(document.get("instance_id")),
        text::milliseconds(document.get(ELAPSED_MS)),
    )
}

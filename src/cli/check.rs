//! `check`: the effective configuration as a table.

use comfy_table::{Table, presets};

use crate::config::Effective;

/// One line per variable: name, value (secrets hidden) and who set it.
pub fn table(effective: &Effective) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_header(["variable", "value", "from"]);
    for entry in &effective.0 {
        let value = entry.value.as_deref().unwrap_or("-");
        table.add_row([entry.name.as_str(), value, &entry.origin.to_string()]);
    }
    table.trim_fmt()
}

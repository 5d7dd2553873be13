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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Entry, Origin};

    #[test]
    fn one_line_per_variable() {
        let entry = |name: &str, value: Option<&str>, origin| Entry {
            name: name.to_owned(),
            value: value.map(str::to_owned),
            origin,
        };
        let from = |layer, name: &str| Origin {
            layer,
            name: name.to_owned(),
        };
        let effective = Effective(vec![
            entry("A", Some("x y"), from("flag", "--a")),
            entry("LONG", None, from("default", "LONG")),
        ]);
        let lines: Vec<String> = table(&effective).lines().map(str::to_owned).collect();
        assert_eq!(
            lines,
            [
                " variable  value  from",
                " A         x y    flag --a",
                " LONG      -      default",
            ]
        );
    }
}

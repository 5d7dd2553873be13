//! `docs/configuration.md`: its tables are made from the table of the code.

use std::fmt::Write;

use beamline_registry::config::variables::{self, Variable};

use super::{file, settle};

const PAGE: &str = "docs/configuration.md";
/// What stands between these two lines is generated.
const BEGIN: &str = "<!-- from src/config/variables.rs: `just docs` -->";
const END: &str = "<!-- end -->";

#[test]
fn the_tables_of_variables_are_those_of_the_code() {
    let page = std::fs::read_to_string(file(PAGE)).unwrap();
    let (before, rest) = page.split_once(BEGIN).expect(BEGIN);
    let (_, after) = rest.split_once(END).expect(END);
    settle(
        PAGE,
        &format!("{before}{BEGIN}\n{}\n{END}{after}", tables()),
    );
}

fn tables() -> String {
    let (mut out, mut section) = (String::new(), "");
    for variable in variables::ALL {
        if variable.section != section {
            section = variable.section;
            write!(out, "\n## {section}\n\n").unwrap();
            out.push_str("| name | default | form | |\n|---|---|---|---|\n");
        }
        out.push_str(&row(variable));
    }
    out
}

fn row(variable: &Variable) -> String {
    let name = variable.name;
    let default = variable.default.map(|text| format!("`{text}`"));
    let default = default.unwrap_or_default();
    let form = variable.kind.0.replace('|', "\\|");
    let fallback = variable.fallback;
    let fallback = fallback.map(|name| format!("; else the environment's `{name}`"));
    let file = variable.file_key();
    let file = file.map(|name| format!("; or `{name}`"));
    let (fallback, file) = (fallback.unwrap_or_default(), file.unwrap_or_default());
    let doc = variable.doc;
    format!("| `{name}` | {default} | `{form}` | {doc}{fallback}{file} |\n")
}

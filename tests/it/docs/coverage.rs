//! The pages of the NATS API leave nothing out.

use std::collections::{BTreeMap, BTreeSet};

use beamline_registry::adapters::nats::verb::Verb;

use super::{API, read};

#[test]
fn every_verb_and_form_has_an_example() {
    let pages: String = API.iter().map(|path| read(path)).collect();
    let commands: Vec<&str> = pages
        .lines()
        .filter(|line| line.starts_with("$ nats req "))
        .collect();
    let shown = |needle: &str| {
        let found = commands.iter().any(|command| command.contains(needle));
        assert!(found, "no example of {needle}");
    };
    for verb in Verb::ALL {
        let name = verb.as_str();
        shown(&format!(".{name} "));
        if verb.takes_id() {
            shown(&format!(".{name}."));
        }
        // Of those that are in one sidecar only that one answers, and no example has a call there.
        if verb.answers_all() && verb.answers_any() {
            shown(&format!(".all.{name} "));
        }
    }
    for form in [
        ".local.pod-1.",
        ".as.alice.",
        "$SRV.PING",
        "$SRV.INFO",
        "$SRV.STATS",
    ] {
        shown(form);
    }
}

#[test]
fn every_error_of_http_alone_is_on_its_page_and_in_openapi() {
    let source = read("src/adapters/http/answer.rs");
    let (_, codes) = source.split_once("fn plain(").expect("the table");
    let (codes, _) = codes.split_once("error::plain(").expect("its end");
    let rows = codes.split("StatusCode::").skip(1);
    let codes: Vec<_> = rows.filter_map(|row| row.split('"').nth(1)).collect();
    assert!(codes.len() > 6, "found only {codes:?}");
    let page = read("docs/http.md");
    let openapi = read("src/adapters/http/openapi/common.rs");
    for code in codes {
        let name = format!("`{code}`");
        assert!(page.contains(&name), "docs/http.md has no {code}");
        // No operation has it: it is what there is without one.
        let described = code == "method_not_allowed" || openapi.contains(&name);
        assert!(described, "OpenAPI has no {code}");
    }
}

/// Where the codes are made, and where each has its section.
const CODES: &str = "src/service/error.rs";
const ERRORS: &str = "docs/nats-errors.md";

#[test]
fn every_error_code_has_a_section_and_a_row() {
    let source = read(CODES);
    let (_, codes) = source.split_once("fn kind(").expect("the table");
    let (codes, _) = codes.split_once("\n    }\n").expect("their end");
    // A number, a code and a title in each row.
    let parts: Vec<_> = codes.split('"').collect();
    let numbers = parts.iter().step_by(4).map(|text| text.rsplit('(').next());
    let numbers = numbers.map(|text| text.unwrap().trim_end_matches(", "));
    let codes = parts.iter().skip(1).step_by(4).copied();
    let numbered: BTreeMap<_, _> = codes.zip(numbers).collect();
    assert!(numbered.len() > 15, "found only {numbered:?}");
    let page = read(ERRORS);
    let sections = page.lines().filter_map(|line| line.strip_prefix("## "));
    let codes: BTreeSet<_> = numbered.keys().copied().collect();
    assert_eq!(sections.collect::<BTreeSet<_>>(), codes);
    for (code, number) in numbered {
        let name = format!("[`{code}`](#{code})");
        let cells = page.lines().filter_map(|line| line.split(" | ").next());
        let mut named = cells.filter(|cell| cell.contains(&name));
        let cell = named.next().unwrap_or_else(|| panic!("no row for {code}"));
        assert!(cell.ends_with(&format!(" {number}")), "{cell}: {number}");
    }
}

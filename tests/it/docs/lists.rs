//! Lists that repeat a table of the code have all of it: in pages, in SQL, in the patterns of requests.

use std::collections::BTreeSet;

use beamline_registry::adapters::nats::verb::Verb;
use beamline_registry::documents::event::KINDS;
use beamline_registry::domain::actor::Actor;
use beamline_registry::domain::breaker::CircuitState;
use beamline_registry::domain::extension::ExtensionType;
use beamline_registry::domain::ids::{ExtensionId, VersionName};
use beamline_registry::service::definitions::ACTIONS;
use beamline_registry::service::health::{State, StateFilter};
use beamline_registry::service::invoke::Status;
use beamline_registry::service::observe::DropReason;
use beamline_registry::service::trouble::Trouble;

use super::{asyncapi, read};

const ADMINISTRATION: &str = "docs/nats-administration.md";

/// What stands between backticks.
pub(super) fn spans(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// The row of a page that begins so.
fn row(path: &str, begin: &str) -> String {
    let page = read(path);
    let row = page.lines().find(|line| line.starts_with(begin));
    row.unwrap_or_else(|| panic!("{path} has no row {begin}"))
        .to_owned()
}

/// What the first cells of the table with this head name.
fn first_cells(path: &str, head: &str) -> BTreeSet<String> {
    let page = read(path);
    let (_, table) = page.split_once(head).expect(head);
    let rows = table.lines().skip(2).take_while(|line| !line.is_empty());
    let cells = rows.filter_map(|row| row.split(" | ").next());
    // What is said of a name is no name.
    let cells = cells.filter_map(|cell| cell.split(" with ").next());
    cells.flat_map(spans).map(str::to_owned).collect()
}

fn verbs(which: impl Fn(Verb) -> bool) -> BTreeSet<&'static str> {
    let verbs = Verb::ALL.into_iter().filter(|verb| which(*verb));
    verbs.map(Verb::as_str).collect()
}

fn owned<'a>(names: impl IntoIterator<Item = &'a str>) -> BTreeSet<String> {
    names.into_iter().map(str::to_owned).collect()
}

#[test]
fn the_page_of_the_nats_api_names_every_verb_and_its_forms() {
    let path = "docs/nats-api.md";
    let page = read(path);
    let (pages, _) = page.split_once("## Subjects").unwrap();
    let rows = pages.lines().filter(|line| line.starts_with("| ["));
    let mut named: Vec<_> = rows.flat_map(spans).collect();
    named.sort_unstable();
    // Each once.
    assert_eq!(named, Vec::from_iter(verbs(|_| true)));

    let all = row(path, "| `P.all.<verb>[.<id>]` |");
    let (_, all) = all.trim_end_matches(" |").rsplit_once(" | ").unwrap();
    assert_eq!(BTreeSet::from_iter(spans(all)), verbs(Verb::answers_all));

    let sentence = page.lines().find_map(|line| {
        let (named, _) = line.split_once(" take the id in the subject.")?;
        Some(BTreeSet::from_iter(spans(named)))
    });
    assert_eq!(sentence, Some(verbs(Verb::takes_id)));
}

#[test]
fn the_page_of_health_names_every_event_and_every_state() {
    let path = "docs/health.md";
    let kinds = owned(KINDS);
    assert_eq!(first_cells(path, "| kind | from | `data` |"), kinds);
    let states = owned(State::ALL.map(State::as_str));
    assert_eq!(first_cells(path, "| state, worst first | |"), states);
}

#[test]
fn the_page_of_the_audit_names_every_action() {
    let row = row("docs/administration.md", "| `action` |");
    assert_eq!(spans(&row).skip(1).collect::<Vec<_>>(), ACTIONS);
}

#[test]
fn the_troubleshooting_guide_names_every_trouble_of_the_database() {
    let head = "| `database.reason` | means | do |";
    let troubles = owned(Trouble::ALL.map(Trouble::as_str));
    assert_eq!(first_cells("docs/troubleshooting.md", head), troubles);
}

/// Behind the names of the metric and of its labels.
#[test]
fn the_page_of_metrics_names_every_value_of_a_label() {
    let page = "docs/metrics.md";
    let calls = row(page, "| `extension_invocations_total` |");
    let statuses: Vec<_> = spans(&calls).skip(4).collect();
    assert_eq!(statuses, Status::ALL.map(Status::as_str));
    let dropped = row(page, "| `extension_registry_dropped_requests_total` |");
    let reasons: Vec<_> = spans(&dropped).skip(2).collect();
    assert_eq!(reasons, DropReason::ALL.map(DropReason::as_str));
}

#[test]
fn types_and_rules_of_names_are_on_their_pages() {
    let types = ExtensionType::NAMES.map(|name| format!("`{name}`"));
    for path in [ADMINISTRATION, "docs/nats-reading.md"] {
        let row = row(path, "| `type` |");
        assert!(row.contains(&types.join(", ")), "{row}");
    }
    for (path, begin, rule) in [
        (ADMINISTRATION, "| `id` |", ExtensionId::RULE),
        (ADMINISTRATION, "| `version` (`v1`) |", VersionName::RULE),
        ("docs/administration.md", "Let each person", Actor::RULE),
    ] {
        let row = row(path, begin);
        assert!(row.contains(&format!("`{rule}`")), "{path}: {row}");
    }
}

/// The words that a migration lets a column be.
fn checked(path: &str, column: &str) -> Vec<String> {
    let sql = read(path);
    let begin = format!("CHECK ({column} IN (");
    let (_, words) = sql.split_once(&begin).expect(&begin);
    let (words, _) = words.split_once("))").unwrap();
    let words = words.split('\'').skip(1).step_by(2);
    words.map(str::to_owned).collect()
}

/// The words that AsyncAPI lets a field of a request be.
fn allowed(request: &str, field: &str) -> Vec<String> {
    let pattern = pattern(request, field);
    let words = pattern.trim_start_matches("^(").trim_end_matches(")$");
    words.split('|').map(str::to_owned).collect()
}

fn pattern(request: &str, field: &str) -> String {
    let document = asyncapi::document();
    let place = format!("/components/schemas/{request}/properties/{field}/pattern");
    let pattern = document.pointer(&place).expect(&place);
    pattern.as_str().unwrap().to_owned()
}

#[test]
fn tables_of_the_database_take_what_the_code_has() {
    let types = checked("migrations/V1__definitions.sql", "type");
    assert_eq!(types, ExtensionType::NAMES);
    assert_eq!(checked("migrations/V3__audit.sql", "action"), ACTIONS);
    // Closed circuits have no row.
    let states = CircuitState::ALL.into_iter();
    let states = states.filter(|state| *state != CircuitState::Closed);
    let states: Vec<_> = states.map(CircuitState::as_str).collect();
    assert_eq!(checked("migrations/V4__health.sql", "state"), states);
    let orders = checked("migrations/V5__fleet.sql", "action");
    assert_eq!(orders, allowed("CircuitRequest", "action"));
}

#[test]
fn patterns_of_requests_are_those_that_are_checked() {
    assert_eq!(allowed("ListRequest", "type"), ExtensionType::NAMES);
    assert_eq!(allowed("HealthRequest", "state"), StateFilter::NAMES);
    let id = pattern("AuditRequest", "id");
    assert_eq!(id, format!("^{}$", ExtensionId::RULE));
}

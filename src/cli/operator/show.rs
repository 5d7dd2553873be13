//! Documents as tables, whatever they hold: an object is a line for each field, a list of objects a
//! line for each of them, with the document's own names and order. How a value is shown, and in
//! which colour, is decided here alone.

use indexmap::IndexSet;
use serde_json::value::RawValue;

use super::text::{age, clean, line, resting, shown, time};
use crate::cli::document::{at, fields, list, members};
use crate::cli::screen::{Screen, Tone};
use crate::cli::table::{Cell, Column, NONE, draw, fit};

/// What a command makes of its answer. Columns are names, with dots for nested objects, or
/// `HEAD=NAME`; an empty text stands for every field there is.
#[derive(Clone, Copy)]
pub(super) enum View {
    /// A line for each field; first the list of this name with these columns, if there is one.
    Fields(&'static str, &'static str),
    /// The list of this name with these columns; else one row.
    Rows(&'static str, &'static str),
    /// A sentence ([`line`]); where it does not fit, a line for each field.
    Line(&'static str),
    /// Its own.
    Own(fn(&RawValue, &Screen) -> String),
}

/// The text of a column that the row itself has not, by the column's head.
pub(super) type Made = fn(&str, &RawValue) -> Option<String>;

impl View {
    /// The answer as operators read it.
    pub(super) fn of(self, document: &RawValue, screen: &Screen) -> String {
        match self {
            Self::Rows(name, chosen) if at(document, name).is_none() => {
                let row = fit(columns(&[document], chosen, |_, _| None, screen), screen);
                let fields = fields(document);
                let lists = fields.iter().filter(|(_, value)| is_rows(value));
                let lists = lists.map(|(name, rows)| under(name, rows, screen));
                let parts: Vec<_> = std::iter::once(row).chain(lists).collect();
                parts.join("\n\n")
            }
            Self::Fields(name, chosen) | Self::Rows(name, chosen) => {
                whole(document, name, chosen, screen)
            }
            Self::Line(template) => {
                let sentence = line(template, document);
                sentence.unwrap_or_else(|| whole(document, "", "", screen))
            }
            Self::Own(view) => view(document, screen),
        }
    }
}

fn is_rows(value: &RawValue) -> bool {
    value.get().starts_with("[{")
}

/// A list of objects under its name.
fn under(name: &str, rows: &RawValue, screen: &Screen) -> String {
    let columns = columns(&members(rows), "", |_, _| None, screen);
    format!("{}:\n{}", clean(name), fit(columns, screen))
}

/// The list called `name`, the fields, then every other list of objects under its name.
fn whole(document: &RawValue, name: &str, chosen: &str, screen: &Screen) -> String {
    let mut fields = fields(document);
    let mut parts = Vec::new();
    if fields.shift_remove(name).is_some() {
        parts.push(listed(document, name, chosen, |_, _| None, screen));
        // `errors` are reported as what they are.
        fields.retain(|name, _| !matches!(name.as_str(), "next" | "total" | "errors"));
    }
    let (lists, fields): (Vec<_>, Vec<_>) = (fields.iter()).partition(|(_, value)| is_rows(value));
    if !fields.is_empty() {
        let names = fields.iter().map(|(name, _)| clean(name));
        let values = fields.iter().map(|(name, value)| {
            let text = shown(name, value);
            let age = age(&text, screen.now).map(|age| format!("{} ({age})", time(&text)));
            toned(name, age.unwrap_or(text))
        });
        let columns = vec![Column::new("", names), Column::new("", values)];
        parts.push(draw(columns, screen));
    }
    for (name, rows) in lists {
        parts.push(under(name, rows, screen));
    }
    parts.join("\n\n")
}

/// The list called `name`, and how many there are where not all are shown.
pub(super) fn listed(
    document: &RawValue,
    name: &str,
    chosen: &str,
    made: Made,
    screen: &Screen,
) -> String {
    let rows = list(document, name);
    let text = match rows.len() {
        0 => format!("no {name}"),
        _ => fit(columns(&rows, chosen, made, screen), screen),
    };
    counted(document, rows.len(), text)
}

/// `text`, and how many there are where it shows only the first `count`.
pub(super) fn counted(document: &RawValue, count: usize, text: String) -> String {
    match (at(document, "next"), at(document, "total")) {
        (None, _) => text,
        (Some(_), Some(total)) => format!("{text}\n\n{count} of {}", clean(total.get())),
        (Some(_), None) => format!("{text}\n\nthe first {count}; there are more (--limit)"),
    }
}

/// The `chosen` columns of `rows`, without those that have no value in any row.
pub(super) fn columns(
    rows: &[&RawValue],
    chosen: &str,
    made: Made,
    screen: &Screen,
) -> Vec<Column> {
    let mut names: IndexSet<String> = chosen.split_whitespace().map(str::to_owned).collect();
    if names.is_empty() {
        let all = rows.iter().flat_map(|row| fields(row).into_keys());
        names = all.collect();
    }
    let columns = names.iter().map(|name| {
        let (head, path) = name.split_once('=').unwrap_or((name, name));
        let cells = rows.iter().map(|row| {
            let own = || {
                let value = at(row, path)?;
                if path == "resting" {
                    return Some(resting(value, screen.now));
                }
                let text = shown(path, value);
                Some(age(&text, screen.now).unwrap_or(text))
            };
            let text = made(head, row).or_else(own);
            toned(head, text.unwrap_or_else(|| NONE.to_owned()))
        });
        Column::new(&clean(head), cells)
    });
    columns.filter(|column| !column.is_empty()).collect()
}

/// Fields whose words show a state.
const STATES: &str = "circuit circuit_breaker_state state status verdict nats database listener";

/// The text in the colour of its meaning for the field `name`.
fn toned(name: &str, text: String) -> Cell {
    let word = text.split(' ').next().unwrap_or_default();
    let word = word.strip_prefix("state=").unwrap_or(word);
    let tone = match (name, word) {
        ("enabled", "no") => Tone::Doubtful,
        ("auto_disabled", "yes") => Tone::Bad,
        // Since when, and by whose hand: on a narrow terminal other columns give way to these.
        ("failing_since", since) if since != NONE => Tone::Bad,
        ("forced_until", until) if !matches!(until, "no" | NONE) => Tone::Doubtful,
        (name, _) if STATES.split(' ').all(|state| state != name) => Tone::Plain,
        (_, "closed" | "ok" | "healthy" | "up" | "listening" | "chosen") => Tone::Good,
        (_, "half_open" | "resting" | "disabled" | "out" | "polling") => Tone::Doubtful,
        (
            _,
            "open" | "degraded" | "auto_disabled" | "unhealthy" | "away" | "unreachable"
            | "failing",
        ) => Tone::Bad,
        _ => Tone::Plain,
    };
    Cell { text, tone }
}

#[cfg(test)]
mod tests {
    use super::super::commands;
    use super::*;
    use crate::adapters::nats::verb::Verb;

    fn show(view: View, json: &str) -> String {
        let now = humantime::parse_rfc3339("2026-11-21T15:18:34Z").unwrap();
        let screen = Screen {
            now,
            ..Screen::plain()
        };
        view.of(serde_json::from_str(json).unwrap(), &screen)
    }

    #[test]
    fn an_object_is_a_line_for_each_field_and_its_lists_are_tables() {
        let record = r#"{"id":"mask_pii","type":"pre","timeout_ms":250,"enabled":true,
            "config":{"b":"\u009b2J","a":1.50},"fallback":["other","third"],"rollout":null,
            "created_at":"2026-11-21T15:16:04.123456Z","lookups":{"hits":10,"hit_rate":0.5},
            "versions":[{"version":"v2","retry":null,"routing_rules":{"t":["x"]},"priority":0,
            "enabled":false}],"instances":[]}"#;
        assert_eq!(
            show(View::Fields("", ""), record),
            r#"id          mask_pii
type        pre
timeout_ms  250
enabled     yes
config      {"b":"\u009b2J","a":1.50}
fallback    other, third
rollout     -
created_at  2026-11-21T15:16:04.123Z (2m ago)
lookups     hits=10 hit_rate=50.0%
instances   -

versions:
version  routing_rules  priority  enabled
v2       {"t":["x"]}           0  no"#
        );
    }

    #[test]
    fn a_list_is_a_row_for_each_member_in_the_chosen_columns() {
        let view = View::Rows(
            "circuits",
            "id circuit=state.now errors=error_rate opened_at retry_at",
        );
        let page = |next: &str| {
            format!(
                r#"{{"circuits":[
                {{"id":"a","state":{{"now":"open"}},"error_rate":0.5,"opened_at":"2026-11-21T15:18:04Z"}},
                {{"id":"long_id","error_rate":null,"retry_at":null}}],"next":{next}}}"#
            )
        };
        let table = "\
id       circuit  errors  opened_at
a        open      50.0%  30s ago
long_id  -             -  -";
        assert_eq!(show(view, &page("null")), table);
        let more = format!("{table}\n\nthe first 2; there are more (--limit)");
        assert_eq!(show(view, &page("7")), more);
        let some = r#"{"circuits":[{"id":"a"}],"total":12,"omitted":["b"],"next":"a"}"#;
        assert_eq!(show(view, some), "id\na\n\n1 of 12\n\nomitted  b");
        let odd = "{\"circuits\":[{\"id\":\"a\"}],\"total\":\"\u{9b}2J\",\"next\":1}";
        assert_eq!(show(view, odd), "id\na\n\n1 of \"\\u{9b}2J\"");
        assert_eq!(show(view, r#"{"circuits":[],"next":null}"#), "no circuits");
        let one = r#"{"id":"b","state":{"now":"closed"}}"#;
        assert_eq!(show(view, one), "id  circuit\nb   closed");
    }

    #[test]
    fn a_change_is_a_sentence_and_what_it_would_do_a_document() {
        let view = View::Line("{id}: updated, revision {revision}");
        let record = r#"{"id":"a","revision":7,"type":"pre"}"#;
        assert_eq!(show(view, record), "a: updated, revision 7");
        assert_eq!(show(view, r#"{"changed":["retry"]}"#), "changed  retry");
    }

    #[test]
    fn what_is_wrong_stands_out() {
        for (name, text, tone) in [
            ("circuit", "open", Tone::Bad),
            ("database", "state=away error=\"refused\"", Tone::Bad),
            ("nats", "state=up", Tone::Good),
            ("listener", "polling", Tone::Doubtful),
            ("status", "half_open", Tone::Doubtful),
            ("id", "open", Tone::Plain),
            ("enabled", "no", Tone::Doubtful),
            ("failing_since", "3m ago", Tone::Bad),
            ("failing_since", NONE, Tone::Plain),
            ("forced_until", "in 9m", Tone::Doubtful),
            ("forced_until", "yes", Tone::Doubtful),
            ("forced_until", "no", Tone::Plain),
        ] {
            assert_eq!(toned(name, text.to_owned()).tone, tone, "{name} {text}");
        }
    }

    /// Eighty columns: of what fails, since when; of an open circuit, that an operator holds it.
    #[test]
    fn what_an_operator_asks_first_fits_a_narrow_terminal() {
        let screen = Screen {
            width: Some(80),
            ..Screen::plain()
        };
        let health = r#"{"id":"normalize_text","state":"degraded","versions":[{"version":"v2",
            "current":false,"takes_part":true,"state":"degraded","success_count":5,
            "failure_count":5,"success_rate":0.5,"p50_latency_ms":1.5,"p99_latency_ms":2.5,
            "failing_since":"1969-12-31T23:00:00Z","rests_until":null}]}"#;
        let circuits = r#"{"circuits":[{"id":"normalize_text","version":"v1","state":"open",
            "consecutive_failures":5,"error_rate":1.0,"opened_at":"1969-12-31T23:00:00Z",
            "retry_at":"1970-01-01T01:00:00Z","forced":"1970-01-01T01:00:00Z"}]}"#;
        for (verb, document, told) in [
            (Verb::Health, health, "failing_since"),
            (Verb::Circuits, circuits, "forced_until"),
        ] {
            let view = commands::view(verb);
            let text = view.of(serde_json::from_str(document).unwrap(), &screen);
            let mut shown = text.lines().filter(|line| !line.starts_with('('));
            assert!(shown.any(|line| line.contains(told)), "{text}");
        }
    }
}

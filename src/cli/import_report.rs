//! What an import prints: what there was, what differs, what was done.

use super::screen::Screen;
use super::table::{Column, NONE, draw};
use crate::domain::quote::quoted_within;
use crate::service::transfer::{Outcome, Refusal, Report, Tally};

/// The longest value shown, in bytes.
const MAX_VALUE: usize = 48;
/// The longest name of a field; the names of members of JSON know no limit.
const MAX_FIELD: usize = 120;
/// Of a value, the most that is shown before the first character that differs, in bytes.
const CONTEXT: usize = 12;
/// The most differences shown of one extension.
const MAX_OF_ONE: usize = 20;
/// The most that are shown in full, too many to read in a terminal; extensions after that are
/// named, each in one line.
const MAX_SHOWN: usize = 200;

/// A line per action, and a line per difference.
pub(super) fn tables(report: &Report, outcome: &Outcome, screen: &Screen) -> String {
    let (absent, different) = match outcome {
        Outcome::Refused(_) => ("absent", "different"),
        Outcome::Tried => ("to be created", "to be replaced"),
        Outcome::Imported(_) => ("created", "replaced"),
    };
    let tallies = [report.absent, report.identical, report.different];
    let counts = |name, of: fn(&Tally) -> usize, others: String| {
        let counts = tallies.iter().map(|tally| of(tally).to_string());
        Column::new(name, counts.chain([others]))
    };
    let actions = Column::new("", [absent, "identical", different, "not in the files"]);
    let others = report.others.to_string();
    let columns = vec![
        actions,
        counts("extensions", |tally| tally.extensions, others),
        counts("versions", |tally| tally.versions, String::new()),
        counts("instances", |tally| tally.instances, String::new()),
    ];
    let mut text = draw(columns, screen);
    if !report.differences.is_empty() {
        text += &format!("\n\n{}", differences(report, screen));
    }
    text
}

/// Every extension that differs is named, however many there are.
fn differences(report: &Report, screen: &Screen) -> String {
    let mut rows = Vec::new();
    let mut left = MAX_SHOWN;
    for (id, differences) in &report.differences {
        let (shown, more) = differences.split_at(differences.len().min(left.min(MAX_OF_ONE)));
        left -= shown.len();
        for difference in shown {
            let (first, second) = (difference.first.as_deref(), difference.second.as_deref());
            let start = start(first, second);
            let value = |value: Option<&str>| match value {
                Some(value) => printable(value, start, MAX_VALUE),
                None => NONE.to_owned(),
            };
            let field = printable(&difference.field, 0, MAX_FIELD);
            rows.push([id.to_string(), field, value(first), value(second)]);
        }
        if !more.is_empty() {
            let what = if shown.is_empty() { "" } else { "more " };
            let count = format!("{} {what}differences", more.len());
            rows.push([id.to_string(), count, String::new(), String::new()]);
        }
    }
    let names = ["id", "field", "in the database", "in the files"];
    let columns = names.into_iter().enumerate().map(|(at, name)| {
        let cells = rows.iter().filter_map(|row| row.get(at).cloned());
        Column::new(name, cells)
    });
    draw(columns.collect(), screen)
}

/// The character from which two values are shown, so that the first one that differs is among them; 0
/// when both can be shown whole.
fn start(first: Option<&str>, second: Option<&str>) -> usize {
    let (first, second) = (first.unwrap_or_default(), second.unwrap_or_default());
    if first.len().max(second.len()) <= MAX_VALUE {
        return 0;
    }
    let pairs = first.chars().zip(second.chars());
    let common = pairs.take_while(|(a, b)| a == b).map(|(a, _)| a);
    let common: Vec<char> = common.collect();
    let mut bytes = 0;
    let context = common.iter().rev().take_while(|c| {
        bytes += c.len_utf8();
        bytes <= CONTEXT
    });
    common.len().saturating_sub(context.count())
}

/// At most `max` bytes of a text from its character `start` on, in one line: control characters
/// would garble the table.
fn printable(value: &str, start: usize, max: usize) -> String {
    let rest: String = value.chars().skip(start).collect();
    let cut = if start > 0 { "..." } else { "" };
    format!("{cut}{}", quoted_within(&rest, max))
}

/// What was done, or why nothing was.
pub(super) fn result(report: &Report, outcome: &Outcome) -> String {
    let written = report.absent.extensions + report.different.extensions;
    let untouched = match report.others {
        0 => String::new(),
        others => format!("; {others} others in the database stay as they are"),
    };
    match outcome {
        Outcome::Tried => format!(
            "dry run: {written} extensions were written, verified and rolled back{untouched}"
        ),
        Outcome::Imported(Some(revision)) => {
            format!("imported and verified {written} extensions in revision {revision}{untouched}")
        }
        Outcome::Imported(None) => {
            format!("nothing to import: the database matches the files{untouched}")
        }
        Outcome::Refused(Refusal::Faults(faults)) => {
            let (count, faults) = (faults.len(), faults.join("\n"));
            format!("{faults}\nthe files have {count} faults; nothing was written")
        }
        Outcome::Refused(Refusal::Different) => "extensions differ; nothing was written: \
            --overwrite replaces them with their versions and instances"
            .to_owned(),
        Outcome::Refused(Refusal::SubjectsTaken(taken)) => {
            format!("{}\nnothing was written", taken.join("\n"))
        }
        Outcome::Refused(Refusal::NotAsWritten(what)) => {
            format!("verification failed: {what}; nothing was written")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::ExtensionId;
    use crate::domain::record::Difference;

    const REFUSED: Outcome = Outcome::Refused(Refusal::Different);

    fn tally(extensions: usize) -> Tally {
        Tally {
            extensions,
            versions: 2,
            instances: 3,
        }
    }

    #[test]
    fn differences_are_shown_in_one_line_each() {
        let difference = |field: &str, first: &str, second: Option<&str>| Difference {
            field: field.to_owned(),
            first: Some(first.to_owned()),
            second: second.map(str::to_owned),
        };
        let found = vec![
            difference("retry", "1", Some("3")),
            difference("config", &format!("a\nb{}", "x".repeat(60)), None),
        ];
        let report = Report {
            absent: tally(1),
            identical: tally(20),
            different: tally(1),
            differences: vec![(ExtensionId::parse("pii_guard").unwrap(), found)],
            others: 4,
        };
        let text = tables(&report, &REFUSED, &Screen::plain());
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(
            lines,
            [
                "                  extensions  versions  instances",
                "absent                     1         2          3",
                "identical                 20         2          3",
                "different                  1         2          3",
                "not in the files           4",
                "",
                &format!(
                    "id         field   in the database{}in the files",
                    " ".repeat(38)
                ),
                &format!("pii_guard  retry   1{}3", " ".repeat(63)),
                &format!(
                    "pii_guard  config  a\u{fffd}b{}...{}-",
                    "x".repeat(45),
                    " ".repeat(13)
                ),
            ]
        );
        let tried = tables(&report, &Outcome::Tried, &Screen::plain());
        assert!(tried.contains("to be created") && tried.contains("to be replaced"));
        let written = tables(&report, &Outcome::Imported(None), &Screen::plain());
        assert!(written.contains("\ncreated ") && written.contains("\nreplaced "));
    }

    fn named(report: &Report) -> Vec<String> {
        let text = tables(report, &REFUSED, &Screen::plain());
        let lines = text.lines().skip_while(|line| !line.starts_with("id "));
        let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        lines.skip(1).map(words).collect()
    }

    #[test]
    fn long_values_are_shown_where_they_differ() {
        let common = "c".repeat(60);
        let found = |first: String, second: &str| {
            let one = Difference {
                field: "config.list".to_owned(),
                first: Some(first),
                second: Some(second.to_owned()),
            };
            let id = ExtensionId::parse("a").unwrap();
            let report = Report {
                differences: vec![(id, vec![one])],
                ..Report::default()
            };
            named(&report).remove(0)
        };
        let (first, second) = (format!("{common}1{common}"), format!("{common}2"));
        let (before, after) = ("c".repeat(CONTEXT), "c".repeat(MAX_VALUE - CONTEXT - 1));
        assert_eq!(
            found(first, &second),
            format!("a config.list ...{before}1{after}... ...{before}2")
        );
        // Where one ends, too.
        assert_eq!(
            found(common.clone(), &second),
            format!("a config.list ...{before} ...{before}2")
        );
        // However many bytes a character has.
        for (letter, before) in [('\u{8868}', 4), ('\u{1f600}', 3)] {
            for count in [20, 60] {
                let common = letter.to_string().repeat(count);
                let before = letter.to_string().repeat(before);
                assert_eq!(
                    found(format!("{common}1"), &format!("{common}2")),
                    format!("a config.list ...{before}1 ...{before}2")
                );
            }
        }
    }

    #[test]
    fn every_extension_that_differs_is_named() {
        let one = Difference {
            field: "retry".to_owned(),
            first: None,
            second: None,
        };
        let count = 2 * MAX_SHOWN;
        let report = Report {
            differences: (0..count)
                .map(|n| {
                    let id = ExtensionId::parse(&format!("e{n}")).unwrap();
                    (id, vec![one.clone(); MAX_OF_ONE + 7])
                })
                .collect(),
            ..Report::default()
        };
        let lines = named(&report);
        let whole = MAX_SHOWN / MAX_OF_ONE;
        assert_eq!(lines.len(), MAX_SHOWN + count);
        assert_eq!(lines[MAX_OF_ONE - 1], "e0 retry - -");
        assert_eq!(lines[MAX_OF_ONE], "e0 7 more differences");
        let last = lines.last().unwrap();
        assert_eq!(last, &format!("e{} 27 differences", count - 1));
        let named_only = lines
            .iter()
            .filter(|line| line.ends_with(" 27 differences"));
        assert_eq!(named_only.count(), count - whole);
    }
}

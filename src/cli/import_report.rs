//! What an import prints: what there was, what differs, what was done.

use comfy_table::{Table, presets};

use crate::service::transfer::{Refusal, Report, Tally};

/// The longest value shown, in characters.
const MAX_VALUE: usize = 48;
/// More differences than anyone reads in a terminal.
const MAX_DIFFERENCES: usize = 200;

/// What became of what was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Done {
    /// Nothing.
    Refused,
    /// All but the commit.
    Tried,
    /// All.
    Written,
}

/// A line per action, and a line per difference.
pub(super) fn tables(report: &Report, done: Done) -> String {
    let (absent, different) = match done {
        Done::Refused => ("absent", "different"),
        Done::Tried => ("to be created", "to be replaced"),
        Done::Written => ("created", "replaced"),
    };
    let mut table = plain(&["", "extensions", "versions", "instances"]);
    for (action, tally) in [
        (absent, report.absent),
        ("identical", report.identical),
        (different, report.different),
    ] {
        table.add_row(row(action, tally));
    }
    table.add_row(["not in the files", &report.others.to_string(), "", ""]);
    let mut text = table.trim_fmt();
    if !report.differences.is_empty() {
        text += "\n\n";
        text += &differences(report);
    }
    text
}

fn row(action: &str, tally: Tally) -> [String; 4] {
    [
        action.to_owned(),
        tally.extensions.to_string(),
        tally.versions.to_string(),
        tally.instances.to_string(),
    ]
}

fn differences(report: &Report) -> String {
    let mut table = plain(&["id", "field", "in the database", "in the files"]);
    let all = report.differences.iter();
    let all = all.flat_map(|(id, differences)| differences.iter().map(move |it| (id, it)));
    let count = all.clone().count();
    for (id, difference) in all.take(MAX_DIFFERENCES) {
        table.add_row([
            id.as_str(),
            &difference.field,
            &shortened(difference.first.as_deref()),
            &shortened(difference.second.as_deref()),
        ]);
    }
    let mut text = table.trim_fmt();
    let more = count.saturating_sub(MAX_DIFFERENCES);
    if more > 0 {
        text += &format!("\n... and {more} more differences");
    }
    text
}

fn plain(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header.iter());
    table
}

/// One line, not too long; control characters would garble the table.
fn shortened(value: Option<&str>) -> String {
    let Some(value) = value else {
        return "-".to_owned();
    };
    let printable = |c: char| if c.is_control() { ' ' } else { c };
    let mut text: String = value.chars().map(printable).take(MAX_VALUE).collect();
    if value.chars().nth(MAX_VALUE).is_some() {
        text.push('\u{2026}');
    }
    text
}

/// What was done.
pub(super) fn success(report: &Report, revision: Option<u64>, done: Done) -> String {
    let written = report.absent.extensions + report.different.extensions;
    let untouched = match report.others {
        0 => String::new(),
        others => format!("; {others} others in the database stay as they are"),
    };
    match revision {
        _ if done == Done::Tried => format!(
            "dry run: {written} extensions were written, verified and rolled back{untouched}"
        ),
        Some(revision) => {
            format!("imported and verified {written} extensions in revision {revision}{untouched}")
        }
        None => format!("nothing to import: the database holds what the files say{untouched}"),
    }
}

/// Why nothing was done.
pub(super) fn refusal(refusal: &Refusal) -> String {
    match refusal {
        Refusal::Faults(faults) => format!(
            "{}\nthe files have {} faults; nothing was written",
            faults.join("\n"),
            faults.len()
        ),
        Refusal::Different => "extensions differ; nothing was written: --overwrite replaces them \
                               with their versions and instances"
            .to_owned(),
        Refusal::SubjectsTaken(taken) => {
            format!("{}\nnothing was written", taken.join("\n"))
        }
        Refusal::NotAsWritten(what) => {
            format!("verification failed: {what}; nothing was written")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::definition::Difference;
    use crate::domain::ids::ExtensionId;

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
        let text = tables(&report, Done::Refused);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(
            lines,
            [
                "                   extensions  versions  instances",
                " absent            1           2         3",
                " identical         20          2         3",
                " different         1           2         3",
                " not in the files  4",
                "",
                " id         field   in the database                                    in the files",
                " pii_guard  retry   1                                                  3",
                &format!(" pii_guard  config  a b{}\u{2026}  -", "x".repeat(45)),
            ]
        );
        let tried = tables(&report, Done::Tried);
        assert!(tried.contains(" to be created") && tried.contains(" to be replaced"));
        let written = tables(&report, Done::Written);
        assert!(written.contains("\n created ") && written.contains("\n replaced "));
    }

    #[test]
    fn more_differences_than_anyone_reads_are_counted() {
        let one = Difference {
            field: "retry".to_owned(),
            first: None,
            second: None,
        };
        let id = ExtensionId::parse("a").unwrap();
        let report = Report {
            differences: vec![(id, vec![one; MAX_DIFFERENCES + 7])],
            ..Report::default()
        };
        let text = tables(&report, Done::Refused);
        assert!(text.ends_with("\n... and 7 more differences"), "{text}");
    }
}

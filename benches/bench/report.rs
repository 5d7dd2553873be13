//! What was asked beside what was measured: a table for people, `target/bench/report.json` for
//! programs.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use comfy_table::{Table, presets};
use serde_json::{Value, json};

use super::options::Options;

/// Everything measured so far.
#[derive(Debug)]
pub(crate) struct Report {
    machine: Value,
    run: Value,
    lines: Vec<Line>,
    tables: Vec<(String, Table)>,
    raw: serde_json::Map<String, Value>,
    wrong: Vec<String>,
}

/// What a value is held against.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Asked {
    /// Nothing: it is there to compare with.
    Nothing,
    /// At least this.
    AtLeast(f64),
    /// At most this.
    AtMost(f64),
}

#[derive(Debug)]
struct Line {
    what: String,
    asked: Asked,
    measured: f64,
    unit: &'static str,
}

impl Report {
    /// An empty report about a run on `machine`.
    pub(crate) fn new(machine: Value, options: &Options) -> Self {
        let run = json!({
            "rounds": options.rounds,
            "seconds_per_step": options.step.as_secs_f64(),
            "quick": options.quick,
        });
        Self {
            machine,
            run,
            lines: Vec::new(),
            tables: Vec::new(),
            raw: serde_json::Map::new(),
            wrong: Vec::new(),
        }
    }

    /// Adds a figure.
    pub(crate) fn line(
        &mut self,
        what: impl Into<String>,
        asked: Asked,
        measured: f64,
        unit: &'static str,
    ) {
        let line = Line {
            what: what.into(),
            asked,
            measured,
            unit,
        };
        eprintln!("  {}: {}", line.what, line.shown());
        self.lines.push(line);
    }

    /// Adds a table of its own, shown before that of the figures.
    pub(crate) fn table(&mut self, title: impl Into<String>, table: Table) {
        self.tables.push((title.into(), table));
    }

    /// Keeps what a figure was made of, for the JSON.
    pub(crate) fn raw(&mut self, name: &str, value: Value) {
        self.raw.insert(name.to_owned(), value);
    }

    /// Notes a wrong answer: the run will fail.
    pub(crate) fn wrong(&mut self, what: impl Into<String>) {
        let what = what.into();
        eprintln!("  WRONG: {what}");
        self.wrong.push(what);
    }

    /// Prints and writes everything. Fails on wrong answers, never on slow ones.
    pub(crate) fn finish(self) -> ExitCode {
        println!("\n{}", machine_line(&self.machine));
        for (title, table) in &self.tables {
            println!("\n{title}\n{table}");
        }
        println!("\n{}", self.figures());
        for wrong in &self.wrong {
            println!("WRONG: {wrong}");
        }
        let path = self.write();
        println!("{}", path.display());
        if self.wrong.is_empty() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }

    fn figures(&self) -> Table {
        let mut table = table(&["", "asked", "measured", ""]);
        for line in &self.lines {
            let verdict = match line.pass() {
                None => "",
                Some(true) => "yes",
                Some(false) => "NO",
            };
            table.add_row([
                line.what.as_str(),
                &line.shown_asked(),
                &line.shown(),
                verdict,
            ]);
        }
        table
    }

    fn write(&self) -> PathBuf {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench");
        std::fs::create_dir_all(&folder).unwrap();
        let lines: Vec<Value> = self.lines.iter().map(Line::json).collect();
        let report = json!({
            "machine": self.machine,
            "run": self.run,
            "figures": lines,
            "raw": self.raw,
            "wrong": self.wrong,
        });
        let path = folder.join("report.json");
        std::fs::write(&path, serde_json::to_string_pretty(&report).unwrap()).unwrap();
        path
    }
}

impl Line {
    fn pass(&self) -> Option<bool> {
        match self.asked {
            Asked::Nothing => None,
            Asked::AtLeast(limit) => Some(self.measured >= limit),
            Asked::AtMost(limit) => Some(self.measured <= limit),
        }
    }

    fn shown(&self) -> String {
        format!("{} {}", number(self.measured), self.unit)
            .trim_end()
            .to_owned()
    }

    fn shown_asked(&self) -> String {
        match self.asked {
            Asked::Nothing => String::new(),
            Asked::AtLeast(limit) => format!("\u{2265} {}", number(limit)),
            Asked::AtMost(limit) => format!("\u{2264} {}", number(limit)),
        }
    }

    fn json(&self) -> Value {
        let limit = match self.asked {
            Asked::Nothing => Value::Null,
            Asked::AtLeast(limit) => json!({ "at_least": limit }),
            Asked::AtMost(limit) => json!({ "at_most": limit }),
        };
        json!({
            "what": self.what,
            "asked": limit,
            "measured": self.measured,
            "unit": self.unit,
            "pass": self.pass(),
        })
    }
}

/// An empty table with a header.
pub(crate) fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN).set_header(header);
    table
}

/// A number with as many digits as a reader wants.
pub(crate) fn number(value: f64) -> String {
    match value.abs() {
        _ if value.fract() == 0.0 && value.abs() < 1e4 => format!("{value}"),
        0.0..10.0 => format!("{value:.2}"),
        10.0..1000.0 => format!("{value:.1}"),
        _ => thousands(value),
    }
}

fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let grouped: Vec<&str> = digits
        .as_bytes()
        .rchunks(3)
        .rev()
        .map(|group| std::str::from_utf8(group).unwrap())
        .collect();
    grouped.join(",")
}

fn machine_line(machine: &Value) -> String {
    let shown = machine
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, value)| {
            format!(
                "{name}: {}",
                value
                    .as_str()
                    .map_or_else(|| value.to_string(), str::to_owned)
            )
        });
    shown.collect::<Vec<_>>().join(", ")
}

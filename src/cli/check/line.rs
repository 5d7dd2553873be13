//! One thing that was tried, and how it is shown.

use serde::Serialize;

use crate::cli::operator::clean;
use crate::cli::screen::{Screen, Tone};

/// How it went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Mark {
    /// As the daemon needs it.
    Good,
    /// The daemon works, but not as may be expected.
    Doubtful,
    /// The daemon cannot work.
    Bad,
}

impl Mark {
    const fn sign(self) -> (&'static str, Tone) {
        match self {
            Self::Good => ("\u{221a}", Tone::Good),
            Self::Doubtful => ("\u{203c}", Tone::Doubtful),
            Self::Bad => ("\u{d7}", Tone::Bad),
        }
    }
}

/// One thing that was tried.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Line {
    /// What was tried, and what was found.
    pub(super) check: String,
    pub(super) mark: Mark,
    /// What is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'static str>,
    /// Where to read more.
    #[serde(skip_serializing_if = "Option::is_none")]
    docs: Option<&'static str>,
}

/// What to do, and where to read more.
pub(super) type Advice = (&'static str, &'static str);

impl Line {
    pub(super) fn good(check: impl Into<String>) -> Self {
        Self {
            check: check.into(),
            mark: Mark::Good,
            problem: None,
            hint: None,
            docs: None,
        }
    }

    pub(super) fn is_good(&self) -> bool {
        self.mark == Mark::Good
    }

    pub(super) fn doubtful(check: impl Into<String>, problem: String, advice: Advice) -> Self {
        let (hint, docs) = advice;
        Self {
            mark: Mark::Doubtful,
            problem: Some(problem),
            hint: Some(hint),
            docs: Some(docs),
            ..Self::good(check)
        }
    }

    pub(super) fn bad(check: impl Into<String>, problem: String, advice: Advice) -> Self {
        let line = Self::doubtful(check, problem, advice);
        let mark = Mark::Bad;
        Self { mark, ..line }
    }

    fn text(&self, screen: &Screen) -> String {
        let (sign, tone) = self.mark.sign();
        let mut text = format!("{} {}", screen.painted(sign, tone), clean(&self.check));
        let problem = self.problem.iter().flat_map(|problem| problem.lines());
        let problem = problem.map(|line| format!("\n    {}", clean(line)));
        text.extend(problem);
        if let (Some(hint), Some(docs)) = (self.hint, self.docs) {
            text.push_str(&format!("\n    hint: {hint}\n    see {docs}"));
        }
        text
    }
}

/// All groups, each under its name.
pub(super) fn text(groups: &[(&str, Vec<Line>)], screen: &Screen) -> String {
    let groups = groups.iter().map(|(name, lines)| {
        let lines: Vec<_> = lines.iter().map(|line| line.text(screen)).collect();
        format!("{name}\n{}\n{}", "-".repeat(name.len()), lines.join("\n"))
    });
    groups.collect::<Vec<_>>().join("\n\n")
}

/// One document: `ok`, and the lines with their groups.
pub(super) fn json(groups: &[(&str, Vec<Line>)]) -> String {
    #[derive(Serialize)]
    struct Grouped<'a> {
        group: &'a str,
        #[serde(flatten)]
        line: &'a Line,
    }
    #[derive(Serialize)]
    struct Document<'a> {
        ok: bool,
        checks: Vec<Grouped<'a>>,
    }
    let checks = groups
        .iter()
        .flat_map(|(group, lines)| lines.iter().map(move |line| Grouped { group, line }));
    let checks: Vec<_> = checks.collect();
    let ok = checks.iter().all(|check| check.line.mark != Mark::Bad);
    serde_json::to_string_pretty(&Document { ok, checks }).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn groups() -> Vec<(&'static str, Vec<Line>)> {
        let advice = ("do this", "docs/access.md");
        let bad = Line::bad(
            "may publish x",
            "denied\u{1b}\nsecond line".to_owned(),
            advice,
        );
        vec![("NATS", vec![Line::good("connects"), bad])]
    }

    #[test]
    fn a_failure_says_what_and_what_to_do() {
        assert_eq!(
            text(&groups(), &Screen::plain()),
            "NATS\n----\n\u{221a} connects\n\u{d7} may publish x\n    denied\\u{1b}\n    \
             second line\n    hint: do this\n    see docs/access.md"
        );
    }

    #[test]
    fn a_program_reads_the_same() {
        let json: serde_json::Value = serde_json::from_str(&json(&groups())).unwrap();
        assert_eq!(json["ok"], false);
        let good = serde_json::json!({"group": "NATS", "check": "connects", "mark": "good"});
        assert_eq!(json["checks"][0], good);
        assert_eq!(json["checks"][1]["hint"], "do this");
    }
}

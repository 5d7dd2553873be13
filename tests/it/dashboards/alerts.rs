//! Alerting rules and their tests, read line by line: these files are our own, and `promtool` sees
//! to it that they are YAML.

use std::collections::BTreeSet;

/// The folder or address of the docs, as the rules write it.
const DOCS: &str = r#"{{ or $externalLabels.beamline_registry_docs "docs" }}"#;

/// A rule.
#[derive(Debug, Default)]
pub(super) struct Rule {
    /// Of the alert, or of the series that is recorded.
    pub(super) name: String,
    alert: bool,
    /// Its expression, and queries within its annotations.
    pub(super) queries: Vec<String>,
    pub(super) severity: Option<String>,
    pub(super) runbook: Option<String>,
}

impl Rule {
    /// The alert's name, if it is one.
    pub(super) fn alert(&self) -> Option<&str> {
        self.alert.then_some(&*self.name)
    }
}

/// All rules of a file, in its order.
pub(super) fn rules(text: &str) -> Vec<Rule> {
    let mut rules: Vec<Rule> = Vec::new();
    let lines = text.lines();
    let comment = |line: &&str| line.trim_start().starts_with('#');
    let mut lines = lines.filter(|line| !comment(line)).peekable();
    while let Some(line) = lines.next() {
        let (indent, line) = (indent(line), line.trim());
        let begins = |key| line.strip_prefix(key);
        if let Some(name) = begins("- alert: ").or(begins("- record: ")) {
            rules.push(Rule {
                name: name.to_owned(),
                alert: line.starts_with("- alert"),
                ..Rule::default()
            });
        }
        let earlier = rules.iter().rev().nth(1);
        let before = earlier.and_then(|rule| rule.runbook.clone());
        let Some(rule) = rules.last_mut() else {
            continue;
        };
        if let Some(expression) = begins("expr: ") {
            let mut expression = expression.trim_start_matches('|').to_owned();
            while let Some(next) = lines.next_if(|next| self::indent(next) > indent) {
                expression.push_str(next);
            }
            rule.queries.push(expression);
        } else if let Some(severity) = begins("severity: ").or(begins("labels: *")) {
            rule.severity = Some(severity.to_owned());
        } else if let Some(url) = begins("runbook_url: ") {
            // Where the docs are is a label that the site sets; in the repository they are in `docs`.
            let url = url.trim_matches('\'').replace(DOCS, "docs");
            rule.runbook = Some(url);
        } else if begins("annotations: *").is_some() {
            rule.runbook = before;
        }
        // A query within a template stands in backticks.
        rule.queries
            .extend(line.split('`').skip(1).step_by(2).map(str::to_owned));
    }
    rules
}

/// What the unit tests of rules expect.
#[derive(Debug, Default)]
pub(super) struct Tested {
    /// Alerts that fire, with their severities.
    pub(super) fires: BTreeSet<(String, String)>,
    /// Alerts that do not.
    pub(super) quiet: BTreeSet<String>,
}

/// The expectations of a file of tests.
pub(super) fn tested(text: &str) -> Tested {
    let mut tested = Tested::default();
    let mut alert = String::new();
    for line in text.lines() {
        if let Some((_, rest)) = line.split_once("alertname: ") {
            alert = rest.split(',').next().unwrap().to_owned();
        }
        if line.contains("exp_alerts: []") {
            tested.quiet.insert(alert.clone());
        }
        if let Some((_, rest)) = line.split_once("severity: ") {
            let severity = rest.split([',', '}']).next().unwrap();
            tested.fires.insert((alert.clone(), severity.to_owned()));
        }
    }
    tested
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

//! The metrics of a scrape, and those of a page of documentation.

use std::collections::{BTreeMap, BTreeSet};

use super::alerts::Rule;
use super::promql::{Named, named};

/// What a scrape adds to every series.
const TARGET: [&str; 3] = ["namespace", "job", "instance"];
/// What Prometheus knows by itself, with labels of its own.
const PROMETHEUS: [(&str, &[&str]); 2] = [("up", &[]), ("ALERTS", &["alertname", "alertstate"])];

/// A type, and labels: what makes a metric what it is.
pub(super) type Family = (String, BTreeSet<String>);

/// A scrape.
#[derive(Debug, Default)]
pub(super) struct Exposition {
    /// Families by the name that their samples have; a histogram by its own.
    families: BTreeMap<String, Family>,
    /// Labels of each sample name.
    samples: BTreeMap<String, BTreeSet<String>>,
}

impl Exposition {
    /// Reads OpenMetrics text.
    pub(super) fn parse(page: &str) -> Self {
        let mut exposition = Self::default();
        let mut family = (String::new(), String::new());
        for line in page.lines() {
            if let Some(of) = line.strip_prefix("# TYPE ") {
                let (name, kind) = of.split_once(' ').unwrap();
                family = (name.to_owned(), kind.to_owned());
            }
            if line.starts_with('#') {
                continue;
            }
            let sample = line.split(['{', ' ']).next().unwrap().to_owned();
            let labels: BTreeSet<_> = named(line.rsplit_once(' ').unwrap().0)
                .selectors
                .into_iter()
                .flat_map(|(_, labels)| labels)
                .collect();
            let (name, kind) = &family;
            let name = if kind == "histogram" { name } else { &sample };
            let known = exposition.families.entry(name.clone());
            let known = known.or_insert_with(|| (kind.clone(), BTreeSet::new()));
            known
                .1
                .extend(labels.iter().filter(|label| *label != "le").cloned());
            exposition.samples.entry(sample).or_default().extend(labels);
        }
        exposition
    }

    /// Whether there is a sample of this name.
    pub(super) fn has(&self, sample: &str) -> bool {
        self.samples.contains_key(sample)
    }

    /// All metrics.
    pub(super) fn families(&self) -> BTreeMap<String, Family> {
        self.families.clone()
    }

    /// With what Prometheus makes of it: its own series, and those that rules record.
    pub(super) fn with_records(mut self, rules: &[Rule]) -> Self {
        for (name, labels) in PROMETHEUS {
            let labels = labels.iter().map(|label| (*label).to_owned()).collect();
            self.samples.insert(name.to_owned(), labels);
        }
        for rule in rules.iter().filter(|rule| rule.alert().is_none()) {
            let grouped = rule.queries.iter().flat_map(|query| named(query).grouped);
            self.samples.insert(rule.name.clone(), grouped.collect());
        }
        self
    }

    /// What `query` names and no scrape has.
    pub(super) fn faults(&self, query: &str) -> Vec<String> {
        let Named { selectors, grouped } = named(query);
        let mut faults = Vec::new();
        let mut labels: BTreeSet<_> = TARGET.map(str::to_owned).into();
        for (metric, matched) in &selectors {
            let Some(known) = self.samples.get(metric) else {
                faults.push(format!("no metric {metric}: {query}"));
                continue;
            };
            labels.extend(known.iter().cloned());
            for label in matched {
                if !known.contains(label) && !TARGET.contains(&label.as_str()) {
                    faults.push(format!("no label {label} of {metric}: {query}"));
                }
            }
        }
        if selectors.is_empty() {
            faults.push(format!("no metric at all: {query}"));
        }
        for label in grouped.difference(&labels) {
            faults.push(format!("no label {label}: {query}"));
        }
        faults
    }
}

/// The metrics that a page lists in tables: name, type, labels.
pub(super) fn documented(page: &str) -> BTreeMap<String, Family> {
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    let rows = rows.map(|row| {
        let mut cells = row.trim_matches('|').split('|').map(str::trim);
        let mut cell = || cells.next().unwrap();
        let (name, kind, labels) = (cell(), cell(), cell());
        let kind = kind.split(',').next().unwrap();
        let labels = labels.split(", ").filter(|label| !label.is_empty());
        let bare = |text: &str| text.trim_matches('`').to_owned();
        (bare(name), (kind.to_owned(), labels.map(bare).collect()))
    });
    rows.collect()
}

//! What the pages name is there: metrics, settings and lines of the log.

use std::collections::BTreeSet;

use beamline_registry::config::variables;

use super::file;

const PAGES: &[&str] = &[
    "docs/administration.md",
    "docs/health.md",
    "docs/invoking.md",
    "docs/nats-api.md",
    "docs/rollout.md",
    "docs/troubleshooting.md",
];

/// Where metrics and log lines are made.
const TELEMETRY: &[&str] = &[
    "src/adapters/telemetry/collector.rs",
    "src/adapters/telemetry/extensions.rs",
    "src/adapters/telemetry/log.rs",
    "src/adapters/telemetry/metrics.rs",
];

#[test]
fn metrics_settings_and_log_lines_of_the_pages_exist() {
    let telemetry: String = TELEMETRY.iter().map(|path| read(path)).collect();
    let settings: BTreeSet<String> = variables::keys().collect();
    let mut checked = 0;
    for page in PAGES {
        let text = read(page);
        // Odd parts of a line stand between backticks.
        let lines = text.lines().map(|line| line.split('`').collect::<Vec<_>>());
        for parts in lines {
            for (before, span) in parts.iter().zip(&parts[1..]).step_by(2) {
                let known = if is_metric(span) {
                    telemetry.contains(&format!("\"{}\"", span.trim_end_matches("_total")))
                } else if let Some(setting) = setting(span) {
                    settings.contains(setting)
                } else if before.ends_with("log says ") {
                    telemetry.contains(&format!("\"{span}\""))
                } else {
                    continue;
                };
                checked += 1;
                assert!(known, "{page}: `{span}` does not exist");
            }
        }
    }
    assert!(checked > 40, "only {checked} names were found");
}

fn read(path: &str) -> String {
    std::fs::read_to_string(file(path)).unwrap()
}

fn is_metric(span: &str) -> bool {
    let metric = [
        "extension_registry_",
        "extension_invocation",
        "extension_health_",
    ];
    metric.iter().any(|start| span.starts_with(start))
        && span.chars().all(|c| c.is_ascii_lowercase() || c == '_')
}

/// `NAME` or `NAME=value`, in capitals with an underscore.
fn setting(span: &str) -> Option<&str> {
    let name = span.split('=').next()?;
    let shaped = name.contains('_') && name.chars().all(|c| c.is_ascii_uppercase() || c == '_');
    (shaped && !name.ends_with('_')).then_some(name)
}

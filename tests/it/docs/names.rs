//! What the pages name is there: metrics, settings, lines of the log, and tests.

use std::collections::BTreeSet;

use beamline_registry::config::variables;

use super::{file, files, pages, read};

/// Variables that are not settings of the table: the path of the file of settings, ports of
/// `compose.yaml`, and what all programs heed.
const OTHERS: &[&str] = &[
    "CONFIG",
    "GRAFANA_PORT",
    "NAME_FILE",
    "NATS_PORT",
    "NO_COLOR",
    "POSTGRES_PORT",
    "PROMETHEUS_PORT",
    "REGISTRY_PORT",
    "RUST_LOG",
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
    let migrations = files("migrations", &["sql"]);
    let tables: String = migrations.iter().map(|path| read(path)).collect();
    let settings: BTreeSet<String> = variables::keys().collect();
    let mut checked = 0;
    for page in pages() {
        let text = read(&page);
        // Odd parts of a line stand between backticks.
        let lines = text.lines().map(|line| line.split('`').collect::<Vec<_>>());
        for parts in lines {
            for (before, span) in parts.iter().zip(&parts[1..]).step_by(2) {
                let known = if is_metric(span) {
                    telemetry.contains(&format!("\"{}\"", span.trim_end_matches("_total")))
                        || tables.contains(&format!(" {span} "))
                } else if let Some(setting) = setting(span) {
                    settings.contains(setting)
                } else if quotes_log(before) && span.contains(' ') {
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

/// Whether a line of the log comes next.
fn quotes_log(before: &str) -> bool {
    let ends = |it: &str| before.to_ascii_lowercase().ends_with(it);
    ["log says ", "log has ", "log line ", "log: "]
        .into_iter()
        .any(ends)
}

/// Each line of the threat model names what holds it, and `just attack` runs that.
#[test]
fn the_tests_that_the_threat_model_names_exist() {
    let text = read("SECURITY.md");
    let recipes = read("justfile");
    let (_, attack) = recipes.split_once("\nattack ").unwrap();
    let (attack, _) = attack.split_once("\n\n").unwrap();
    let run: Vec<&str> = attack
        .split_whitespace()
        .filter(|word| word.contains("::"))
        .collect();
    let rows = text.lines().filter(|line| line.starts_with("| "));
    let held = rows.filter_map(|row| row.trim_end_matches(" |").rsplit_once("| "));
    let mut named = 0;
    for test in held.flat_map(|(_, tests)| tests.split('`').skip(1).step_by(2)) {
        let places = [
            format!("tests/it/{test}.rs"),
            format!("src/adapters/{test}.rs"),
        ];
        assert!(places.iter().any(|it| file(it).exists()), "{test}");
        let module = format!("{}::", test.replace('/', "::"));
        let is_run = run.iter().any(|filter| module.contains(filter));
        assert!(is_run, "`just attack` leaves out {test}");
        named += 1;
    }
    assert!(named > 15, "only {named} tests are named");
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
    let name = name.strip_prefix("EXTENSION_REGISTRY_").unwrap_or(name);
    let shaped = name.contains('_') && name.chars().all(|c| c.is_ascii_uppercase() || c == '_');
    let whole = !name.starts_with('_') && !name.ends_with('_');
    (shaped && whole && !OTHERS.contains(&name)).then_some(name)
}

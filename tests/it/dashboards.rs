//! What stands in `deploy/` and `docs/` about metrics and alerts is true of the daemon:
//!
//! - every metric that it exports is in `docs/metrics.md`, with its type and labels, and no other,
//! - every query of the dashboard, of the alerts and of that page names metrics and labels that are
//!   exported,
//! - every alert has a runbook, a test in which it fires, and one in which it does not.
//!
//! That the rules are well formed, and that their tests pass, is for `just alerts`.

mod alerts;
mod exposition;
mod promql;

use std::collections::BTreeSet;
use std::path::PathBuf;

use bytes::Bytes;
use serde_json::{Value, json};

use self::alerts::{Rule, tested};
use self::exposition::Exposition;
use crate::harness::{DEADLINE, Daemon, eventually, http};
use crate::rig::{Rig, insert};
use crate::site::Site;

const RULES: &str = "deploy/prometheus/rules/beamline-registry.yml";
const RULE_TESTS: &str = "deploy/prometheus/tests";
const DASHBOARD: &str = "deploy/grafana/dashboards/beamline-registry.json";
const METRICS: &str = "docs/metrics.md";
const RUNBOOKS: &str = "docs/runbooks.md";

#[tokio::test]
async fn the_daemon_exports_what_docs_and_deploy_speak_of() {
    let exported = everything_exported().await;
    let page = read(METRICS);
    assert_eq!(exposition::documented(&page), exported.families());

    let alerts = alerts::rules(&read(RULES));
    let exported = exported.with_records(&alerts);
    let dashboard: Value = serde_json::from_str(&read(DASHBOARD)).unwrap();
    let mut queries = Vec::new();
    collect(&dashboard, &mut queries);
    assert!(queries.len() > 40, "found only {queries:?}");
    let examples = page.split("```promql\n").skip(1);
    let examples = examples.flat_map(|block| block.split("```").next());
    queries.extend(examples.map(without_comments));
    queries.extend(alerts.into_iter().flat_map(|rule| rule.queries));
    let faults: Vec<_> = queries
        .iter()
        .flat_map(|query| exported.faults(query))
        .collect();
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn each_alert_has_a_runbook_and_each_runbook_an_alert() {
    let rules = alerts::rules(&read(RULES));
    let names: BTreeSet<_> = rules.iter().filter_map(Rule::alert).collect();
    assert!(names.len() > 15, "found only {names:?}");
    let page = read(RUNBOOKS);
    let sections: BTreeSet<_> = page.lines().filter_map(|l| l.strip_prefix("## ")).collect();
    assert_eq!(sections, names);
    for rule in &rules {
        let Some(name) = rule.alert() else { continue };
        let expected = format!("{RUNBOOKS}#{}", name.to_lowercase());
        assert_eq!(rule.runbook.as_deref(), Some(&*expected), "{name}");
    }
}

#[test]
fn each_alert_is_tested_to_fire_with_each_severity_and_to_be_quiet() {
    let (mut fires, mut quiet) = (BTreeSet::new(), BTreeSet::new());
    for file in std::fs::read_dir(path(RULE_TESTS)).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        let tested = tested(&text);
        fires.extend(tested.fires);
        quiet.extend(tested.quiet);
    }
    let rules = alerts::rules(&read(RULES));
    let alerts = rules.iter().filter_map(|rule| {
        let name = rule.alert()?.to_owned();
        let severity = rule.severity.clone();
        Some((name, severity.expect("each alert has a severity")))
    });
    let alerts: BTreeSet<_> = alerts.collect();
    assert_eq!(fires, alerts);
    assert_eq!(quiet, alerts.into_iter().map(|(name, _)| name).collect());
}

/// The metrics of a daemon with a database after one of each: lookup, call, report, dropped request.
async fn everything_exported() -> Exposition {
    let rig = Rig::start().await;
    rig.sql.batch_execute(&insert("nobody")).await.unwrap();
    let daemon = rig.daemon().spawn().await;
    daemon.wait_ready().await;
    rig.lookup("nobody").await.ok();
    let called = rig
        .ask("invoke", &json!({"id": "nobody", "payload": {}}))
        .await;
    assert_eq!(called.details()["reason"], "no_responders");
    let report = json!({"id": "nobody", "outcome": "success", "latency_ms": 5});
    rig.ask("report", &report).await.ok();
    let nats = rig.client.nats();
    let subject = "beamline.registry.lookup.nobody";
    nats.publish(subject, Bytes::new()).await.unwrap();

    // The listener starts beside the first load, and what is dropped is not answered.
    let last = [
        "extension_registry_listener_up",
        "extension_registry_dropped_requests_total",
    ];
    eventually("the last metrics appear", DEADLINE, async || {
        let exported = scrape(&daemon).await;
        let there = last.iter().all(|name| exported.has(name));
        if there { Ok(exported) } else { Err(exported) }
    })
    .await
}

async fn scrape(daemon: &Daemon) -> Exposition {
    Exposition::parse(&metrics(daemon, "application/openmetrics-text").await)
}

async fn metrics(daemon: &Daemon, accept: &str) -> String {
    let addr = daemon.http_addr().await;
    let head = format!("GET /metrics HTTP/1.1\r\nHost: {addr}\r\nAccept: {accept}");
    let request = format!("{head}\r\nConnection: close\r\n\r\n");
    let reply = http::request(&addr, &request).await.unwrap();
    let kind = reply.header("content-type").unwrap();
    assert!(
        kind.starts_with(accept.split([';', ',']).next().unwrap()),
        "{kind}"
    );
    reply.body
}

/// CASES.md F1.
#[tokio::test]
async fn text_and_open_metrics_say_the_same() {
    let (site, daemon) = Site::served().await;
    for id in ["plain", "nobody"] {
        site.send("lookup", id).await;
    }
    let open = metrics(&daemon, "application/openmetrics-text").await;
    let text = metrics(&daemon, "text/plain;version=0.0.4").await;
    assert_eq!(
        daemon.get("/metrics").await.header("content-type"),
        Some("text/plain; version=0.0.4; charset=utf-8")
    );
    assert!(open.ends_with("# EOF\n") && !text.contains("# EOF"));
    let counter = "# TYPE extension_registry_lookups_total counter";
    assert!(text.lines().any(|line| line == counter), "{text}");
    // Each sample stands under a type of its name.
    let (mut family, mut samples) = (String::new(), 0);
    for line in text.lines() {
        if let Some(of) = line.strip_prefix("# TYPE ") {
            of.split(' ').next().unwrap().clone_into(&mut family);
        } else if !line.starts_with('#') {
            assert!(line.starts_with(&family), "{line} under {family}");
            samples += 1;
        }
    }
    let mut expected = Exposition::parse(&open).families();
    for family in expected.values_mut().filter(|(kind, _)| kind == "info") {
        "gauge".clone_into(&mut family.0);
    }
    assert_eq!(Exposition::parse(&text).families(), expected);
    assert_eq!(
        samples,
        open.lines().filter(|line| !line.starts_with('#')).count()
    );
}

/// Every query in a dashboard: of panels, annotations and variables.
fn collect(value: &Value, queries: &mut Vec<String>) {
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                match value {
                    Value::String(query) if key == "expr" || key == "definition" => {
                        queries.push(query.clone());
                    }
                    _ => collect(value, queries),
                }
            }
        }
        Value::Array(values) => {
            for value in values {
                collect(value, queries);
            }
        }
        _ => {}
    }
}

fn without_comments(block: &str) -> String {
    let lines = block.lines().filter(|line| !line.starts_with('#'));
    lines.collect::<Vec<_>>().join("\n")
}

fn path(of: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), of].iter().collect()
}

fn read(file: &str) -> String {
    std::fs::read_to_string(path(file)).unwrap()
}

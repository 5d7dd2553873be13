//! Series of extensions begin with the first call and end with the extension.

use std::time::Duration;

use prometheus_client::encoding::text;
use prometheus_client::registry::Registry;

use super::*;
use crate::adapters::telemetry::page::undescribed;
use crate::domain::catalog::{Catalog, CatalogWriter, Change};
use crate::domain::context::Context;
use crate::domain::extension::{Extension as Record, Incarnation, Version};
use crate::domain::ids::ExtensionId;
use crate::domain::testing::{change, entry, extension, version};
use crate::service::invoke::{Reported, Status, Tools, Verdict};
use crate::service::meter::Count;
use crate::service::status::{self, SourceMode};
use crate::service::testing::{stats, tools};

/// `a` with a second version, `b`, and `off`, which is auto-disabled.
fn sources() -> (Tools, CatalogWriter, Registry) {
    let (catalog, mut writer) = Catalog::new();
    let a = Record {
        versions: vec![Version {
            enabled: true,
            ..version("v2")
        }],
        ..extension("a")
    };
    let off = Record {
        auto_disabled: true,
        ..extension("off")
    };
    writer.apply(Change {
        upserts: vec![entry(a), entry(extension("b")), entry(off)],
        ..change(1)
    });
    let tools = tools(catalog);
    let registry = registry(&tools);
    (tools, writer, registry)
}

fn registry(tools: &Tools) -> Registry {
    let status = status::Status::new(SourceMode::Fixtures, Duration::from_secs(60));
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Sources {
        stats: Arc::new(stats(tools, status)),
        selector: Arc::clone(&tools.selector),
        log_lines_dropped: Count::default(),
        events_dropped: Count::default(),
    }));
    registry
}

fn report(tools: &Tools, id: &str, version: Option<&str>, verdict: Verdict) {
    let latency = Some(Duration::from_millis(4));
    let reported = Reported {
        id,
        version,
        verdict,
        latency,
    };
    tools.report(reported).unwrap();
}

/// All lines about extensions but the descriptions.
fn series(registry: &Registry) -> Vec<String> {
    let mut page = String::new();
    text::encode(&mut page, registry).unwrap();
    assert_eq!(undescribed(&page), None);
    let other = |line: &str| line.starts_with('#') || line.starts_with("extension_registry_");
    let lines = page.lines().filter(|line| !other(line));
    lines.map(str::to_owned).collect()
}

#[track_caller]
fn assert_has(series: &[String], expected: &[&str]) {
    for line in expected {
        assert!(
            series.iter().any(|l| l == line),
            "{line} not in {series:#?}"
        );
    }
}

#[test]
fn there_is_no_series_before_the_first_call() {
    let (tools, _writer, registry) = sources();
    let disabled = ["extension_auto_disabled{extension_id=\"off\"} 1"];
    assert_eq!(series(&registry), disabled);
    let catalog = tools.selector.catalog();
    tools.runtimes.of(&catalog.get("b").unwrap());
    assert_eq!(
        series(&registry),
        disabled,
        "what a dry run makes is no call"
    );
}

#[test]
fn reported_calls_show_in_health_and_circuits_by_version() {
    let (tools, _writer, registry) = sources();
    report(&tools, "a", None, Verdict::Success);
    for _ in 0..2 {
        report(&tools, "a", Some("v2"), Verdict::Failure);
    }
    let series = series(&registry);
    assert_has(
        &series,
        &[
            "extension_circuit_breaker_state{extension_id=\"a\",version=\"v1\"} 0",
            "extension_circuit_breaker_state{extension_id=\"a\",version=\"v2\"} 1",
            "extension_circuit_breaker_failures_total{extension_id=\"a\",version=\"v1\"} 0",
            "extension_circuit_breaker_failures_total{extension_id=\"a\",version=\"v2\"} 2",
            "extension_circuit_breaker_recoveries_total{extension_id=\"a\",version=\"v2\"} 0",
            "extension_health_avg_latency_ms{extension_id=\"a\"} 4.0",
            "extension_auto_disabled{extension_id=\"a\"} 0",
            "extension_auto_disabled{extension_id=\"off\"} 1",
            "extension_invocations_in_flight 0",
        ],
    );
    let rate = "extension_health_success_rate{extension_id=\"a\"} 0.333";
    assert!(
        series.iter().any(|line| line.starts_with(rate)),
        "{series:#?}"
    );
    let invoked = |line: &String| line.contains("extension_invocation") && line.contains('"');
    assert!(
        !series.iter().any(invoked),
        "nothing was invoked: {series:#?}"
    );
    assert!(!series.iter().any(|line| line.contains("\"b\"")));
}

#[test]
fn a_trial_that_closes_a_circuit_is_a_recovery() {
    let (tools, _writer, registry) = sources();
    for _ in 0..2 {
        report(&tools, "b", None, Verdict::Failure);
    }
    let circuit = tools.circuits.get("b", "v1").unwrap();
    let due = circuit.view(tools.clock.tick()).retry_at.unwrap();
    let outcome = crate::domain::breaker::Outcome::Success;
    let permit = circuit.admit(due).permit.unwrap();
    let _ = permit.record(due, outcome, Duration::ZERO);
    circuit.pushed_back.add(1);
    let tick = due;
    circuit.force_open(tick, tick.plus(Duration::from_secs(60)));
    circuit.reset(tick);
    assert_has(
        &series(&registry),
        &[
            "extension_circuit_breaker_state{extension_id=\"b\",version=\"v1\"} 0",
            "extension_circuit_breaker_failures_total{extension_id=\"b\",version=\"v1\"} 2",
            "extension_circuit_breaker_recoveries_total{extension_id=\"b\",version=\"v1\"} 1",
            "extension_pushed_back_total{extension_id=\"b\",version=\"v1\"} 1",
        ],
    );
}

#[test]
fn invocations_show_by_status_until_the_extension_is_gone() {
    let (tools, mut writer, registry) = sources();
    let b = tools.selector.catalog().get("b").unwrap();
    let runtime = tools.runtimes.of(&b);
    let _seat = runtime.places.enter(&Context::default(), 10).unwrap();
    assert_has(&series(&registry), &["extension_invocations_in_flight 1"]);
    let version = b.extension().version.clone();
    runtime.called(&version, Status::Neutral, Duration::from_millis(3));
    runtime.called(&version, Status::Timeout, Duration::from_secs(100));
    runtime.meter.retries.add(1);
    let before = series(&registry);
    let bucket = |le: &str, count: u32| {
        let name = "extension_invocation_duration_seconds_bucket";
        format!("{name}{{le=\"{le}\",extension_id=\"b\",version=\"v1\"}} {count}")
    };
    assert_has(
        &before,
        &[
            "extension_invocations_total{extension_id=\"b\",version=\"v1\",status=\"neutral\"} 1",
            "extension_invocations_total{extension_id=\"b\",version=\"v1\",status=\"timeout\"} 1",
            "extension_invocation_retries_total{extension_id=\"b\"} 1",
            "extension_invocation_duration_seconds_count{extension_id=\"b\",version=\"v1\"} 2",
            "extension_invocation_duration_seconds_sum{extension_id=\"b\",version=\"v1\"} 100.003",
            &bucket("0.004", 1),
            &bucket("65.536", 1),
            &bucket("+Inf", 2),
        ],
    );
    for absent in ["success_rate", "avg_latency", "status=\"success\""] {
        assert!(!before.iter().any(|line| line.contains(absent)), "{absent}");
    }
    writer.apply(Change {
        removals: vec![ExtensionId::parse("b").unwrap()],
        ..change(2)
    });
    assert!(!series(&registry).iter().any(|line| line.contains("\"b\"")));
}

/// Half of them fail. A page is text; `/metrics` may be 25 MB for ten thousand.
#[test]
fn the_page_of_many_called_extensions_is_not_too_large() {
    const COUNT: usize = 500;
    let (catalog, mut writer) = Catalog::new();
    let ids = (0..COUNT).map(|n| format!("ext_{n:05}"));
    writer.apply(Change {
        upserts: ids.map(|id| entry(extension(&id))).collect(),
        ..change(1)
    });
    let tools = tools(Arc::clone(&catalog));
    for n in 0..COUNT {
        let id = format!("ext_{n:05}");
        let verdict = [Verdict::Success, Verdict::Failure][n % 2];
        report(&tools, &id, None, verdict);
        let record = catalog.get(id.as_str()).unwrap();
        let runtime = tools.runtimes.of(&record);
        let status = [Status::Success, Status::Failure][n % 2];
        let version = &record.extension().version;
        runtime.called(version, status, Duration::from_millis(12));
    }
    let mut page = String::new();
    text::encode(&mut page, &registry(&tools)).unwrap();
    let of_ten_thousand = page.len() * 10_000 / COUNT;
    assert!(of_ten_thousand < 25_000_000, "{of_ten_thousand} bytes");
}

/// For a moment the old one's calls and circuit are there still.
#[test]
fn what_was_made_anew_has_none_of_the_series_before_it() {
    let (tools, mut writer, registry) = sources();
    let mut make = |number: u64| {
        let b = Record {
            incarnation: Some(Incarnation(number.into())),
            ..extension("b")
        };
        writer.apply(Change {
            upserts: vec![entry(b)],
            ..change(number)
        });
    };
    let of_b = || {
        let series = series(&registry);
        series.iter().any(|line| line.contains("\"b\""))
    };
    make(2);
    report(&tools, "b", None, Verdict::Failure);
    assert!(of_b());
    make(3);
    assert!(!of_b());
}

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::adapters::telemetry::page::undescribed;
use crate::domain::catalog::{ActiveSource, Catalog, Change};
use crate::domain::context::Context;
use crate::domain::overload::Overload;
use crate::domain::quarantine::Quarantine;
use crate::service::meter::Count;
use crate::service::observe::{ListenerState, Trigger};
use crate::service::status::{SourceMode, Status};
use crate::service::testing::{stats, tools};
use crate::service::trouble::DatabaseError;

fn names(page: &str) -> Vec<&str> {
    let series = page.lines().filter(|line| !line.starts_with('#'));
    let mut names: Vec<_> = series
        .filter_map(|line| line.split(['{', ' ']).next())
        .collect();
    names.dedup();
    names
}

#[test]
fn what_is_unknown_is_absent_and_the_rest_has_the_names_of_the_contract() {
    let (catalog, mut writer) = Catalog::new();
    let tools = tools(catalog);
    let status = Status::new(SourceMode::Auto, Duration::from_secs(60));
    let stats = Arc::new(stats(&tools, status));
    let metrics = Metrics::new(Sources {
        stats: Arc::clone(&stats),
        selector: tools.selector,
        log_lines_dropped: Count::default(),
        events_dropped: Count::default(),
    });
    let before = metrics.render();
    assert_eq!(
        names(&before),
        [
            "extension_registry_sync_duration_seconds_sum",
            "extension_registry_sync_duration_seconds_count",
            "extension_registry_sync_duration_seconds_bucket",
            "extension_registry_sync_errors_total",
            "extension_registry_slow_consumer_total",
            "extension_registry_flush_errors_total",
            "extension_registry_overloaded_total",
            "extension_registry_rollouts_halted_total",
            "extension_registry_panics_total",
            "extension_registry_nats_restarts_total",
            "extension_health_auto_disabled_total",
            "build_info",
            "process_start_time_seconds",
            "extension_registry_nats_up",
            "extension_registry_log_lines_dropped_total",
            "extension_registry_events_dropped_total",
        ]
    );
    assert!(before.ends_with("# EOF\n"));

    writer.apply(Change {
        upserts: vec![],
        removals: vec![],
        quarantine: Quarantine::default(),
        source: ActiveSource::Database,
        epoch: None,
        revision: 42,
    });
    stats.status.set_listener(ListenerState::Polling);
    let lookups = &stats.lookups;
    lookups
        .one("unknown", None, Context::default())
        .unwrap_err();
    lookups.meter.duration.record(Duration::from_nanos(300));
    lookups.meter.duration.record(Duration::from_secs(1));
    let observer = metrics.observer();
    observer.observe(&Observation::Overloaded(Overload::Requests));
    observer.observe(&Observation::Unchanged(Duration::from_millis(1)));
    observer.observe(&Observation::LoadFailed {
        trigger: Trigger::Timer,
        error: DatabaseError::unreachable("x").into(),
    });
    observer.observe(&Observation::SlowConsumer("lookup"));
    let error = DatabaseError::unreachable("x");
    observer.observe(&Observation::FlushFailed(error.into()));
    observer.observe(&Observation::Dropped {
        reason: DropReason::NoReply,
        reply_prefix: None,
    });

    let after = metrics.render();
    assert_eq!(undescribed(&after), None);
    for line in [
        "extension_registry_size 0",
        "extension_registry_enabled_count 0",
        "extension_registry_quarantined 0",
        "extension_registry_revision 42",
        "extension_registry_listener_up 0",
        "extension_registry_sync_duration_seconds_count 1",
        "extension_registry_sync_errors_total 1",
        "extension_registry_slow_consumer_total 1",
        "extension_registry_flush_errors_total 1",
        "extension_registry_overloaded_total 1",
        "extension_registry_dropped_requests_total{reason=\"no_reply\"} 1",
        "extension_registry_lookups_total{result=\"hit\"} 0",
        "extension_registry_lookups_total{result=\"miss\"} 1",
        "extension_registry_lookups_total{result=\"refused\"} 0",
        "extension_registry_lookup_duration_seconds_bucket{le=\"5e-7\"} 1",
        "extension_registry_lookup_duration_seconds_bucket{le=\"+Inf\"} 2",
        "extension_registry_lookup_duration_seconds_count 2",
        "# TYPE extension_registry_lookups counter",
        "# TYPE extension_registry_lookup_duration_seconds histogram",
    ] {
        assert!(after.lines().any(|l| l == line), "{line} not in\n{after}");
    }
    for absent in ["database_up", "staleness", "f64"] {
        assert!(!after.contains(absent), "{absent} in\n{after}");
    }
}

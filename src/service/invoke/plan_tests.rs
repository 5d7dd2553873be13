use std::collections::HashMap;

use serde_json::value::RawValue;

use super::*;
use crate::domain::balancer::{Balance, Past};
use crate::domain::breaker::Settings;
use crate::domain::catalog::{Catalog, Change};
use crate::domain::context::Context;
use crate::domain::entry::Entry;
use crate::domain::extension::{Extension, Incarnation};
use crate::domain::ids::ExtensionId;
use crate::domain::json::JsonObject;
use crate::domain::overload::Overload;
use crate::domain::testing::{change, context, entry, extension, instance, version_with};
use crate::service::invoke::{Limits, Runtimes, Seat};
use crate::service::selection::Wanted;
use crate::service::testing::selector;

const SECOND: Duration = Duration::from_secs(1);

fn raw(json: &str) -> &RawValue {
    serde_json::from_str(json).unwrap()
}

fn invocation(payload: &str) -> Invocation<'_> {
    Invocation {
        id: "x",
        version: None,
        payload: raw(payload),
        metadata: None,
        config: None,
        fallback_config: HashMap::new(),
        context: context("{}"),
        timeout: None,
        deadline: None,
        traceparent: None,
        tracestate: None,
        stream: false,
        call_id: None,
        received: Instant::now(),
    }
}

/// Small limits.
fn defaults() -> Limits {
    Limits {
        max_payload_bytes: 20,
        max_metadata_bytes: 10,
        max_in_flight: 2,
        breaker: Settings {
            enabled: true,
            failure_threshold: 1,
            error_rate_threshold: 1.0,
            window: SECOND,
            minimum_requests: 1,
            slow_calls: None,
            open_time: SECOND,
            max_open_time: SECOND,
            half_open_max_requests: 1,
            trial_limit: SECOND,
        },
    }
}

/// The plan of a call of `x`, beside which there is `y`.
fn plan(x: Extension, invocation: &Invocation<'_>) -> Result<Plan, RegistryError> {
    let (catalog, mut writer) = Catalog::new();
    let y = Extension {
        config: JsonObject::parse(r#"{"y":1}"#).unwrap(),
        ..extension("y")
    };
    writer.apply(Change {
        upserts: [x, y].map(entry).into(),
        ..change(1)
    });
    let selector = selector(catalog, None);
    let wanted = Wanted {
        version: None,
        context: &invocation.context,
        turns: None,
    };
    let catalog = selector.catalog();
    let asked = catalog.get("x").unwrap();
    let target = selector.select(&asked, wanted, |id| catalog.get(id));
    let target = target.unwrap();
    let runtimes = Runtimes::new(defaults());
    let setup = runtimes.glance(target.entry());
    assert!(runtimes.all().is_empty(), "nothing is kept for a glance");
    Plan::new(invocation, target, setup)
}

fn patient() -> Extension {
    Extension {
        timeout_ms: 1000,
        ..extension("x")
    }
}

/// CASES.md C1: also where failures are listed.
#[test]
fn failures_name_tenant_and_trace_as_the_caller_wrote_them() {
    let mut invocation = invocation("1");
    invocation.context = context(r#"{"tenant_id":1.10,"trace_id":12e2}"#);
    let plan = plan(patient(), &invocation).unwrap();
    assert_eq!(plan.on_behalf.tenant_id.as_deref(), Some("1.10"));
    assert_eq!(plan.on_behalf.trace_id.as_deref(), Some("12e2"));
}

#[test]
fn an_attempt_ends_at_its_timeout_or_at_the_nearest_deadline() {
    let millis = Duration::from_millis;
    for (timeout, deadline, ends, by_caller) in [
        (None, None, 1000, false),
        (Some(5000), None, 1000, false),
        (Some(1000), None, 1000, false),
        (Some(300), None, 300, true),
        (None, Some(300), 300, true),
        (None, Some(1000), 1000, false),
        (Some(400), Some(300), 300, true),
        (Some(300), Some(400), 300, true),
        (Some(5000), Some(7000), 1000, false),
        (Some(0), None, 0, true),
    ] {
        let mut invocation = invocation("1");
        let received = invocation.received;
        invocation.timeout = timeout.map(millis);
        invocation.deadline = deadline.map(|ms| received + millis(ms));
        let plan = plan(patient(), &invocation).unwrap();
        let expected = (received + millis(ends), by_caller);
        let case = format!("{timeout:?} {deadline:?}");
        assert_eq!(plan.attempt_ends(received), expected, "{case}");
        assert_eq!(plan.timeout, SECOND, "{case}");
    }
}

#[test]
fn a_fallback_with_more_time_of_its_own_is_waited_for_as_long_as_the_request_says() {
    let (catalog, mut writer) = Catalog::new();
    let x = Extension {
        fallback: [ExtensionId::parse("y").unwrap()].into(),
        ..patient()
    };
    let y = Extension {
        timeout_ms: 5000,
        ..extension("y")
    };
    writer.apply(Change {
        upserts: [x.clone(), y].map(entry).into(),
        ..change(1)
    });
    let selector = selector(catalog, None);
    let runtimes = Runtimes::new(defaults());
    for (timeout, deadline, seconds, by_caller) in [
        (None, None, 5, false),
        (Some(2), None, 2, true),
        (Some(5), None, 5, false),
        (Some(2), Some(1), 1, true),
        (Some(1), Some(2), 1, true),
    ] {
        let mut invocation = invocation("1");
        invocation.timeout = timeout.map(|seconds| SECOND * seconds);
        let mut asked = plan(x.clone(), &invocation).unwrap();
        asked.spare = Spare::of(&mut invocation, &asked.target);
        let target = selector.standby(asked.target.entry(), &context("{}"));
        let target = target.unwrap();
        let setup = runtimes.glance(target.entry());
        asked.deadline = deadline.map(|seconds| invocation.received + SECOND * seconds);
        asked.stand_in(target, setup).unwrap();
        let standby = asked;
        let begun = match deadline {
            Some(1) => invocation.received,
            _ => standby.received,
        };
        let expected = (begun + SECOND * seconds, by_caller);
        let ends = standby.attempt_ends(standby.received);
        assert_eq!(ends, expected, "{timeout:?} {deadline:?}");
    }
}

#[test]
fn of_the_configs_for_fallbacks_those_that_can_be_needed_are_kept() {
    let x = Extension {
        fallback: [ExtensionId::parse("y").unwrap()].into(),
        ..patient()
    };
    let mut invocation = invocation("1");
    let others = (0..1000).map(|n| (format!("z{n}").into(), raw("{}")));
    invocation.fallback_config = others.chain([("y".into(), raw(r#"{"k":1}"#))]).collect();
    let asked = plan(x, &invocation).unwrap();
    let spare = Spare::of(&mut invocation, &asked.target).unwrap();
    let other = ExtensionId::parse("z7").unwrap();
    assert!(spare.config(&other).is_none());
    let own = spare.config(&ExtensionId::parse("y").unwrap());
    assert_eq!(own.map(RawValue::get), Some(r#"{"k":1}"#));
}

#[test]
fn a_later_attempt_has_its_whole_timeout_and_what_is_left_of_the_deadline() {
    let mut invocation = invocation("1");
    let received = invocation.received;
    invocation.deadline = Some(received + SECOND * 3);
    let plan = plan(patient(), &invocation).unwrap();
    let begun = received + SECOND;
    assert_eq!(plan.attempt_ends(begun), (begun + SECOND, false));
    let begun = received + Duration::from_millis(2500);
    assert_eq!(plan.attempt_ends(begun), (received + SECOND * 3, true));
    let headers = plan.headers(3, begun, received + SECOND * 3, [3; 8]);
    assert_eq!(headers.left, Duration::from_millis(500));
    assert_eq!(headers.attempt, Some(3));
}

#[test]
fn sizes_are_counted_as_they_came() {
    let twenty = format!("\"{}\"", "p".repeat(18));
    let too_large = |payload: &str, metadata: Option<&str>| {
        let mut invocation = invocation(payload);
        invocation.metadata = metadata.map(raw);
        match plan(patient(), &invocation) {
            Ok(_) => None,
            Err(RegistryError::PayloadTooLarge { what, limit_bytes }) => Some((what, limit_bytes)),
            Err(error) => panic!("{error}"),
        }
    };
    assert_eq!(too_large(&twenty, Some(r#"{"a": 123}"#)), None);
    let payload = format!("[{twenty}]");
    assert_eq!(too_large(&payload, None), Some(("the payload", 20)));
    let metadata = too_large("1", Some(r#"{"a": 1234}"#));
    assert_eq!(metadata, Some(("the metadata", 10)));
}

#[test]
fn a_requests_config_does_not_travel_to_a_fallback() {
    let x = Extension {
        auto_disabled: true,
        fallback: [ExtensionId::parse("y").unwrap()].into(),
        ..patient()
    };
    let mut invocation = invocation("1");
    invocation.config = Some(raw(r#"{"travels":true}"#));
    let body = |plan: Plan| String::from_utf8(plan.body.bytes).unwrap();
    let own = body(plan(patient(), &invocation).unwrap());
    assert!(own.ends_with(r#""config":{"travels":true}}"#), "{own}");
    let standby = plan(x.clone(), &invocation).unwrap();
    assert_eq!(
        standby
            .headers(1, invocation.received, invocation.received, [1; 8])
            .id
            .as_str(),
        "y"
    );
    let standby = body(standby);
    assert!(standby.ends_with(r#""config":{"y":1}}"#), "{standby}");
    invocation.fallback_config = [("y".into(), raw(r#"{"z":2}"#)), ("x".into(), raw("{}"))].into();
    let given = body(plan(x, &invocation).unwrap());
    assert!(given.ends_with(r#""config":{"y":1,"z":2}}"#), "{given}");
}

#[test]
fn to_ask_where_the_next_call_goes_takes_nobodys_turn() {
    let x = Extension {
        instances: vec![instance("a"), instance("b")],
        ..patient()
    };
    let plan = plan(x, &invocation("1")).unwrap();
    let now = std::time::Instant::now();
    assert_eq!(plan.next_subject(now), plan.next_subject(now));
    let nobody = plan.subject(None).as_str();
    assert_eq!(nobody, "beamline.ext.current", "the version's own");
}

#[test]
fn places_are_bounded_and_come_back() {
    let (runtimes, entry) = (Runtimes::new(defaults()), entry(patient()));
    let runtime = runtimes.of(&entry);
    let limit = runtimes.setup(&entry).limits.max_in_flight;
    let enter = || runtime.places.enter(&Context::default(), limit);
    let places = [(); 2].map(|()| enter());
    assert!(places.iter().all(|seat| matches!(seat, Ok(Seat::Taken(_)))));
    assert_eq!(enter().unwrap_err(), Overload::Full);
    assert_eq!(runtime.in_flight(), 2, "who was turned away holds nothing");
    drop(places);
    assert_eq!(runtime.in_flight(), 0);
    assert!(enter().is_ok());
}

#[test]
fn a_new_record_brings_new_limits_and_keeps_whose_turn_it_is() {
    let record = |metadata: &str| {
        entry(Extension {
            instances: vec![instance("a"), instance("b")],
            metadata: JsonObject::parse(metadata).unwrap(),
            ..patient()
        })
    };
    let (runtimes, now) = (Runtimes::new(defaults()), std::time::Instant::now());
    let turn = |entry: &Arc<Entry>| {
        let setup = runtimes.setup(entry);
        let instances = entry.extension().instances.iter();
        let mut balancer = setup.balancer(&entry.extension().version).unwrap();
        let picked = balancer.pick(instances, Past::default(), None, now);
        (
            setup.limits.max_in_flight,
            picked.unwrap().instance.unwrap().instance_id.to_string(),
        )
    };
    let (before, after) = (record("{}"), record(r#"{"max_in_flight":9}"#));
    assert_eq!(turn(&before), (2, "a".to_owned()));
    assert_eq!(turn(&after), (9, "b".to_owned()));
    assert_eq!(turn(&after), (9, "a".to_owned()));
}

#[test]
fn what_a_late_call_made_for_the_extension_before_gives_way() {
    let of = |number: u64| {
        entry(Extension {
            incarnation: Some(Incarnation(number.into())),
            revision: number,
            ..patient()
        })
    };
    let (runtimes, before, now) = (Runtimes::new(defaults()), of(1), of(2));
    let late = runtimes.of(&before);
    let own = runtimes.of(&now);
    assert!(!Arc::ptr_eq(&own, &late));
    assert!(
        Arc::ptr_eq(&own, &runtimes.of(&now)),
        "the next call's, too"
    );
    assert!(!Arc::ptr_eq(&own, &runtimes.of(&before)));
    assert!(Arc::ptr_eq(&own, &runtimes.of(&now)));
}

#[test]
fn a_version_with_metadata_of_its_own_has_its_own_settings_of_calls() {
    let versions = [
        version_with("v2", "{}"),
        version_with(
            "v3",
            r#"{"metadata":{"stream":{"gap_ms":7},"fallback_on":"open"}}"#,
        ),
    ];
    let x = Extension {
        metadata: JsonObject::parse(
            r#"{"stream":{"first_chunk_ms":100,"total_ms":900},"balance":"weighted"}"#,
        )
        .unwrap(),
        versions: versions.into(),
        ..patient()
    };
    let setup = Runtimes::new(defaults()).glance(&entry(x.clone()));
    let rules = |version| {
        let rules = setup.rules(&VersionName::parse(version).unwrap());
        (rules.balance, rules.fallback_on_open_only)
    };
    for version in ["v1", "v2"] {
        assert_eq!(rules(version), (Balance::Weighted, false), "{version}");
    }
    assert_eq!(rules("v3"), (Balance::Adaptive, true));

    let mut invocation = invocation("1");
    invocation.stream = true;
    let newest = plan(x.clone(), &invocation).unwrap();
    let millis = Duration::from_millis;
    assert_eq!(newest.version().as_str(), "v3");
    assert_eq!((newest.timeout, newest.gap()), (SECOND, millis(7)));
    let alone = Extension {
        versions: Vec::new(),
        ..x
    };
    let current = plan(alone, &invocation).unwrap();
    assert_eq!((current.timeout, current.gap()), (millis(100), SECOND));
    // The extension may go on after its first chunk.
    let begun = invocation.received;
    let headers = current.headers(1, begun, current.attempt_ends(begun).0, [3; 8]);
    assert_eq!(headers.left, millis(900));
}

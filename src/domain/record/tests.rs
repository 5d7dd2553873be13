//! The table, the gate and `said` know the same fields; and what is made of records by name.

use super::*;
use crate::domain::json::JsonObject;
use crate::domain::testing::{
    extension as an_extension, extension_with, instance as an_instance, policy, rules, said,
    version as a_version, version_with,
};

/// Every field, with a value that is no default.
const OWN: &str = r#"{"id":"a","type":"validator","subject":"beamline.ext.a","timeout_ms":7,"retry":3,
    "enabled":false,"auto_disabled":true,"version":"v9","owner":"search","config":{"a":1.0},"metadata":{"b":[]},
    "fallback":["b","c"],"routing_rules":{"t":"x"},"rollout":{"by":"t","percent":5},
    "circuit_breaker":{"enabled":false}}"#;
const OF_VERSION: &str = r#"{"version":"v2","subject":"beamline.ext.v2","timeout_ms":7,"retry":0,
    "config":{},"metadata":{"b":[]},"routing_rules":{"t":"x"},"rollout":{"by":"t","percent":5},
    "priority":-4,"enabled":false}"#;
const OF_INSTANCE: &str = r#"{"instance_id":"i","version":"v2","subject":"beamline.ext.i","weight":0,
    "enabled":false}"#;

/// What `json` is read as, value by value as text.
fn shown(fields: &Fields<'_>) -> Vec<(&'static str, String)> {
    let shown = fields
        .iter()
        .map(|(name, value)| (*name, value.to_string()));
    shown.collect()
}

/// A field that is added to a table fails here until it is everywhere it has to be: in the sample
/// above, in the gate, and in `said`.
#[track_caller]
fn comes_through(table: &'static [Field], json: &str, again: &Fields<'_>) {
    let names: Vec<_> = table.iter().map(|field| field.name).collect();
    let sample = shown(&said(table, json));
    let sampled: Vec<_> = sample.iter().map(|(name, _)| *name).collect();
    assert_eq!(sampled, names, "the sample has every field of the table");
    assert_eq!(shown(again), sample, "the gate and `said` have it too");
}

#[test]
fn every_field_passes_the_gate_and_is_said_again() {
    let policy = policy();
    let gate = Gate::of(&policy);
    let own = gate.extension(&said(EXTENSION, OWN)).unwrap();
    comes_through(EXTENSION, OWN, &extension(&own));
    let of_version = gate.version(&said(VERSION, OF_VERSION), "").unwrap();
    comes_through(VERSION, OF_VERSION, &version(&of_version));
    let of_instance = gate.instance(&said(INSTANCE, OF_INSTANCE), "v1").unwrap();
    comes_through(INSTANCE, OF_INSTANCE, &instance(&of_instance));
}

#[test]
fn the_table_says_what_the_gate_demands() {
    let (policy, nothing) = (policy(), Fields::default());
    let gate = Gate::of(&policy);
    for (table, faults) in [
        (EXTENSION, gate.extension(&nothing).unwrap_err()),
        (VERSION, gate.version(&nothing, "").unwrap_err()),
        (INSTANCE, gate.instance(&nothing, "v1").unwrap_err()),
    ] {
        let required = table.iter().filter(|field| field.required);
        let missing: Vec<_> = faults.iter().map(|fault| fault.field).collect();
        assert_eq!(
            missing,
            required.map(|field| field.name).collect::<Vec<_>>()
        );
        assert!(faults.iter().all(|fault| fault.rule == "is missing"));
    }
}

#[test]
fn a_value_is_what_its_json_says() {
    for (json, expected) in [
        ("null", Value::Unset),
        (" true ", Value::Switch(true)),
        (r#""a\n""#, Value::Text("a\n".into())),
        ("1e2", Value::Json("1e2".into())),
        ("[1, 2]", Value::Json("[1, 2]".into())),
        (r#""\ud800""#, Value::Json(r#""\ud800""#.into())),
    ] {
        let read = Value::read(json);
        assert_eq!(read, expected, "{json}");
        let written = serde_json::to_string(&read).unwrap();
        let same = |text: &str| serde_json::from_str::<serde_json::Value>(text).ok();
        assert_eq!(same(&written), same(json), "{json}");
    }
}

#[test]
fn what_is_not_of_the_definition_makes_no_difference() {
    let (first, mut second) = (an_extension("a"), an_extension("a"));
    second.revision = 7;
    second.digest = 9;
    second.auto_disabled = true;
    assert_eq!(record(&first), record(&second));
    assert_eq!(differences(&record(&first), &record(&second)), []);
}

#[test]
fn differences_are_named_by_their_path() {
    let (mut first, mut second) = (an_extension("a"), an_extension("a"));
    first.versions = vec![a_version("v2"), a_version("v3")];
    second.versions = vec![version_with("v2", r#"{"config":{}}"#), a_version("v4")];
    second.instances.push(an_instance("blue"));
    second.retry = 3;
    second.routing_rules = rules(r#"{"tenant_id": "acme"}"#);
    let found = differences(&record(&first), &record(&second)).into_iter();
    let shown: Vec<_> = found
        .map(|it| {
            let (old, new) = (it.first.as_deref(), it.second.as_deref());
            let (old, new) = (old.unwrap_or("-"), new.unwrap_or("-"));
            format!("{}: {old} -> {new}", it.field)
        })
        .collect();
    assert_eq!(
        shown,
        [
            "retry: 1 -> 3",
            r#"routing_rules: - -> {"tenant_id":"acme"}"#,
            "versions/v2/config: - -> {}",
            "versions/v3: subject beamline.ext.version, priority 0, enabled true -> -",
            "versions/v4: - -> subject beamline.ext.version, priority 0, enabled true",
            "instances/blue: - -> version v1, subject beamline.ext.instance, weight 100, enabled true",
        ]
    );
}

#[test]
fn objects_differ_by_their_members() {
    let differing = |old: &str, new: &str| -> Vec<String> {
        let with = |config: &str| extension_with("a", &format!(r#"{{"config":{config}}}"#));
        let (first, second) = (with(old), with(new));
        let found = differences(&record(&first), &record(&second)).into_iter();
        let shown = found.map(|it| format!("{}: {:?} -> {:?}", it.field, it.first, it.second));
        shown.collect()
    };
    assert_eq!(
        differing(
            r#"{"gone":[1],"same":{"x":1.0},"threshold":1}"#,
            r#"{"new":null,"same":{"x":1.0},"threshold":2}"#
        ),
        [
            r#"config.gone: Some("[1]") -> None"#,
            r#"config.new: None -> Some("null")"#,
            r#"config.threshold: Some("1") -> Some("2")"#,
        ]
    );
    let order = differing(r#"{"a":1,"b":2}"#, r#"{"b":2,"a":1}"#);
    assert_eq!(order.len(), 1);
    assert!(order[0].starts_with("config: "), "{order:?}");
}

#[test]
fn all_json_of_a_record_can_be_rewritten() {
    let mut extension = extension_with("a", r#"{"config":{"a":1},"routing_rules":{"b":2}}"#);
    extension.versions = vec![version_with("v2", r#"{"config":{"c":3}}"#)];
    let mut record = record(&extension);
    let texts: Vec<_> = record.json_mut().map(|text| text.to_string()).collect();
    assert_eq!(texts, [r#"{"a":1}"#, "{}", r#"{"b":2}"#, r#"{"c":3}"#]);
    for text in record.json_mut() {
        *text = "{}".into();
    }
    assert!(record.json_mut().all(|text| text == "{}"));
}

/// The warnings about an extension whose current version has a row with more fields from `json`.
fn ignored_of(version: &str, json: &str) -> Option<String> {
    let mut extension = extension_with("a", r#"{"config":{"a":1}}"#);
    let plain = said(
        VERSION,
        &format!(r#"{{"version":"{version}","subject":"beamline.ext.current"}}"#),
    );
    let row = Gate::of(&policy()).version(&plain.with(&said(VERSION, json)), "");
    extension.versions.push(row.unwrap());
    ignored(&extension).pop()
}

#[test]
fn settings_of_calls_that_cannot_be_read_are_named_and_a_fault_only_when_written() {
    let metadata = r#"{"metadata":{"stream":{"gap_ms":0},"fallback_on":"never"}}"#;
    let extension = extension_with("a", metadata);
    let expected = [
        "metadata: `fallback_on` must be `open`; the default applies",
        "metadata: `stream.gap_ms` must be a whole number from 1 to 3600000; the default applies",
    ];
    assert_eq!(ignored(&extension), expected);
    assert_eq!(warnings(&extension), expected);
}

#[test]
fn settings_of_a_versions_calls_that_cannot_be_read_are_named_with_it() {
    let row = |version| version_with(version, r#"{"metadata":{"balance":"random"}}"#);
    let mut extension = extension_with("a", r#"{"metadata":{"balance":"random"}}"#);
    extension.versions = ["v1", "v2"].map(row).into();
    let rule = "metadata: `balance` must be `adaptive` or `weighted`; the default applies";
    assert_eq!(
        ignored(&extension).last(),
        Some(&format!("version v2: {rule}"))
    );
    let named = ignored(&extension);
    let named = named.iter().filter(|warning| warning.contains(rule));
    assert_eq!(named.count(), 2);
}

/// CASES.md C5: no limit is silently none.
#[test]
fn limits_of_a_version_that_have_no_effect_are_named() {
    let own = r#"{"max_in_flight":2,"max_payload_size":1e2}"#;
    let mut extension = extension_with("a", &format!(r#"{{"metadata":{own}}}"#));
    let row =
        |version, metadata: &str| version_with(version, &format!(r#"{{"metadata":{metadata}}}"#));
    let other = r#"{"max_in_flight":1,"max_payload_size":100,"max_metadata_size":5}"#;
    extension.versions = vec![row("v2", other), row("v3", own), row("v4", "{}")];
    let without_effect = |key: &str| {
        format!("version v2: metadata: `{key}` has no effect: limits are the extension's")
    };
    let expected = ["max_metadata_size", "max_in_flight"].map(without_effect);
    assert_eq!(ignored(&extension), expected);
}

#[test]
fn what_is_set_in_the_row_of_the_current_version_and_differs_is_named() {
    let differing = r#"{"subject":"beamline.ext.other","timeout_ms":7,"retry":1,"config":{},
        "metadata":{},"priority":3}"#;
    assert_eq!(
        ignored_of("v1", differing).as_deref(),
        Some(
            "version row v1 differs from the extension in subject, timeout_ms, config, priority: it \
             names the current version, so only its rules, rollout and enabled count"
        )
    );
    let same = r#"{"timeout_ms":5000,"config":{"a":1},"metadata":null,
        "routing_rules":{"tenant_id":"acme"}}"#;
    for (version, quiet) in [("v1", "{}"), ("v1", same), ("v2", r#"{"timeout_ms":7}"#)] {
        assert_eq!(ignored_of(version, quiet), None);
    }
}

#[test]
fn every_fault_of_a_whole_record_is_named() {
    let sound = an_extension("a");
    assert_eq!(
        (beyond_limits(&sound), unstorable(&sound)),
        (vec![], vec![])
    );
    let mut faulty = extension_with("a", r#"{"timeout_ms":200000,"config":{"n":1e1000}}"#);
    faulty
        .versions
        .push(version_with("v2", r#"{"metadata":{"z":"\u0000"}}"#));
    assert_eq!(
        beyond_limits(&faulty),
        ["`timeout_ms` 200000 must be at most 120000"]
    );
    assert_eq!(
        unstorable(&faulty),
        [
            "`config` has a number with an exponent of more than 3 digits",
            "version v2: `metadata` holds the character \\u0000",
        ]
    );
    let mut large = an_extension("a");
    large.versions = vec![a_version("v2"); MAX_PARTS + 1];
    large.config = JsonObject::parse(&format!(r#"{{"a":"{}"}}"#, "x".repeat(600_000))).unwrap();
    assert_eq!(
        beyond_limits(&large),
        [
            "`versions` has 101 of at most 100",
            "is larger than 524288 bytes"
        ]
    );
}

#[test]
fn what_only_writing_refuses_is_named_of_the_extension_and_of_its_versions() {
    let halting = r#"{"rollout":{"by":"t","percent":5,"halt":{}},"metadata":{"balance":"random"}}"#;
    let mut refused = extension_with("a", halting);
    refused.versions = ["v1", "v2"].map(|name| version_with(name, halting)).into();
    let (balance, halt) = (
        "`metadata` `balance` must be `adaptive` or `weighted`",
        format!("`rollout` {NO_HALT}"),
    );
    assert_eq!(
        refusals(&refused),
        [
            balance.to_owned(),
            halt.clone(),
            format!("version v1: {balance}"),
            format!("version v1: {halt}"),
            format!("version v2: {balance}"),
        ]
    );
    let sound = r#"{"rollout":{"by":"t","percent":5},"metadata":{"balance":"weighted"}}"#;
    let mut sound = extension_with("a", sound);
    sound.versions = vec![version_with(
        "v2",
        r#"{"rollout":{"by":"t","percent":5,"halt":{}}}"#,
    )];
    assert_eq!(refusals(&sound), [""; 0]);
}

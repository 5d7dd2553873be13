//! The gate: every fault named, all at once; limits cut; what is left out has its default.

use super::*;
use crate::domain::record::{EXTENSION, Field, INSTANCE, VERSION, describe};
use crate::domain::testing::{policy, said};

const AN_EXTENSION: &str = r#"{"id":"x","type":"pre","subject":"beamline.ext.x"}"#;
const A_VERSION: &str = r#"{"version":"v2","subject":"beamline.ext.x.v2"}"#;
const AN_INSTANCE: &str = r#"{"instance_id":"i1","subject":"beamline.ext.x.i1"}"#;

/// `plain` with `more` laid over it.
fn with(table: &'static [Field], plain: &str, more: &str) -> Fields<'static> {
    said(table, plain).with(&said(table, more))
}

fn extension(more: &str) -> Checked<Extension> {
    Gate::of(&policy()).extension(&with(EXTENSION, AN_EXTENSION, more))
}

fn version(more: &str) -> Checked<Version> {
    Gate::of(&policy()).version(&with(VERSION, A_VERSION, more), "v1")
}

fn instance(more: &str) -> Checked<Instance> {
    Gate::of(&policy()).instance(&with(INSTANCE, AN_INSTANCE, more), "v7")
}

/// Exactly one fault, of this field, by this rule.
#[track_caller]
fn fault<T: std::fmt::Debug>(checked: Checked<T>, field: &str, rule: &str) {
    let faults = checked.unwrap_err();
    assert_eq!(faults.len(), 1, "{}", describe(&faults));
    assert_eq!(faults[0].field, field);
    assert!(faults[0].rule.contains(rule), "{}", faults[0].rule);
}

#[test]
fn each_field_of_an_extension_names_its_rule() {
    for (field, rule, value) in [
        ("id", "must match", r#""a.b""#),
        ("id", "not be `health`", r#""health""#),
        ("id", "must be a string", "7"),
        ("id", "is missing", "null"),
        ("type", "one of pre", r#""PRE""#),
        ("subject", "is empty", r#""""#),
        ("subject", "wildcard", r#""beamline.ext.>""#),
        ("subject", "allowed subjects (b", r#""a.b""#),
        ("subject", "reserved", r#""$JS.API.x""#),
        ("timeout_ms", "a whole number from 1 to 120000", "0"),
        ("timeout_ms", "a whole number from 1 to 120000", r#""5""#),
        ("retry", "a whole number from 0 to 10", "-1"),
        ("retry", "a whole number from 0 to 10", "1.5"),
        ("enabled", "true or false", "1"),
        ("version", "must match", r#""v 1""#),
        ("owner", "1 to 200", r#""""#),
        ("owner", "one line", r#""a\u001bb""#),
        ("owner", "half of a surrogate pair", r#""a\ud800""#),
        ("config", "JSON object", "[]"),
        ("config", "JSON object", r#""{}""#),
        ("metadata", "JSON object", "1"),
        ("fallback", "list of ids", "{}"),
        ("fallback", "list of ids", "[1]"),
        ("fallback", "must match", r#"["a.b"]"#),
        ("routing_rules", "`a`", r#"{"a":{}}"#),
        ("rollout", "`by`", r#"{"percent":1}"#),
        ("circuit_breaker", "object", "true"),
        (
            "circuit_breaker",
            "`failure_threshold` must",
            r#"{"failure_threshold":0}"#,
        ),
        (
            "circuit_breaker",
            "`threshold` is not",
            r#"{"threshold":5,"enabled":true}"#,
        ),
    ] {
        fault(extension(&format!(r#"{{"{field}":{value}}}"#)), field, rule);
    }
}

#[test]
fn an_owner_has_two_hundred_characters_at_most() {
    let owner = |length| extension(&format!(r#"{{"owner":"{}"}}"#, "\u{e9}".repeat(length)));
    assert!(owner(200).is_ok());
    fault(owner(201), "owner", "1 to 200");
}

#[test]
fn each_field_of_a_version_names_its_rule() {
    for (field, rule, value) in [
        ("version", "must match", r#""""#),
        ("subject", "allowed", r#""x""#),
        ("timeout_ms", "a whole number from 1 to 120000", "-5"),
        (
            "retry",
            "a whole number from 0 to 10",
            "-9223372036854775808",
        ),
        ("config", "JSON object", r#""{}""#),
        (
            "config",
            "the key `a.b` twice",
            r#"{"a":{"b":1,"c":2,"b":3}}"#,
        ),
        ("metadata", "JSON object", "[]"),
        (
            "metadata",
            "`max_in_flight` must be a whole",
            r#"{"max_in_flight":"1"}"#,
        ),
        (
            "metadata",
            "the key `max_in_flight` twice",
            r#"{"max_in_flight":5,"max_in_flight":1}"#,
        ),
        ("routing_rules", "the key `t` twice", r#"{"t":"a","t":"b"}"#),
        (
            "rollout",
            "the key `percent` twice",
            r#"{"by":"t","percent":1,"percent":99}"#,
        ),
        ("routing_rules", "object", "[]"),
        ("rollout", "JSON object", "50"),
        ("priority", "from -2147483648 to 2147483647", "2147483648"),
    ] {
        fault(version(&format!(r#"{{"{field}":{value}}}"#)), field, rule);
    }
}

#[test]
fn each_field_of_an_instance_names_its_rule() {
    for (field, rule, value) in [
        ("instance_id", "must match", r#""-""#),
        ("version", "must match", r#""*""#),
        ("subject", "empty token", r#""beamline.ext..x""#),
        ("weight", "from 0 to 100", "101"),
        ("weight", "from 0 to 100", "-1"),
        ("enabled", "true or false", r#""yes""#),
    ] {
        fault(instance(&format!(r#"{{"{field}":{value}}}"#)), field, rule);
    }
}

#[test]
fn the_number_of_fallbacks_is_bounded() {
    for (count, valid) in [(0, true), (16, true), (17, false)] {
        let list = vec![r#""a""#; count].join(",");
        match extension(&format!(r#"{{"fallback":[{list}]}}"#)) {
            Ok(extension) if valid => assert_eq!(extension.fallback.len(), count),
            checked => fault(checked, "fallback", "at most 16"),
        }
    }
}

#[test]
fn all_faults_are_listed_at_once_in_the_order_of_the_fields() {
    let bad: Vec<_> = EXTENSION
        .iter()
        .map(|field| format!(r#""{}":[0]"#, field.name))
        .collect();
    let faults = extension(&format!("{{{}}}", bad.join(","))).unwrap_err();
    let fields: Vec<_> = faults.iter().map(|fault| fault.field).collect();
    assert_eq!(
        fields,
        EXTENSION.iter().map(|field| field.name).collect::<Vec<_>>()
    );
    assert!(describe(&faults[..2]).starts_with("`id` must be a string; `type` must be"));
    // A fault of an optional field alone is no less a fault than one beside a required field.
    assert_eq!(version(r#"{"config":0,"rollout":0}"#).unwrap_err().len(), 2);
}

#[test]
fn what_is_left_out_or_null_has_its_default() {
    let named = EXTENSION.iter().filter(|field| !field.required);
    let nulls: Vec<_> = named
        .map(|field| format!(r#""{}":null"#, field.name))
        .collect();
    let it = extension("{}").unwrap();
    assert_eq!(extension(&format!("{{{}}}", nulls.join(","))).unwrap(), it);
    assert_eq!((it.timeout_ms, it.retry), (5000, 1));
    assert_eq!(
        (it.enabled, it.auto_disabled, it.version.as_str()),
        (true, false, "v1")
    );
    assert_eq!((it.config.as_str(), it.metadata.as_str()), ("{}", "{}"));
    assert!(it.fallback.is_empty() && it.routing_rules.is_none());
    assert!(it.rollout.is_none() && it.circuit_breaker.is_none());

    let it = version(r#"{"config":null,"rollout":null,"routing_rules":null}"#).unwrap();
    assert!(it.timeout_ms.is_none() && it.retry.is_none());
    assert!(it.config.is_none() && it.metadata.is_none());
    assert_eq!(it.priority, 0);

    let it = instance("{}").unwrap();
    assert_eq!(
        (it.version.as_str(), it.weight, it.enabled),
        ("v7", 100, true)
    );
}

#[test]
fn a_version_without_rules_and_rollout_has_to_be_enabled_by_hand() {
    let (rules, rollout) = (
        r#""routing_rules":{"tenant_id":"acme"}"#,
        r#""rollout":{"by":"tenant_id","percent":10}"#,
    );
    for (said, enabled) in [
        ("{}".to_owned(), false),
        (r#"{"routing_rules":{},"rollout":{}}"#.to_owned(), false),
        (r#"{"routing_rules":{ },"rollout":{ }}"#.to_owned(), false),
        (format!("{{{rules}}}"), true),
        (format!("{{{rollout}}}"), true),
        (format!(r#"{{{rules},{rollout},"enabled":false}}"#), false),
        (r#"{"enabled":true}"#.to_owned(), true),
    ] {
        assert_eq!(version(&said).unwrap().enabled, enabled, "{said}");
    }
}

#[test]
fn what_is_beyond_the_limits_is_cut_and_told_or_refused() {
    let beyond = r#"{"timeout_ms":9223372036854775807,"retry":11}"#;
    let mut it = extension(beyond).unwrap();
    assert_eq!((it.timeout_ms, it.retry), (120_000, 10));
    it.versions = vec![version(r#"{"retry":12}"#).unwrap()];
    assert_eq!(it.versions[0].retry, Some(10));
    assert_eq!(
        it.all_cuts().collect::<Vec<_>>(),
        [
            "`timeout_ms` 9223372036854775807 is cut to 120000",
            "`retry` 11 is cut to 10",
            "version v2: `retry` 12 is cut to 10",
        ]
    );
    let within = extension(r#"{"timeout_ms":120000,"retry":0}"#).unwrap();
    assert_eq!((within.timeout_ms, within.retry), (120_000, 0));
    assert_eq!(within.all_cuts().count(), 0);

    let fields = with(EXTENSION, AN_EXTENSION, beyond);
    let refused = Gate::strict(&policy()).extension(&fields).unwrap_err();
    assert_eq!(refused.len(), 2, "{}", describe(&refused));
    // A default is never a fault.
    let narrow = Policy {
        max_timeout_ms: 1000,
        ..policy()
    };
    let it = Gate::strict(&narrow).extension(&said(EXTENSION, AN_EXTENSION));
    assert_eq!(it.unwrap().timeout_ms, 1000);
}

#[test]
fn values_come_through_as_they_were_written() {
    let it = extension(
        r#"{"config":{"n": 1.10, "deep": {"a": [1, null]}},"timeout_ms":5e2,"fallback":["b","a"]}"#,
    );
    let it = it.unwrap();
    assert_eq!(it.config.as_str(), r#"{"n":1.10,"deep":{"a":[1,null]}}"#);
    assert_eq!(it.timeout_ms, 500);
    let fallback: Vec<_> = it.fallback.iter().map(ExtensionId::as_str).collect();
    assert_eq!(fallback, ["b", "a"], "in order of preference");
}

#[test]
fn what_metadata_say_of_calls_is_a_fault_only_when_written() {
    let metadata = r#"{"metadata":{"stream":{"gap_ms":0},"fallback_on":"never"}}"#;
    assert!(extension(metadata).is_ok());
    let fields = with(EXTENSION, AN_EXTENSION, metadata);
    let refused = Gate::strict(&policy()).extension(&fields).unwrap_err();
    assert_eq!(
        describe(&refused),
        "`metadata` `fallback_on` must be `open`; `metadata` `stream.gap_ms` must be a whole number \
         from 1 to 3600000"
    );
}

//! The gate: every fault named, all at once; limits cut; what is left out has its default.

use super::*;
use crate::domain::subject::Subject;
use crate::domain::testing::policy;

const VALID: ExtensionDraft<'_> = ExtensionDraft {
    id: "x",
    kind: "pre",
    subject: "beamline.ext.x",
    timeout_ms: None,
    retry: None,
    enabled: None,
    auto_disabled: false,
    version: None,
    config: None,
    metadata: None,
    fallback: None,
    routing_rules: None,
    rollout: None,
    circuit_breaker: None,
};

fn valid_version() -> VersionDraft<'static> {
    VersionDraft {
        version: "v2",
        subject: "beamline.ext.x.v2",
        ..VersionDraft::default()
    }
}

fn valid_instance() -> InstanceDraft<'static> {
    InstanceDraft {
        instance_id: "i1",
        subject: "beamline.ext.x.i1",
        ..InstanceDraft::default()
    }
}

/// The field at fault, a part of its rule, and how to spoil a valid draft accordingly.
type Case<D> = (&'static str, &'static str, fn(&mut D));

/// Exactly one fault, of this field, by this rule.
#[track_caller]
fn check<T: fmt::Debug>(checked: Checked<T>, field: &str, rule: &str) {
    let faults = checked.unwrap_err();
    assert_eq!(faults.len(), 1, "{}", describe(&faults));
    assert_eq!(faults[0].field, field);
    assert!(faults[0].rule.contains(rule), "{}", faults[0].rule);
}

#[test]
fn each_field_of_an_extension_names_its_rule() {
    let table: [Case<ExtensionDraft<'_>>; 20] = [
        ("id", "must match", |d| d.id = "a.b"),
        ("id", "not be `health`", |d| d.id = "health"),
        ("type", "one of pre", |d| d.kind = "PRE"),
        ("subject", "is empty", |d| d.subject = ""),
        ("subject", "wildcard", |d| d.subject = "beamline.ext.>"),
        ("subject", "allowed subjects (b", |d| d.subject = "a.b"),
        ("subject", "reserved", |d| d.subject = "$JS.API.x"),
        ("timeout_ms", "a whole number from 1 to 120000", |d| {
            d.timeout_ms = Some(0)
        }),
        ("retry", "a whole number from 0 to 10", |d| {
            d.retry = Some(-1)
        }),
        ("version", "must match", |d| d.version = Some("v 1")),
        ("config", "JSON object", |d| d.config = Some("[]")),
        ("metadata", "JSON object", |d| d.metadata = Some("1")),
        ("fallback", "list of ids", |d| d.fallback = Some("{}")),
        ("fallback", "list of ids", |d| d.fallback = Some("[1]")),
        ("fallback", "must match", |d| {
            d.fallback = Some(r#"["a.b"]"#)
        }),
        ("routing_rules", "`a`", |d| {
            d.routing_rules = Some(r#"{"a":{}}"#)
        }),
        ("rollout", "`by`", |d| d.rollout = Some(r#"{"percent":1}"#)),
        ("circuit_breaker", "object", |d| {
            d.circuit_breaker = Some("{")
        }),
        ("circuit_breaker", "`failure_threshold` must", |d| {
            d.circuit_breaker = Some(r#"{"failure_threshold":0}"#)
        }),
        ("circuit_breaker", "`threshold` is not", |d| {
            d.circuit_breaker = Some(r#"{"threshold":5,"enabled":true}"#)
        }),
    ];
    for (field, rule, spoil) in table {
        let mut draft = VALID;
        spoil(&mut draft);
        check(draft.check(&policy()), field, rule);
    }
}

#[test]
fn each_field_of_a_version_names_its_rule() {
    let table: [Case<VersionDraft<'_>>; 14] = [
        ("version", "must match", |d| d.version = ""),
        ("subject", "allowed", |d| d.subject = "x"),
        ("timeout_ms", "a whole number from 1 to 120000", |d| {
            d.timeout_ms = Some(-5)
        }),
        ("retry", "a whole number from 0 to 10", |d| {
            d.retry = Some(i64::MIN)
        }),
        ("config", "JSON object", |d| d.config = Some("\"{}\"")),
        ("config", "the key `a.b` twice", |d| {
            d.config = Some(r#"{"a":{"b":1,"c":2,"b":3}}"#)
        }),
        ("metadata", "JSON object", |d| d.metadata = Some("")),
        ("metadata", "`max_in_flight` must be a whole", |d| {
            d.metadata = Some(r#"{"max_in_flight":"1"}"#)
        }),
        ("metadata", "the key `max_in_flight` twice", |d| {
            d.metadata = Some(r#"{"max_in_flight":5,"max_in_flight":1}"#)
        }),
        ("routing_rules", "the key `tenant_id` twice", |d| {
            d.routing_rules = Some(r#"{"tenant_id":"a","tenant_id":"b"}"#)
        }),
        ("rollout", "the key `percent` twice", |d| {
            d.rollout = Some(r#"{"by":"t","percent":1,"percent":99}"#)
        }),
        ("routing_rules", "object", |d| d.routing_rules = Some("[]")),
        ("rollout", "JSON object", |d| d.rollout = Some("50")),
        ("priority", "from -2147483648 to 2147483647", |d| {
            d.priority = Some(1 << 31)
        }),
    ];
    for (field, rule, spoil) in table {
        let mut draft = valid_version();
        spoil(&mut draft);
        check(draft.check(&policy()), field, rule);
    }
}

#[test]
fn each_field_of_an_instance_names_its_rule() {
    let table: [Case<InstanceDraft<'_>>; 5] = [
        ("instance_id", "must match", |d| d.instance_id = "-"),
        ("version", "must match", |d| d.version = Some("*")),
        ("subject", "empty token", |d| d.subject = "beamline.ext..x"),
        ("weight", "from 0 to 100", |d| d.weight = Some(101)),
        ("weight", "from 0 to 100", |d| d.weight = Some(-1)),
    ];
    for (field, rule, spoil) in table {
        let mut draft = valid_instance();
        spoil(&mut draft);
        let current = VersionName::parse("v1").unwrap();
        check(draft.check(&current, &policy()), field, rule);
    }
}

#[test]
fn the_number_of_fallbacks_is_bounded() {
    for (count, valid) in [(0, true), (16, true), (17, false)] {
        let list = format!("[{}]", vec![r#""a""#; count].join(","));
        let draft = ExtensionDraft {
            fallback: Some(&list),
            ..VALID
        };
        match draft.check(&policy()) {
            Ok(extension) if valid => assert_eq!(extension.fallback.len(), count),
            checked => check(checked, "fallback", "at most 16"),
        }
    }
}

#[test]
fn all_faults_are_listed_at_once_in_the_order_of_the_fields() {
    let bad = ExtensionDraft {
        id: "",
        kind: "",
        subject: "",
        timeout_ms: Some(0),
        retry: Some(-1),
        version: Some(""),
        config: Some(""),
        metadata: Some(""),
        fallback: Some(""),
        routing_rules: Some(""),
        rollout: Some(""),
        circuit_breaker: Some(""),
        ..VALID
    };
    let faults = bad.check(&policy()).unwrap_err();
    let fields: Vec<_> = faults.iter().map(|fault| fault.field).collect();
    assert_eq!(
        fields,
        "id type subject timeout_ms retry version config metadata fallback routing_rules rollout \
         circuit_breaker"
            .split(' ')
            .collect::<Vec<_>>()
    );
    assert!(describe(&faults[..2]).starts_with("`id` must match"));
    assert!(describe(&faults[..2]).contains("; `type` must be one of"));
    // A fault of an optional field alone is no less a fault than one beside a required field.
    let optional = VersionDraft {
        config: Some("x"),
        rollout: Some("x"),
        ..valid_version()
    };
    assert_eq!(optional.check(&policy()).unwrap_err().len(), 2);
}

#[test]
fn what_is_left_out_or_null_has_its_default() {
    let null = Some(" null ");
    let nulls = ExtensionDraft {
        config: null,
        metadata: null,
        fallback: null,
        routing_rules: null,
        rollout: null,
        circuit_breaker: null,
        ..VALID
    };
    let extension = VALID.check(&policy()).unwrap();
    assert_eq!(nulls.check(&policy()).unwrap(), extension);
    assert_eq!((extension.timeout_ms, extension.retry), (5000, 1));
    assert_eq!(
        (extension.enabled, extension.version.as_str()),
        (true, "v1")
    );
    assert_eq!(
        (extension.config.as_str(), extension.metadata.as_str()),
        ("{}", "{}")
    );
    assert!(extension.fallback.is_empty() && extension.routing_rules.is_none());
    assert!(extension.rollout.is_none() && extension.circuit_breaker.is_none());

    let version = VersionDraft {
        config: null,
        rollout: null,
        routing_rules: null,
        ..valid_version()
    };
    let version = version.check(&policy()).unwrap();
    assert!(version.timeout_ms.is_none() && version.retry.is_none());
    assert!(version.config.is_none() && version.metadata.is_none());
    assert_eq!(version.priority, 0);

    let current = VersionName::parse("v7").unwrap();
    let instance = valid_instance().check(&current, &policy()).unwrap();
    assert_eq!(
        (instance.version, instance.weight, instance.enabled),
        (current, 100, true)
    );
}

#[test]
fn a_version_without_rules_and_rollout_has_to_be_enabled_by_hand() {
    let rules = Some(r#"{"tenant_id":"acme"}"#);
    let rollout = Some(r#"{"by":"tenant_id","percent":10}"#);
    for (routing_rules, rollout, enabled, expected) in [
        (None, None, None, false),
        (Some("{}"), None, None, false),
        (Some("null"), Some("null"), None, false),
        (rules, None, None, true),
        (None, rollout, None, true),
        (rules, rollout, Some(false), false),
        (None, None, Some(true), true),
    ] {
        let draft = VersionDraft {
            routing_rules,
            rollout,
            enabled,
            ..valid_version()
        };
        let version = draft.check(&policy()).unwrap();
        assert_eq!(
            version.enabled, expected,
            "{routing_rules:?} {rollout:?} {enabled:?}"
        );
    }
}

#[test]
fn values_beyond_the_limits_are_cut_to_them() {
    let beyond = ExtensionDraft {
        timeout_ms: Some(120_001),
        retry: Some(i64::MAX),
        ..VALID
    };
    let extension = beyond.check(&policy()).unwrap();
    assert_eq!((extension.timeout_ms, extension.retry), (120_000, 10));
    let within = ExtensionDraft {
        timeout_ms: Some(120_000),
        retry: Some(0),
        ..VALID
    };
    let extension = within.check(&policy()).unwrap();
    assert_eq!((extension.timeout_ms, extension.retry), (120_000, 0));
    let beyond = VersionDraft {
        timeout_ms: Some(i64::MAX),
        retry: Some(11),
        ..valid_version()
    };
    let version = beyond.check(&policy()).unwrap();
    assert_eq!(
        (version.timeout_ms, version.retry),
        (Some(120_000), Some(10))
    );
}

#[test]
fn valid_fields_come_through_unchanged() {
    let config = r#"{"n": 1.10, "deep": {"a": [1, null]}}"#;
    let draft = ExtensionDraft {
        config: Some(config),
        fallback: Some(r#"["b","a"]"#),
        auto_disabled: true,
        enabled: Some(false),
        version: Some("2.1.0"),
        ..VALID
    };
    let extension = draft.check(&policy()).unwrap();
    assert_eq!(
        extension.config.as_str(),
        r#"{"n":1.10,"deep":{"a":[1,null]}}"#
    );
    let fallback: Vec<_> = extension.fallback.iter().map(ExtensionId::as_str).collect();
    assert_eq!(fallback, ["b", "a"], "in order of preference");
    assert!(extension.auto_disabled && !extension.enabled);
    assert_eq!(extension.subject, Subject::parse("beamline.ext.x").unwrap());
}

#[test]
fn what_is_beyond_the_limits_is_cut_and_said() {
    let draft = ExtensionDraft {
        id: "x",
        kind: "pre",
        subject: "beamline.ext.x",
        timeout_ms: Some(i64::MAX),
        retry: Some(11),
        ..ExtensionDraft::default()
    };
    let extension = draft.check(&policy()).unwrap();
    assert_eq!((extension.timeout_ms, extension.retry), (120_000, 10));
    let cuts: Vec<_> = extension.all_cuts().collect();
    let expected = [
        "`timeout_ms` 4294967295 is cut to 120000",
        "`retry` 11 is cut to 10",
    ];
    assert_eq!(cuts, expected);
    let version = VersionDraft {
        version: "v2",
        subject: "beamline.ext.x.v2",
        retry: Some(12),
        ..VersionDraft::default()
    };
    let versions = vec![version.check(&policy()).unwrap()];
    let cuts = crate::domain::extension::Extension {
        versions,
        cuts: vec![],
        ..extension
    };
    let cuts: Vec<_> = cuts.all_cuts().collect();
    assert_eq!(cuts, ["version v2: `retry` 12 is cut to 10"]);
}

//! What each command does to a record, and what it must not.

use super::*;
use crate::domain::ids::VersionName;
use crate::domain::policy::Policy;
use crate::domain::subject::SubjectPattern;

fn policy() -> Policy {
    Policy {
        allowed_subjects: vec![SubjectPattern::parse("ext.>").unwrap()],
        forbidden_prefixes: vec!["$".into()],
        max_timeout_ms: 1000,
        max_retries: 3,
    }
}

fn own() -> ExtensionFields {
    ExtensionFields {
        id: "x".into(),
        kind: "pre".into(),
        subject: "ext.x".into(),
        timeout_ms: Some(100),
        retry: Some(1),
        enabled: Some(true),
        version: Some("v1".into()),
        config: Some(r#"{"a":1}"#.into()),
        ..ExtensionFields::default()
    }
}

fn row(version: &str) -> VersionFields {
    VersionFields {
        version: version.into(),
        subject: format!("ext.x.{version}"),
        enabled: Some(true),
        ..VersionFields::default()
    }
}

/// At revision 7, with `versions` besides the current one.
fn stored(versions: Vec<VersionFields>) -> StoredRecord {
    StoredRecord {
        extension: own(),
        versions,
        instances: Vec::new(),
        revision: 7,
    }
}

fn planned(record: &StoredRecord, command: &Command) -> Result<Plan, EditError> {
    plan(Some(record), command, None, &policy())
}

fn version(name: &str) -> VersionName {
    VersionName::parse(name).unwrap()
}

/// The columns that a plan writes.
fn written(plan: &Plan) -> &ExtensionColumns {
    let mut written = plan.steps.iter().filter_map(|step| match step {
        Step::Update(columns) => Some(columns),
        _ => None,
    });
    written.next().unwrap()
}

fn faults(planned: Result<Plan, EditError>) -> Vec<&'static str> {
    match planned {
        Err(EditError::Invalid(faults)) => faults.iter().map(|fault| fault.field).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_extension_is_created_once_with_defaults() {
    let fields = ExtensionFields {
        timeout_ms: None,
        version: None,
        enabled: None,
        ..own()
    };
    let create = Command::Create(Box::new(fields));
    let made = plan(None, &create, None, &policy()).unwrap();
    let [Step::Insert(extension)] = &made.steps[..] else {
        panic!("{made:?}");
    };
    assert_eq!(
        (extension.timeout_ms, extension.enabled),
        (1000, true),
        "the default, cut"
    );
    assert_eq!(extension.version, version("v1"));
    assert_eq!(
        planned(&stored(vec![]), &create),
        Err(EditError::AlreadyExists)
    );
}

#[test]
fn nothing_but_a_creation_makes_an_extension() {
    for command in [
        Command::Update(Box::default()),
        Command::Delete,
        Command::Enable,
        Command::Promote(version("v2")),
        Command::PutVersion(Box::new(row("v2"))),
    ] {
        let planned = plan(None, &command, None, &policy());
        assert_eq!(planned, Err(EditError::NotFound), "{command:?}");
    }
}

#[test]
fn a_change_meant_for_another_revision_is_a_conflict() {
    let record = stored(vec![]);
    for (if_revision, conflicts) in [
        (None, false),
        (Some(7), false),
        (Some(6), true),
        (Some(8), true),
    ] {
        let planned = plan(Some(&record), &Command::Disable, if_revision, &policy());
        assert_eq!(
            planned == Err(EditError::Conflict(7)),
            conflicts,
            "{if_revision:?}"
        );
    }
}

#[test]
fn an_update_changes_what_it_names_and_null_is_the_default() {
    let patch = ExtensionPatch {
        retry: Some(Some(3)),
        config: Some(None),
        ..ExtensionPatch::default()
    };
    let planned = planned(&stored(vec![]), &Command::Update(Box::new(patch))).unwrap();
    let expected = ExtensionColumns {
        retry: Some(3),
        config: Some("{}".into()),
        ..ExtensionColumns::default()
    };
    assert_eq!(written(&planned), &expected, "and no other column");
    assert_eq!(planned.action, None, "the triggers name it");
}

#[test]
fn limits_are_checked_where_rows_would_be_cut() {
    let patch = ExtensionPatch {
        timeout_ms: Some(Some(1001)),
        retry: Some(Some(4)),
        subject: Some(None),
        ..ExtensionPatch::default()
    };
    let update = Command::Update(Box::new(patch));
    let fields = faults(planned(&stored(vec![]), &update));
    assert_eq!(fields, ["subject", "timeout_ms", "retry"]);
}

#[test]
fn values_beyond_the_limits_bind_only_who_names_them() {
    let mut record = stored(vec![]);
    record.extension.timeout_ms = Some(5000);
    let patch = ExtensionPatch {
        retry: Some(Some(2)),
        ..ExtensionPatch::default()
    };
    let update = planned(&record, &Command::Update(Box::new(patch))).unwrap();
    assert_eq!(written(&update).timeout_ms, None, "stays as it is");
    assert!(planned(&record, &Command::Enable).is_ok());
}

#[test]
fn people_take_back_what_the_machine_did() {
    let mut record = stored(vec![]);
    record.extension.auto_disabled = true;
    for (command, action, enabled, auto_disabled) in [
        (Command::Enable, Some("enabled"), true, false),
        (Command::Disable, None, false, true),
    ] {
        let steps = vec![Step::Switch {
            enabled,
            auto_disabled,
        }];
        assert_eq!(planned(&record, &command), Ok(Plan { action, steps }));
    }
}

/// CASES.md D16.
#[test]
fn enabling_what_serves_already_resets_its_circuits_everywhere() {
    let enabled = planned(&stored(vec![]), &Command::Enable).unwrap();
    assert_eq!(enabled.steps, [Step::ResetCircuits]);
}

#[test]
fn what_is_broken_can_be_switched_off_but_not_on() {
    let mut record = stored(vec![]);
    record.extension.subject = "elsewhere".into();
    record.extension.timeout_ms = Some(-1);
    assert!(planned(&record, &Command::Disable).is_ok());
    let enabled = planned(&record, &Command::Enable);
    assert_eq!(faults(enabled), ["subject", "timeout_ms"]);
}

#[test]
fn numbers_and_sizes_that_would_explode_are_refused() {
    let with = |config: String| {
        let fields = VersionFields {
            config: Some(config),
            ..row("v2")
        };
        planned(&stored(vec![]), &Command::PutVersion(Box::new(fields)))
    };
    assert_eq!(faults(with(r#"{"a":1e131071}"#.into())), ["config"]);
    let large = format!("{{\"a\":[1{}]}}", ",1e999".repeat(1000));
    assert!(matches!(with(large), Err(EditError::TooLarge(_))));
}

#[test]
fn a_row_of_the_current_version_is_enabled_unless_it_says_otherwise() {
    for (name, enabled, expected) in [
        ("v1", None, true),
        ("v1", Some(false), false),
        ("v2", None, false),
    ] {
        let fields = VersionFields {
            enabled,
            ..row(name)
        };
        let planned = planned(&stored(vec![]), &Command::PutVersion(Box::new(fields))).unwrap();
        let [Step::PutVersion(version)] = &planned.steps[..] else {
            panic!("{planned:?}");
        };
        assert_eq!(version.enabled, expected, "{name} {enabled:?}");
    }
}

#[test]
fn a_promotion_swaps_the_versions_and_switches_the_others_off() {
    let v2 = VersionFields {
        timeout_ms: Some(200),
        routing_rules: Some(r#"{"tenant_id":"acme"}"#.into()),
        ..row("v2")
    };
    let canary = VersionFields {
        rollout: Some(r#"{"by":"tenant_id","percent":5}"#.into()),
        ..row("v4")
    };
    let record = stored(vec![v2, row("v3"), canary]);
    let planned = planned(&record, &Command::Promote(version("v2"))).unwrap();
    assert_eq!(planned.action, Some("promoted"));
    let columns = ExtensionColumns {
        subject: Some("ext.x.v2".into()),
        version: Some("v2".into()),
        timeout_ms: Some(200),
        ..ExtensionColumns::default()
    };
    let steps = vec![
        Step::FillInstances(version("v1")),
        Step::KeepCurrent,
        // Null is the extension's own, and so are the rules: the row's said who was to try it.
        Step::Update(Box::new(columns)),
        Step::Remember(version("v2")),
        Step::DeleteVersion(version("v2")),
        // v4 has a rollout and stays.
        Step::DisableVersion("v3".into()),
    ];
    assert_eq!(planned.steps, steps);
}

#[test]
fn the_way_back_restores_what_was_written_out() {
    let kept = VersionFields {
        subject: "ext.x.old".into(),
        timeout_ms: Some(50),
        config: Some("{}".into()),
        metadata: Some("null".into()),
        enabled: Some(false),
        ..row("v0")
    };
    let planned = planned(&stored(vec![kept]), &Command::Promote(version("v0"))).unwrap();
    let columns = ExtensionColumns {
        subject: Some("ext.x.old".into()),
        version: Some("v0".into()),
        timeout_ms: Some(50),
        config: Some("{}".into()),
        ..ExtensionColumns::default()
    };
    assert_eq!(written(&planned), &columns, "an empty one is no null");
}

#[test]
fn promoting_the_current_version_is_nothing_and_an_unknown_one_an_error() {
    let record = stored(vec![]);
    let planned_current = planned(&record, &Command::Promote(version("v1"))).unwrap();
    assert_eq!(planned_current.steps, []);
    let unknown = planned(&record, &Command::Promote(version("v9")));
    assert_eq!(unknown, Err(EditError::VersionNotFound(version("v9"))));
}

#[test]
fn parts_belong_to_what_there_is() {
    let record = stored(vec![row("v2")]);
    let on = |name: Option<&str>| {
        Command::PutInstance(InstanceFields {
            instance_id: "a".into(),
            version: name.map(str::to_owned),
            subject: "ext.x.a".into(),
            ..InstanceFields::default()
        })
    };
    for (name, expected) in [(None, "v1"), (Some("v1"), "v1"), (Some("v2"), "v2")] {
        let planned = planned(&record, &on(name)).unwrap();
        let [Step::PutInstance(instance)] = &planned.steps[..] else {
            panic!("{planned:?}");
        };
        assert_eq!(instance.version, version(expected));
    }
    assert_eq!(
        planned(&record, &on(Some("v9"))),
        Err(EditError::VersionNotFound(version("v9")))
    );
    assert_eq!(
        planned(&record, &Command::DeleteVersion(version("v1"))),
        Err(EditError::CurrentVersion)
    );
    assert!(planned(&record, &Command::DeleteVersion(version("v2"))).is_ok());
}

#[test]
fn a_record_has_a_bounded_number_of_parts() {
    let many: Vec<_> = (0..100).map(|n| row(&format!("w{n}"))).collect();
    let record = stored(many);
    let another = planned(&record, &Command::PutVersion(Box::new(row("v2"))));
    assert!(matches!(another, Err(EditError::Invalid(_))), "{another:?}");
    let known = planned(&record, &Command::PutVersion(Box::new(row("w5"))));
    assert!(known.is_ok(), "replacing one adds none");
}

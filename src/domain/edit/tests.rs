//! What each command does to a record, and what it must not.

use super::*;
use crate::domain::ids::VersionName;
use crate::domain::policy::Policy;
use crate::domain::record::{
    self, EXTENSION, Fields, INSTANCE, MAX_RECORD_BYTES, Record, VERSION, Value,
};
use crate::domain::rollout::Member;
use crate::domain::subject::SubjectPattern;
use crate::domain::testing::said;

fn policy() -> Policy {
    Policy {
        allowed_subjects: vec![SubjectPattern::parse("ext.>").unwrap()],
        forbidden_prefixes: vec!["$".into()],
        max_timeout_ms: 1000,
        max_retries: 3,
    }
}

const OWN: &str = r#"{"id":"x","type":"pre","subject":"ext.x","timeout_ms":100,"retry":1,"enabled":true,
    "version":"v1","config":{"a":1}}"#;

/// The extension's own fields from `json`.
fn own(json: &str) -> Fields<'static> {
    said(EXTENSION, json)
}

/// A row of a version, with more fields from `json`.
fn row(version: &str, json: &str) -> Fields<'static> {
    let plain = format!(r#"{{"version":"{version}","subject":"ext.x.{version}","enabled":true}}"#);
    said(VERSION, &plain).with(&said(VERSION, json))
}

/// At revision 7, with `versions` besides the current one.
fn stored(versions: Vec<Fields<'static>>) -> Stored {
    Stored {
        record: Record {
            own: own(OWN),
            versions,
            instances: Vec::new(),
        },
        revision: 7,
    }
}

fn update(json: &str) -> Command {
    Command::Update(own(json))
}

fn planned(record: &Stored, command: &Command) -> Result<Plan, EditError> {
    plan(Some(record), command, None, &policy())
}

fn version(name: &str) -> VersionName {
    VersionName::parse(name).unwrap()
}

/// The fields that a plan writes, as JSON.
fn written(plan: &Plan) -> String {
    let written = plan.steps.iter().find_map(|step| match step {
        Step::Update(fields) => Some(fields),
        _ => None,
    });
    serde_json::to_string(written.unwrap()).unwrap()
}

fn faults(planned: Result<Plan, EditError>) -> Vec<&'static str> {
    match planned {
        Err(EditError::Invalid(faults)) => faults.iter().map(|fault| fault.field).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_extension_is_created_once_with_defaults() {
    let create = Command::Create(own(r#"{"id":"x","type":"pre","subject":"ext.x"}"#));
    let made = plan(None, &create, None, &policy()).unwrap();
    let [Step::Insert(fields)] = &made.steps[..] else {
        panic!("{made:?}");
    };
    assert_eq!(
        *fields.get("timeout_ms"),
        Value::Number(1000),
        "the default, cut"
    );
    assert_eq!(*fields.get("enabled"), Value::Switch(true));
    assert_eq!(fields.text("version"), Some("v1"));
    assert_eq!(
        planned(&stored(vec![]), &create),
        Err(EditError::AlreadyExists)
    );
}

#[test]
fn nothing_but_a_creation_makes_an_extension() {
    for command in [
        update("{}"),
        Command::Delete,
        Command::Enable,
        Command::Promote(version("v2")),
        Command::PutVersion(row("v2", "{}")),
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
    let update = update(r#"{"retry":3,"config":null,"fallback":null}"#);
    let planned = planned(&stored(vec![]), &update).unwrap();
    let expected = r#"{"retry":3,"config":{},"fallback":null}"#;
    assert_eq!(written(&planned), expected, "and no other field");
    assert_eq!(planned.action, None, "the triggers name it");
}

#[test]
fn limits_are_checked_where_rows_would_be_cut() {
    let update = update(r#"{"subject":null,"timeout_ms":1001,"retry":4}"#);
    let fields = faults(planned(&stored(vec![]), &update));
    assert_eq!(fields, ["subject", "timeout_ms", "retry"]);
}

#[test]
fn values_beyond_the_limits_bind_only_who_names_them() {
    let mut record = stored(vec![]);
    record.record.own.set("timeout_ms", Value::Number(5000));
    let update = planned(&record, &update(r#"{"retry":2}"#)).unwrap();
    assert_eq!(
        written(&update),
        r#"{"retry":2}"#,
        "the rest stays as it is"
    );
    assert!(planned(&record, &Command::Enable).is_ok());
}

#[test]
fn people_take_back_what_the_machine_did() {
    let mut record = stored(vec![]);
    record.record.own.set("auto_disabled", Value::Switch(true));
    let switch = |enabled, auto_disabled| Step::Switch {
        enabled,
        auto_disabled,
    };
    let on = vec![switch(true, false), Step::ResetCircuits];
    for (command, action, steps) in [
        (Command::Enable, Some("enabled"), on),
        (Command::Disable, None, vec![switch(false, true)]),
    ] {
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
    record
        .record
        .own
        .set("subject", Value::Text("elsewhere".into()));
    record.record.own.set("timeout_ms", Value::Number(-1));
    assert!(planned(&record, &Command::Disable).is_ok());
    let enabled = planned(&record, &Command::Enable);
    assert_eq!(faults(enabled), ["subject", "timeout_ms"]);
}

#[test]
fn numbers_and_sizes_that_would_explode_are_refused() {
    let with = |config: &str| {
        let row = row("v2", &format!(r#"{{"config":{config}}}"#));
        planned(&stored(vec![]), &Command::PutVersion(row))
    };
    assert_eq!(faults(with(r#"{"a":1e131071}"#)), ["config"]);
    let large = format!("{{\"a\":[1{}]}}", ",1e999".repeat(1000));
    assert!(matches!(with(&large), Err(EditError::TooLarge(_))));
}

#[test]
fn a_record_that_is_too_large_may_only_shrink() {
    let of = |bytes: usize| {
        let mut stored = stored(vec![]);
        let config = format!("{{\"a\":\"{}\"}}", "x".repeat(bytes));
        stored.record.own.set("config", Value::Json(config.into()));
        stored
    };
    let to = |bytes: usize| {
        Command::Update(
            of(bytes)
                .record
                .own
                .without("id")
                .without("type")
                .without("version"),
        )
    };
    for (before, after, refused) in [
        (1, 500_000, false),
        (1, 600_000, true),
        (700_000, 600_000, false),
    ] {
        let planned = planned(&of(before), &to(after));
        let too_large = matches!(planned, Err(EditError::TooLarge(_)));
        assert_eq!(too_large, refused, "{before} {after}");
    }
    // To the byte; an instance that takes the place of another adds nothing.
    let instance = said(INSTANCE, r#"{"instance_id":"i","subject":"ext.x.i"}"#);
    let put = Command::PutInstance(instance.clone());
    let mut smallest = of(0).record;
    smallest.instances.push(instance.clone());
    let most = MAX_RECORD_BYTES - record::size(&smallest);
    for (bytes, refused) in [(most, false), (most + 1, true)] {
        let planned = planned(&of(bytes), &put);
        let too_large = matches!(planned, Err(EditError::TooLarge(_)));
        assert_eq!(too_large, refused, "{bytes}");
    }
    let mut large = of(700_000);
    large.record.instances.push(instance);
    assert!(planned(&large, &put).is_ok());
}

#[test]
fn a_row_of_the_current_version_is_enabled_unless_it_says_otherwise() {
    for (name, enabled, expected) in [
        ("v1", "null", true),
        ("v1", "false", false),
        ("v2", "null", false),
    ] {
        let row = row(name, &format!(r#"{{"enabled":{enabled}}}"#));
        let planned = planned(&stored(vec![]), &Command::PutVersion(row)).unwrap();
        let [Step::PutVersion(version)] = &planned.steps[..] else {
            panic!("{planned:?}");
        };
        assert_eq!(
            *version.get("enabled"),
            Value::Switch(expected),
            "{name} {enabled}"
        );
    }
}

#[test]
fn a_promotion_swaps_the_versions_and_switches_the_others_off() {
    let v2 = row(
        "v2",
        r#"{"timeout_ms":200,"routing_rules":{"tenant_id":"acme"}}"#,
    );
    let canary = row("v4", r#"{"rollout":{"by":"tenant_id","percent":5}}"#);
    let record = stored(vec![v2, row("v3", "{}"), canary]);
    let planned = planned(&record, &Command::Promote(version("v2"))).unwrap();
    assert_eq!(planned.action, Some("promoted"));
    // Null is the extension's own, and so are the rules: the row's decided which requests tried it.
    let promoted = r#"{"version":"v2","subject":"ext.x.v2","timeout_ms":200}"#;
    assert_eq!(written(&planned), promoted);
    let steps = vec![
        Step::FillInstances(version("v1")),
        Step::KeepCurrent,
        Step::Update(own(promoted)),
        Step::Remember(version("v2")),
        Step::TakeRow(version("v2")),
        // v4 has a rollout and stays.
        Step::DisableVersion("v3".into()),
    ];
    assert_eq!(planned.steps.len(), steps.len());
    let others = |steps: &[Step]| -> Vec<Step> {
        let updates = |step: &&Step| !matches!(step, Step::Update(_));
        steps.iter().filter(updates).cloned().collect()
    };
    assert_eq!(others(&planned.steps), others(&steps));
    assert!(matches!(planned.steps[2], Step::Update(_)));
}

#[test]
fn the_way_back_restores_what_was_written_out() {
    let kept =
        r#"{"subject":"ext.x.old","timeout_ms":50,"config":{},"metadata":null,"enabled":false}"#;
    let record = stored(vec![row("v0", kept)]);
    let planned = planned(&record, &Command::Promote(version("v0"))).unwrap();
    assert_eq!(
        written(&planned),
        r#"{"version":"v0","subject":"ext.x.old","timeout_ms":50,"config":{}}"#,
        "an empty one is no null"
    );
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
    let record = stored(vec![row("v2", "{}")]);
    let on = |name: Option<&str>| {
        let mut fields = said(INSTANCE, r#"{"instance_id":"a","subject":"ext.x.a"}"#);
        fields.set(
            "version",
            name.map_or(Value::Unset, |name| Value::Text(name.to_owned().into())),
        );
        Command::PutInstance(fields)
    };
    for (name, expected) in [(None, "v1"), (Some("v1"), "v1"), (Some("v2"), "v2")] {
        let planned = planned(&record, &on(name)).unwrap();
        let [Step::PutInstance(instance)] = &planned.steps[..] else {
            panic!("{planned:?}");
        };
        assert_eq!(instance.text("version"), Some(expected));
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
    let many: Vec<_> = (0..100).map(|n| row(&format!("w{n}"), "{}")).collect();
    let record = stored(many);
    let another = planned(&record, &Command::PutVersion(row("v2", "{}")));
    assert!(matches!(another, Err(EditError::Invalid(_))), "{another:?}");
    let known = planned(&record, &Command::PutVersion(row("w5", "{}")));
    assert!(known.is_ok(), "replacing one adds none");
}

/// The row that a plan puts, as JSON.
fn put(plan: &Plan) -> serde_json::Value {
    let [Step::PutVersion(row)] = &plan.steps[..] else {
        panic!("{plan:?}");
    };
    serde_json::to_value(row).unwrap()
}

#[test]
fn an_update_of_a_version_leaves_the_rest_as_it_is_stored() {
    let v2 = row("v2", r#"{"timeout_ms":5000,"config":{"a":1},"priority":3}"#);
    let record = stored(vec![v2]);
    let change = |json: &str| Command::UpdateVersion(version("v2"), said(VERSION, json));
    let planned_row = planned(&record, &change(r#"{"retry":2,"config":null}"#)).unwrap();
    let row = put(&planned_row);
    assert_eq!(row["retry"], 2);
    assert_eq!(
        row["config"],
        serde_json::Value::Null,
        "the extension's own"
    );
    assert_eq!(
        (&row["timeout_ms"], &row["priority"]),
        (&5000.into(), &3.into())
    );
    let beyond = planned(&record, &change(r#"{"timeout_ms":1001}"#));
    assert_eq!(faults(beyond), ["timeout_ms"], "a limit binds who names it");
    let unknown = Command::UpdateVersion(version("v9"), said(VERSION, "{}"));
    assert_eq!(
        planned(&record, &unknown),
        Err(EditError::VersionNotFound(version("v9")))
    );
    for current in [
        Command::UpdateVersion(version("v1"), said(VERSION, r#"{"retry":2}"#)),
        Command::Share(version("v1"), Share(vec![(Member::Percent, "1".into())])),
    ] {
        assert_eq!(planned(&record, &current), Err(EditError::NoRow));
    }
}

#[test]
fn a_share_keeps_the_rest_of_the_rollout() {
    let rollout = r#"{"rollout":{"by":"user_id","percent":5,"salt":"s"}}"#;
    let record = stored(vec![row("v2", rollout), row("v3", "{}"), row("v1", "{}")]);
    let share = |name: &str, members: &[(Member, &str)]| {
        let members = members
            .iter()
            .map(|(member, json)| (*member, (*json).to_owned()));
        let share = Command::Share(version(name), Share(members.collect()));
        planned(&record, &share).map(|plan| put(&plan)["rollout"].clone())
    };
    let wider = share("v2", &[(Member::Percent, "12.5")]).unwrap();
    assert_eq!(
        wider.to_string(),
        r#"{"by":"user_id","percent":12.5,"salt":"s"}"#
    );
    let halting = [(Member::Percent, "10"), (Member::Halt, "{}")];
    assert_eq!(
        share("v2", &halting).unwrap().to_string(),
        r#"{"by":"user_id","halt":{},"percent":10,"salt":"s"}"#
    );
    let first = share("v3", &[(Member::Percent, "1")]).unwrap();
    assert_eq!(first.to_string(), r#"{"by":"tenant_id","percent":1}"#);
    for (name, member, json) in [
        ("v2", Member::Percent, "101"),
        ("v2", Member::Halt, "7"),
        ("v2", Member::Salt, "2"),
        ("v2", Member::By, r#""""#),
        // What the database could not hold.
        ("v2", Member::By, r#""a\u0000""#),
        ("v2", Member::Percent, "0e99999"),
        // There is no version to give the current version's share to.
        ("v1", Member::Halt, "{}"),
    ] {
        let refused = share(name, &[(member, json)]).unwrap_err();
        let EditError::Invalid(faults) = refused else {
            panic!("{refused:?}")
        };
        assert_eq!(faults[0].field, member.as_str(), "{json}");
    }
    let of_current = r#"{"rollout":{"by":"t","percent":1,"halt":{}}}"#;
    let record = stored(vec![]);
    let halting = Command::UpdateVersion(version("v1"), said(VERSION, of_current));
    assert!(matches!(
        planned(&record, &halting),
        Err(EditError::Invalid(_))
    ));
    let halting = Command::Share(version("v1"), Share(vec![(Member::Halt, "{}".into())]));
    assert!(matches!(
        planned(&record, &halting),
        Err(EditError::Invalid(_))
    ));
    let halting = stored(vec![row("v2", of_current)]);
    let renamed = planned(&halting, &update(r#"{"version":"v2"}"#));
    assert_eq!(faults(renamed), ["version"]);
    planned(&halting, &update(r#"{"retry":2}"#)).unwrap();
}

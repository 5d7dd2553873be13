use super::*;
use crate::domain::testing::{extension, instance as an_instance, rules, version as a_version};

#[test]
fn what_is_not_of_the_definition_makes_no_difference() {
    let (first, mut second) = (extension("a"), extension("a"));
    second.revision = 7;
    second.digest = 9;
    second.auto_disabled = true;
    second.cuts.push("cut".into());
    assert!(same(&first, &second));
    assert_eq!(differences(&first, &second), []);
}

#[test]
fn differences_are_named_by_their_path() {
    let (mut first, mut second) = (extension("a"), extension("a"));
    first.versions = vec![a_version("v2"), a_version("v3")];
    second.versions = vec![a_version("v2"), a_version("v4")];
    second.versions[0].config = Some(JsonObject::default());
    second.instances.push(an_instance("blue"));
    second.retry = 3;
    second.routing_rules = rules(r#"{"tenant_id": "acme"}"#);
    assert!(!same(&first, &second));
    let shown: Vec<_> = differences(&first, &second)
        .into_iter()
        .map(|it| {
            let (old, new) = (it.first.as_deref(), it.second.as_deref());
            format!(
                "{}: {} -> {}",
                it.field,
                old.unwrap_or("-"),
                new.unwrap_or("-")
            )
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
        let (mut first, mut second) = (extension("a"), extension("a"));
        first.config = JsonObject::parse(old).unwrap();
        second.config = JsonObject::parse(new).unwrap();
        let found = differences(&first, &second).into_iter();
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
fn every_json_field_can_be_rewritten() {
    let mut extension = extension("a");
    extension.config = JsonObject::parse(r#"{"a":1}"#).unwrap();
    extension.routing_rules = rules(r#"{"b":2}"#);
    extension.versions = vec![a_version("v2")];
    extension.versions[0].config = Some(JsonObject::parse(r#"{"c":3}"#).unwrap());
    let mut fields = json_fields(&mut extension);
    let texts: Vec<_> = fields.iter().map(|field| field.text().to_owned()).collect();
    assert_eq!(texts, [r#"{"a":1}"#, r#"{"b":2}"#, r#"{"c":3}"#]);
    for field in &mut fields {
        field.rewrite(r#"{"z":0}"#).unwrap();
    }
    assert!(fields.iter().all(|field| field.text() == r#"{"z":0}"#));
    let refused = fields[1].rewrite(r#"{"z":null}"#).unwrap_err();
    assert!(refused.starts_with("a: `routing_rules` "), "{refused}");
    assert!(!refused.contains("null"), "{refused}");
    let refused = fields[2].rewrite("[]").unwrap_err();
    assert_eq!(refused, "a: `versions/v2/config` must be a JSON object");
}

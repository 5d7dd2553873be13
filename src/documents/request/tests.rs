use super::*;
use crate::documents::explain::ExplainArguments;
use crate::documents::health::HealthArguments;
use crate::documents::invoke::InvokeArguments;
use crate::documents::list::{EnabledFilter, ListArguments};
use crate::documents::lookup::{Asked, LookupArguments};
use crate::documents::reload::ReloadArguments;
use crate::documents::stored::GetArguments;
use crate::service::health::StateFilter;

fn reload_arguments(payload: &[u8]) -> Result<ReloadArguments, RegistryError> {
    object_or_bare(payload, "id")
}

fn read(payload: &str, subject_id: Option<&str>) -> Result<String, (Option<String>, String)> {
    looked_up(payload.as_bytes(), subject_id).map_err(|error| match error {
        RegistryError::InvalidRequest { field, message } => (field, message),
        other => panic!("{other:?}"),
    })
}

fn looked_up(payload: &[u8], subject_id: Option<&str>) -> Result<String, RegistryError> {
    let arguments = LookupArguments::read(payload, subject_id)?;
    arguments.context()?;
    let asked = arguments.asked()?;
    Ok(match asked {
        Asked::One(id) => id.to_owned(),
        Asked::Many(ids) => ids.join(" "),
    })
}

/// The id that a verb reads which does not borrow it.
fn one<T: OfOne>(payload: &str, subject_id: Option<&str>) -> Result<Option<String>, RegistryError> {
    let mut read = Read::<T>::of_one(payload.as_bytes(), subject_id)?;
    Ok(read.arguments.id_mut().take())
}

#[test]
fn an_id_may_come_in_three_ways() {
    for (payload, subject_id) in [
        (r#"{"id":"pii_guard"}"#, None),
        ("pii_guard", None),
        ("  pii_guard\n", None),
        ("", Some("pii_guard")),
        ("{}", Some("pii_guard")),
        ("pii_guard", Some("pii_guard")),
        (r#"{"id":"pii_guard","unknown":[1,{}]}"#, Some("pii_guard")),
        (r#" {"id":"pii_guard"} "#, None),
    ] {
        assert_eq!(
            read(payload, subject_id),
            Ok("pii_guard".into()),
            "{payload:?}"
        );
        for one in [
            one::<GetArguments>,
            one::<ExplainArguments>,
            one::<HealthArguments>,
        ] {
            let id = one(payload, subject_id).unwrap();
            assert_eq!(id.as_deref(), Some("pii_guard"), "{payload:?}");
        }
    }
    for payload in ["", "{}"] {
        assert_eq!(one::<HealthArguments>(payload, None), Ok(None));
    }
    one::<HealthArguments>("b", Some("a")).unwrap_err();
}

#[test]
fn what_other_verbs_take_beside_an_id_is_ignored() {
    let payload = r#"{"id":"a","ids":7,"state":7}"#;
    for one in [one::<GetArguments>, one::<ExplainArguments>] {
        assert_eq!(one(payload, None), Ok(Some("a".to_owned())));
    }
    let payload = r#"{"id":"a","version":7,"context":[]}"#;
    for one in [one::<GetArguments>, one::<HealthArguments>] {
        assert_eq!(one(payload, None), Ok(Some("a".to_owned())));
    }
}

#[test]
fn health_is_read_by_state_too() {
    let query = |payload: &str| {
        let read = Read::<HealthArguments>::of_one(payload.as_bytes(), None);
        read.and_then(|read| read.arguments.query())
    };
    let state = query(r#"{"state":"half_open"}"#).unwrap().state;
    assert_eq!(state, StateFilter::parse("half_open"));
    query(r#"{"state":"ajar"}"#).unwrap_err();
}

#[test]
fn errors_name_the_field() {
    for (payload, subject_id, field) in [
        ("", None, Some("id")),
        ("{}", None, Some("id")),
        (r#"{"id":7}"#, None, Some("id")),
        (r#"{"id":"a"}"#, Some("b"), Some("id")),
        ("a", Some("b"), Some("id")),
        (
            r#"{"id":"a","min_revision":-1}"#,
            None,
            Some("min_revision"),
        ),
        (r#"{"id":"a","context":[]}"#, None, Some("context")),
        (r#"{"ids":["a",2]}"#, None, Some("ids[1]")),
        (r#"{"ids":[]}"#, None, Some("ids")),
        (r#"{"ids":["a"]}"#, Some("b"), Some("ids")),
        (r#"{"ids":["a"],"version":"v1"}"#, None, Some("version")),
        (r#"{"id":"a""#, None, None),
        (r#"{"id":"a"} x"#, None, None),
    ] {
        let (named, message) = read(payload, subject_id).unwrap_err();
        assert_eq!(named.as_deref(), field, "{payload}: {message}");
        assert!(!message.is_empty());
    }
    let deep = format!(r#"{{"context":{}1{}}}"#, "[".repeat(500), "]".repeat(500));
    assert!(read(&deep, None).is_err());
    assert!(LookupArguments::read(b"\xff\xfe", None).is_err());
}

#[test]
fn a_value_that_reads_like_the_decoders_own_words_changes_no_rule() {
    for (payload, field, rule) in [
        (
            r#"{"dry_run":"yes at line 1"}"#,
            "dry_run",
            "must be true or false",
        ),
        (
            r#"{"dry_run":"surrogate"}"#,
            "dry_run",
            "must be true or false",
        ),
        (
            r#"{"dry_run":"hex escape, expected a map"}"#,
            "dry_run",
            "must be true or false",
        ),
        (
            r#"{"version":"\ud800"}"#,
            "version",
            "holds half of a surrogate pair",
        ),
    ] {
        let error = InvokeArguments::read(payload.as_bytes(), None).unwrap_err();
        assert_eq!(error, RegistryError::field(field, rule), "{payload}");
    }
    let unknown = reload_arguments(br#"{"x at line 1":"y"}"#).unwrap_err();
    assert_eq!(unknown, RegistryError::field("x at line 1", "is unknown"));
}

#[test]
fn errors_quote_little_of_what_was_sent() {
    let long = "\u{e4}".repeat(100_000);
    for payload in [
        format!(r#"{{"id":"a","min_revision":"{long}"}}"#),
        format!(r#"{{"id":"a","min_revision":{}}}"#, "1".repeat(100_000)),
    ] {
        let (field, message) = read(&payload, None).unwrap_err();
        assert!(message.len() < 1000, "{field:?}: {} bytes", message.len());
    }
    let unknown = format!(r#"{{"{long}":1}}"#);
    let error = reload_arguments(unknown.as_bytes()).unwrap_err();
    assert!(error.to_string().len() < 1000, "{error}");
}

#[test]
fn the_context_keeps_what_rules_can_compare() {
    let payload =
        br#"{"id":"a","context":{"tenant_id":"t","n":1,"b":true,"x":null,"l":[1],"o":{}}}"#;
    let arguments = LookupArguments::read(payload, None).unwrap();
    let context = arguments.context().unwrap();
    for (key, there) in [
        ("tenant_id", true),
        ("n", true),
        ("b", true),
        ("x", false),
        ("l", false),
        ("o", false),
    ] {
        assert_eq!(context.get(key).is_some(), there, "{key}");
    }
}

#[test]
fn the_enabled_filter_has_three_values() {
    let filter = |json: &str| optional_object::<ListArguments>(json.as_bytes()).map(|a| a.enabled);
    assert_eq!(filter("").unwrap(), None);
    assert_eq!(
        filter(r#"{"enabled":false}"#).unwrap(),
        Some(EnabledFilter(Some(false)))
    );
    assert_eq!(
        filter(r#"{"enabled":"all"}"#).unwrap(),
        Some(EnabledFilter(None))
    );
    let error = filter(r#"{"enabled":"some"}"#).unwrap_err();
    assert!(
        matches!(error, RegistryError::InvalidRequest { field: Some(f), .. } if f == "enabled")
    );
}

#[test]
fn reload_refuses_what_it_does_not_know() {
    assert_eq!(reload_arguments(b"").unwrap().id, None);
    assert_eq!(
        reload_arguments(b"pii_guard").unwrap().id.as_deref(),
        Some("pii_guard")
    );
    let error = reload_arguments(br#"{"idd":"x"}"#).unwrap_err();
    assert_eq!(error.code(), "invalid_request");
}

#[test]
fn a_page_has_from_one_to_a_thousand_rows() {
    let limit = |json: &str| {
        let payload = format!(r#"{{"limit":{json}}}"#);
        optional_object::<ListArguments>(payload.as_bytes()).map(|arguments| arguments.limit)
    };
    assert_eq!(limit("1").unwrap(), Some(1));
    assert_eq!(limit("1000").unwrap(), Some(1000));
    for out in ["0", "1001", "18446744073709551615"] {
        let error = limit(out).unwrap_err();
        let rule = "`limit` must be a whole number from 1 to 1000";
        assert_eq!(error.to_string(), rule, "{out}");
    }
}

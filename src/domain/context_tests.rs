use super::super::testing::context;
use super::*;

fn scalar(json: &str) -> Option<Scalar> {
    Scalar::read(json)
}

fn read(json: &str) -> Result<Context, (String, String)> {
    let read = Context::read(serde_json::from_str(json).unwrap());
    read.map_err(|error| (error.key, error.rule))
}

#[test]
fn scalars_compare_as_json_values_and_numbers_as_exact_decimals() {
    for (a, b, equal) in [
        ("1", "1.0", true),
        ("1", "1e0", true),
        ("10e-1", "1", true),
        ("-0", "0", true),
        ("1.10", "1.1", true),
        ("1e2", "100", true),
        ("1", "\"1\"", false),
        ("9007199254740993", "9007199254740992", false),
        ("18446744073709551616", "18446744073709551617", false),
        ("0.1", "0.1000000000000000055511151231257827", false),
        ("1e-400", "0", false),
        ("true", "true", true),
        ("true", "false", false),
        ("true", "\"true\"", false),
        ("\"a\"", "\"\\u0061\"", true),
    ] {
        assert_eq!(scalar(a) == scalar(b), equal, "{a} {b}");
        assert!(scalar(a).is_some() && scalar(b).is_some(), "{a} {b}");
    }
    for none in ["null", "[1]", "{}", "1e400", "\"\\ud800\"", &"1".repeat(65)] {
        assert_eq!(scalar(none), None, "{none}");
    }
}

#[test]
fn what_cannot_be_compared_is_ignored_and_the_rest_is_read() {
    let deep = "[".repeat(200) + &"]".repeat(200);
    let json = format!(
        r#"{{"tenant_id":"t","a":"\ud800","\udfff":1,"b":1e400,"c":{deep},"d":{{"x":1,"x":2}},
            "e":null,"n":1.50,"yes":true,"trace_id":null}}"#
    );
    let context = read(&json).unwrap();
    for (key, text) in [("tenant_id", "t"), ("n", "1.5"), ("yes", "true")] {
        assert_eq!(context.get(key).unwrap().to_string(), text);
    }
    for key in ["a", "b", "c", "d", "e", "trace_id", "nobody"] {
        assert!(context.get(key).is_none(), "{key}");
    }
}

/// CASES.md C2: a request must not be served without a tenant because its tenant cannot be read.
#[test]
fn whoever_asks_must_be_readable() {
    for value in [r#""\ud800""#, "1e400", "{}", "[\"acme\"]", &"9".repeat(70)] {
        for key in ["tenant_id", "trace_id"] {
            let (field, rule) = read(&format!(r#"{{"a":1,"{key}":{value}}}"#)).unwrap_err();
            assert_eq!(field, format!("context.{key}"), "{value}");
            assert!(rule.starts_with("must be a string, "), "{rule}");
        }
    }
}

#[test]
fn a_context_is_an_object_without_a_key_given_twice() {
    for json in ["[]", "1", "\"a\"", "true"] {
        let expected = ("context".to_owned(), "must be a JSON object".to_owned());
        assert_eq!(read(json).unwrap_err(), expected, "{json}");
    }
    for json in [
        r#"{"a":1,"b":2,"a":1}"#,
        r#"{"a":null,"\u0061":1}"#,
        r#"{"a":1e400,"a":{}}"#,
    ] {
        let expected = ("context.a".to_owned(), "is given twice".to_owned());
        assert_eq!(read(json).unwrap_err(), expected, "{json}");
    }
}

/// A request of a few megabytes would take the memory of all others.
#[test]
fn a_context_has_no_more_keys_than_it_may() {
    let keys = |count| {
        let keys: Vec<_> = (0..count).map(|n| format!("\"key{n}\":{n}")).collect();
        format!("{{{}}}", keys.join(","))
    };
    let many = read(&keys(MAX_KEYS)).unwrap();
    assert_eq!(many.get("key1023").unwrap().to_string(), "1023");
    for count in [MAX_KEYS + 1, 50_000] {
        let rule = "must have at most 1024 keys".to_owned();
        let error = read(&keys(count)).unwrap_err();
        assert_eq!(error, ("context".to_owned(), rule), "{count}");
    }
}

#[test]
fn a_default_never_overrides_the_request() {
    let mut context = context(r#"{"environment":"prod"}"#);
    context.set_default("environment", "dev");
    context.set_default("region", "eu");
    context.set_default("a", "first");
    for (key, text) in [("environment", "prod"), ("region", "eu"), ("a", "first")] {
        assert_eq!(context.get(key), Some(&Scalar::Text(text.into())));
    }
}

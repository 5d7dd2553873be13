//! Both shapes of the body, exact text, the overlay of `config`, and reserved names.

use proptest::prelude::*;

use super::super::testing::context;
use serde_json::Value;

use super::*;

fn raw(json: &str) -> Box<RawValue> {
    RawValue::from_string(json.to_owned()).unwrap()
}

/// A request in JSON texts; empty means absent.
struct Request<'a> {
    kind: ExtensionType,
    context: &'a str,
    payload: &'a str,
    metadata: &'a str,
    config: &'a str,
    request_config: &'a str,
}

const PRE: Request<'static> = Request {
    kind: ExtensionType::Pre,
    context: "{}",
    payload: "1",
    metadata: "",
    config: "{}",
    request_config: "",
};
const PROVIDER: Request<'static> = Request {
    kind: ExtensionType::Provider,
    payload: "{}",
    ..PRE
};

fn body(request: &Request<'_>) -> Result<String, KeyFault> {
    let optional = |json: &str| (!json.is_empty()).then(|| raw(json));
    let (metadata, request_config) = (optional(request.metadata), optional(request.request_config));
    let envelope = Envelope {
        kind: request.kind,
        id: &ExtensionId::parse("ext").unwrap(),
        context: &context(request.context),
        payload: &raw(request.payload),
        metadata: metadata.as_deref(),
        config: &JsonObject::parse(request.config).unwrap(),
        request_config: request_config.as_deref(),
    };
    let body = envelope.body()?;
    // What a fallback is sent is what it would have been sent had it been asked for.
    let (id, own) = (
        ExtensionId::parse("another-one").unwrap(),
        JsonObject::parse(r#"{"n":1}"#),
    );
    let (own, its) = (own.unwrap(), raw(r#"{"b":2.0}"#));
    let another = Envelope {
        id: &id,
        config: &own,
        request_config: Some(&its),
        ..envelope
    };
    assert_eq!(Ok(body.for_another(&id, &own, Some(&its))), another.body());
    let body = String::from_utf8(body.bytes).unwrap();
    assert!(serde_json::from_str::<&RawValue>(&body).is_ok(), "{body}");
    Ok(body)
}

fn refused(request: &Request<'_>) -> String {
    body(request).unwrap_err().key
}

#[test]
fn the_body_of_pre_validator_and_post() {
    let kinds = [
        ExtensionType::Pre,
        ExtensionType::Validator,
        ExtensionType::Post,
    ];
    for kind in kinds {
        let minimal = body(&Request { kind, ..PRE }).unwrap();
        assert_eq!(
            minimal,
            r#"{"trace_id":null,"tenant_id":null,"payload":1,"metadata":{},"config":{}}"#
        );
        let full = body(&Request {
            kind,
            context: r#"{"trace_id":"a\"b","tenant_id":7,"environment":"prod"}"#,
            payload: "{ \"n\" : 12345678901234567890.10,\n\"z\":1,\"a\":\"\\u00e4\" }",
            metadata: r#"{ "m":1 }"#,
            config: r#"{"max":  1e400}"#,
            request_config: "",
        });
        assert_eq!(
            full.unwrap(),
            "{\"trace_id\":\"a\\\"b\",\"tenant_id\":7,\
             \"payload\":{ \"n\" : 12345678901234567890.10,\n\"z\":1,\"a\":\"\\u00e4\" },\
             \"metadata\":{ \"m\":1 },\"config\":{\"max\":1e400}}"
        );
    }
}

#[test]
fn the_body_of_a_provider() {
    for (payload, fields) in [
        ("{}", ""),
        ("{ \n }", ""),
        (r#"{"prompt":"hi"}"#, r#""prompt":"hi","#),
        (
            r#"{ "a" : 1.0, "b":{"config":1} }"#,
            r#""a" : 1.0, "b":{"config":1},"#,
        ),
    ] {
        let expected = format!(
            r#"{{"trace_id":"t","tenant_id":true,"provider_id":"ext",{fields}"metadata":{{}},"config":{{}}}}"#
        );
        let context = r#"{"trace_id":"t","tenant_id":true}"#;
        let request = Request {
            payload,
            context,
            ..PROVIDER
        };
        assert_eq!(body(&request).unwrap(), expected);
    }
}

#[test]
fn a_providers_payload_is_an_object_without_reserved_fields() {
    for payload in ["1", "null", "[]", r#""{}""#] {
        assert_eq!(
            refused(&Request {
                payload,
                ..PROVIDER
            }),
            "payload"
        );
    }
    for name in RESERVED {
        let payload = format!(r#"{{"a":1,"{name}":null}}"#);
        let payload = payload.as_str();
        assert_eq!(
            refused(&Request {
                payload,
                ..PROVIDER
            }),
            format!("payload.{name}")
        );
        assert!(
            body(&Request { payload, ..PRE }).is_ok(),
            "only for providers"
        );
    }
    let payload = r#"{"\u0063onfig":1}"#;
    assert_eq!(
        refused(&Request {
            payload,
            ..PROVIDER
        }),
        "payload.config"
    );
    let payload = r#"{"\ud800":1,"\udfff":2}"#;
    let sent = body(&Request {
        payload,
        ..PROVIDER
    });
    assert!(sent.unwrap().contains(&payload[1..payload.len() - 1]));
}

#[test]
fn config_is_overlaid_by_top_level_key() {
    for (config, request_config, expected) in [
        ("{}", "", "{}"),
        ("{}", r#"{ "z":1,"a":2 }"#, r#"{ "z":1,"a":2 }"#),
        (r#"{ "z":1,"a":2 }"#, "", r#"{"z":1,"a":2}"#),
        (r#"{"a":1.50}"#, "{}", r#"{"a":1.50}"#),
        (
            r#"{"a":1.50,"b":{"x":1}}"#,
            r#"{"b":{"y": 2}}"#,
            r#"{"a":1.50,"b":{"y": 2}}"#,
        ),
        (
            r#"{"a":1}"#,
            r#"{"a":null,"c":1e400}"#,
            r#"{"a":null,"c":1e400}"#,
        ),
        (r#"{"a":1}"#, r#"{"\u0061":2}"#, r#"{"a":2}"#),
        ("{ }", "{ }", "{ }"),
    ] {
        let found = body(&Request {
            config,
            request_config,
            ..PRE
        })
        .unwrap();
        let end = format!(r#","config":{expected}}}"#);
        assert!(found.ends_with(&end), "{config} {request_config}: {found}");
    }
}

/// JSON values of moderate depth.
fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(".{0,4}", inner, 0..4)
                .prop_map(|fields| fields.into_iter().collect()),
        ]
    })
}

fn json_object() -> impl Strategy<Value = serde_json::Map<String, Value>> {
    prop::collection::btree_map("[a-e\"\\\\]{0,2}", json(), 0..5)
        .prop_map(|fields| fields.into_iter().collect())
}

proptest! {
    #[test]
    fn every_body_reads_back(
        payload in json(), config in json_object(), request_config in json_object(), tenant in ".{0,9}"
    ) {
        let text = |fields: &serde_json::Map<_, _>| Value::Object(fields.clone()).to_string();
        let found = body(&Request {
            context: &serde_json::json!({ "tenant_id": tenant }).to_string(),
            payload: &payload.to_string(),
            config: &text(&config),
            request_config: &text(&request_config),
            ..PRE
        });
        let mut merged = config;
        merged.extend(request_config);
        let expected = serde_json::json!({
            "trace_id": null, "tenant_id": tenant, "payload": payload, "metadata": {}, "config": merged,
        });
        prop_assert_eq!(serde_json::from_str::<Value>(&found.unwrap()).unwrap(), expected);
    }

    #[test]
    fn every_providers_fields_read_back(payload in json_object()) {
        let text = Value::Object(payload.clone()).to_string();
        let found = body(&Request { payload: &text, ..PROVIDER }).unwrap();
        let mut expected = payload;
        for (name, value) in [
            ("trace_id", Value::Null),
            ("tenant_id", Value::Null),
            ("provider_id", "ext".into()),
            ("metadata", Value::Object(Default::default())),
            ("config", Value::Object(Default::default())),
        ] {
            expected.insert(name.to_owned(), value);
        }
        prop_assert_eq!(serde_json::from_str::<Value>(&found).unwrap(), Value::Object(expected));
    }
}

//! Who asks: the same for every verb.

use serde_json::{Value, json};

use super::{chosen, refused_by_all};
use crate::docs::file;
use crate::harness::{Behaviour, Daemon, Extension};
use crate::site::Site;

/// CASES.md C1: `cases/bigint-tenants.json`, with a rollout beside it.
const LEDGER: &str = r#"[{
    "id": "ledger_check", "type": "validator", "subject": "beamline.ext.validate.ledger_check.v1",
    "versions": [
        {"version": "canary", "subject": "beamline.ext.validate.ledger_check.canary",
         "routing_rules": {"tenant_id": [18446744073709551616,
            340282366920938463463374607431768211456, 1.10, 1e2, true, "t"]}}
    ]
}, {
    "id": "half", "type": "pre", "subject": "beamline.ext.half.v1",
    "versions": [{"version": "in", "subject": "beamline.ext.half.in",
                  "rollout": {"by": "tenant_id", "percent": 5e1}}]
}]"#;

async fn site() -> (Site, Daemon) {
    let site = Site::with(&Value::Array(Vec::new())).await;
    site.write_text(LEDGER);
    let daemon = site.start(site.daemon()).await;
    (site, daemon)
}

#[tokio::test]
async fn numbers_are_compared_to_the_last_digit_however_they_are_written() {
    let (site, _daemon) = site().await;
    for tenant in [
        "18446744073709551616",
        "18446744073709551616.0",
        "1844674407370955161600e-2",
        "340282366920938463463374607431768211456",
        "1.1",
        "1.10",
        "11e-1",
        "100",
        "1E+2",
        "true",
        r#""\u0074""#,
    ] {
        let context = format!(r#"{{"tenant_id":{tenant}}}"#);
        assert_eq!(
            chosen(&site, "ledger_check", &context).await,
            "canary",
            "{tenant}"
        );
    }
    for tenant in [
        "18446744073709551617",
        "18446744073709551615",
        "340282366920938463463374607431768211457",
        "1.1000000000000000888",
        "100.00000000000000001",
        r#""100""#,
        "false",
        "null",
    ] {
        let context = format!(r#"{{"tenant_id":{tenant}}}"#);
        assert_eq!(
            chosen(&site, "ledger_check", &context).await,
            "v1",
            "{tenant}"
        );
    }
}

/// As floats, a thousand neighbours share a bucket or two.
#[tokio::test]
async fn a_rollout_tells_large_numbers_apart_and_not_their_notations() {
    let (site, _daemon) = site().await;
    let mut inside = 0;
    for n in 0..200 {
        let tenant = format!("18446744073709551{n:03}");
        let version = chosen(&site, "half", &format!(r#"{{"tenant_id":{tenant}}}"#)).await;
        inside += usize::from(version == "in");
        let other = chosen(
            &site,
            "half",
            &format!(r#"{{"tenant_id":{tenant}0.00e-1}}"#),
        )
        .await;
        assert_eq!(version, other, "{tenant}");
    }
    assert!((60..=140).contains(&inside), "{inside} of 200");
}

#[tokio::test]
async fn numbers_reach_the_extension_as_they_were_written() {
    let (site, _daemon) = site().await;
    let subject = "beamline.ext.validate.ledger_check.v1";
    let answer = Behaviour::reply(r#"{"status":"ok"}"#);
    let extension = Extension::at(&site.nats.url(), subject, answer).await;
    let schema = std::fs::read(file("docs/schemas/extension_request.json")).unwrap();
    let schema: Value = serde_json::from_slice(&schema).unwrap();
    for (trace, tenant) in [
        ("123456789012345678901234567890", "18446744073709551617"),
        ("1.10", "1e1"),
        ("-0", "0.0"),
        ("1E+5", "99999999999999999999.50"),
        (r#""t\u0061""#, "false"),
    ] {
        let body = format!(
            r#"{{"id":"ledger_check","payload":{{}},
                "context":{{"trace_id":{trace},"tenant_id":{tenant},"other":1e400}}}}"#
        );
        site.send("invoke", body).await.ok();
        let text = |json: &str| json.replace(r"t\u0061", "ta");
        let expected = format!(
            r#"{{"trace_id":{},"tenant_id":{tenant},"payload":{{}},"metadata":{{}},"config":{{}}}}"#,
            text(trace)
        );
        let payload = extension.last().payload;
        assert_eq!(String::from_utf8_lossy(&payload), expected);
        let sent: Value = serde_json::from_slice(&payload).unwrap();
        for id in ["trace_id", "tenant_id"] {
            let kind = match sent[id] {
                Value::Number(_) => "number",
                Value::Bool(_) => "boolean",
                _ => "string",
            };
            let known = schema["properties"][id]["type"].as_array().unwrap();
            assert!(known.contains(&json!(kind)), "{id} {kind}: {known:?}");
        }
    }
}

/// CASES.md C2.
#[tokio::test]
async fn what_cannot_be_compared_is_ignored_by_every_verb() {
    let (site, _daemon) = site().await;
    let deep = "[".repeat(200) + &"]".repeat(200);
    let nested = format!("{}1{}", r#"{"a":"#.repeat(200), "}".repeat(200));
    let long = "7".repeat(65);
    for odd in [
        r#""\ud800""#,
        r#""\udc00x""#,
        "1e400",
        "-1e999999999",
        "1e308",
        &long,
        &deep,
        &nested,
        "[]",
        "null",
        r#"{"a":1,"a":2}"#,
    ] {
        let context = format!(r#"{{"odd":{odd},"tenant_id":"t"}}"#);
        assert_eq!(
            chosen(&site, "ledger_check", &context).await,
            "canary",
            "{odd}"
        );
    }
    let context = r#"{"\ud800":1,"tenant_id":"t","\ud801":1}"#;
    assert_eq!(chosen(&site, "ledger_check", context).await, "canary");
}

#[tokio::test]
async fn whoever_cannot_be_read_is_refused_by_every_verb() {
    let (site, _daemon) = site().await;
    let deep = "[".repeat(200) + &"]".repeat(200);
    for odd in [
        r#""\ud800""#,
        "1e400",
        "{}",
        r#"["t"]"#,
        &deep,
        &"7".repeat(65),
    ] {
        for key in ["tenant_id", "trace_id"] {
            let context = format!(r#"{{"a":1,"{key}":{odd}}}"#);
            let (field, message) = refused_by_all(&site, "ledger_check", &context).await;
            assert_eq!(field, format!("context.{key}"), "{odd}");
            assert!(message.contains("must be a string, "), "{message}");
        }
    }
    for context in ["[]", "1", "\"t\"", "true"] {
        let (field, message) = refused_by_all(&site, "ledger_check", context).await;
        assert_eq!(field, "context");
        assert!(message.contains("must be a JSON object"), "{message}");
    }
    let twice = r#"{"tenant_id":"t","a":[],"tenant_id":"u"}"#;
    let (field, message) = refused_by_all(&site, "ledger_check", twice).await;
    assert_eq!(field, "context.tenant_id");
    assert!(message.contains("is given twice"), "{message}");
}

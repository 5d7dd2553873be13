//! What a lookup answers, field by field.

use serde_json::json;

use crate::site::Site;

#[tokio::test]
async fn a_reply_has_exactly_the_contracts_fields() {
    let (site, _daemon) = Site::served().await;
    let plain = site.send("lookup", "plain").await;
    let expected = json!({
        "id": "plain", "type": "pre", "subject": "beamline.ext.plain.v1",
        "timeout_ms": 100, "retry": 0, "enabled": true, "version": "v1",
        "config": {"lowercase": true}, "metadata": {"owner": "text"},
        "fallback": [], "instances": [], "circuit_breaker_state": "closed", "revision": 0,
    });
    assert_eq!(plain.ok(), expected);
    assert!(plain.headers.is_empty(), "{plain:?}");

    let routed = site.send("lookup", "routed").await.ok();
    let expected = json!({
        "id": "routed", "type": "validator", "subject": "beamline.ext.routed.v1",
        "timeout_ms": 200, "retry": 2, "enabled": true, "version": "v1",
        "config": {"strict": true}, "metadata": {}, "fallback": ["plain"],
        "instances": [
            {"instance_id": "blue", "subject": "beamline.ext.routed.v1.blue", "weight": 30},
            {"instance_id": "green", "subject": "beamline.ext.routed.v1.green", "weight": 70},
        ],
        "circuit_breaker_state": "closed", "revision": 0,
    });
    assert_eq!(routed, expected);

    let defaults = site.send(
        "lookup",
        r#"{"id":"acme_only","context":{"tenant_id":"acme"}}"#,
    );
    let defaults = defaults.await.ok();
    assert_eq!(
        (&defaults["timeout_ms"], &defaults["retry"]),
        (&json!(5000), &json!(1))
    );
    site.client.assert_one_reply_each().await;
}

#[tokio::test]
async fn the_revision_is_a_header_only_where_the_contract_says() {
    let (site, _daemon) = Site::served().await;
    for (verb, payload, expected) in [
        ("lookup", "plain", None),
        ("lookup", r#"{"id":"plain","version":"v1"}"#, None),
        ("lookup", r#"{"id":"plain","min_revision":0}"#, Some("0")),
        ("lookup", r#"{"ids":["plain"]}"#, Some("0")),
        ("list", "", Some("0")),
        ("lookup_by_type", "pre", Some("0")),
        ("get", "plain", Some("0")),
        ("explain", "plain", Some("0")),
        ("stats", "", Some("0")),
        ("ping", "", None),
        ("reload", "", None),
    ] {
        let reply = site.send(verb, payload).await;
        reply.ok();
        assert_eq!(
            reply.header("Beamline-Revision"),
            expected,
            "{verb} {payload}"
        );
    }
}

//! Which version serves whom: section 4 of the contract, steps 1 to 5, end to end.

use serde_json::json;

use super::outcome;
use crate::site::{Site, extensions};

/// Sections 4.1 to 4.5, end to end.
#[tokio::test]
async fn context_and_version_choose_the_version() {
    let (site, _daemon) = Site::served().await;
    for (request, expected) in [
        (json!({"id": "routed"}), "v1"),
        (
            json!({"id": "routed", "context": {"environment": "prod"}}),
            "v1",
        ),
        (
            json!({"id": "routed", "context": {"environment": ["staging"]}}),
            "v1",
        ),
        (
            json!({"id": "routed", "context": {"environment": "staging"}}),
            "v2",
        ),
        (
            json!({"id": "routed", "context": {"environment": "staging", "tenant_id": "x"}}),
            "v2",
        ),
        (
            json!({"id": "routed", "context": {"environment": "staging", "tenant_id": "acme"}}),
            "v3",
        ),
        (json!({"id": "routed", "context": {"user_id": "u-1"}}), "v4"),
        (json!({"id": "routed", "context": {"user_id": 7}}), "v4"),
        (
            json!({"id": "routed", "context": {"user_id": "u-1", "environment": "staging"}}),
            "v2",
        ),
        (json!({"id": "routed", "version": "v1"}), "v1"),
        (json!({"id": "routed", "version": "v3"}), "v3"),
        (
            json!({"id": "routed", "version": "v5"}),
            "version_not_found",
        ),
        (
            json!({"id": "routed", "version": "v9"}),
            "version_not_found",
        ),
        (
            json!({"id": "acme_only", "context": {"tenant_id": "acme"}}),
            "v1",
        ),
        (
            json!({"id": "acme_only", "context": {"tenant_id": "other"}}),
            "not_targeted",
        ),
        (json!({"id": "acme_only"}), "not_targeted"),
        (json!({"id": "acme_only", "version": "v1"}), "v1"),
        (json!({"id": "off"}), "disabled"),
        (json!({"id": "off", "version": "v1"}), "disabled"),
        (json!({"id": "faulty"}), "quarantined"),
        (json!({"id": "nobody"}), "unknown"),
    ] {
        let reply = site.ask("lookup", &request).await;
        assert_eq!(outcome(&reply.json()), expected, "{request}");
    }
    let v3 = site
        .send("lookup", r#"{"id":"routed","version":"v3"}"#)
        .await
        .ok();
    let overlaid = json!([v3["timeout_ms"], v3["retry"], v3["config"], v3["subject"]]);
    assert_eq!(
        overlaid,
        json!([7, 0, {"strict": false}, "beamline.ext.routed.v3"])
    );
    assert_eq!(
        v3["instances"].as_array().unwrap().len(),
        1,
        "only its own: {v3}"
    );
    let v2 = site
        .send("lookup", r#"{"id":"routed","version":"v2"}"#)
        .await
        .ok();
    let inherited = json!([v2["timeout_ms"], v2["retry"], v2["config"]]);
    assert_eq!(inherited, json!([200, 2, {"strict": true}]));
}

#[tokio::test]
async fn the_deployments_environment_is_the_contexts_default() {
    let site = Site::with(&extensions()).await;
    let _daemon = site
        .start(site.daemon().setting("ENVIRONMENT", "staging"))
        .await;
    for (context, version) in [
        (json!(null), "v2"),
        (json!({"tenant_id": "acme"}), "v3"),
        (json!({"environment": "prod"}), "v1"),
        (json!({"environment": null}), "v2"),
    ] {
        let request = json!({"id": "routed", "context": context});
        assert_eq!(
            site.ask("lookup", &request).await.ok()["version"],
            version,
            "{request}"
        );
        let many = json!({"ids": ["routed"], "context": context});
        let many = site.ask("lookup", &many).await.ok();
        assert_eq!(many["extensions"][0]["version"], version, "{request}");
    }
}

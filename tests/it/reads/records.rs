//! `get` and `explain`.

use serde_json::{Value, json};

use super::{keys, list, text};
use crate::site::Site;

#[tokio::test]
async fn get_shows_the_stored_record_served_or_not() {
    let (site, _daemon) = Site::served().await;
    let routed = site.send("get", "routed").await.ok();
    let mut expected = [
        "id",
        "type",
        "subject",
        "timeout_ms",
        "retry",
        "enabled",
        "version",
        "config",
        "metadata",
        "fallback",
        "routing_rules",
        "rollout",
        "circuit_breaker",
        "versions",
        "instances",
        "created_at",
        "updated_at",
        "created_by",
        "updated_by",
        "auto_disabled",
        "revision",
    ];
    expected.sort_unstable();
    assert_eq!(keys(&routed), expected);
    assert_eq!(
        routed["versions"].as_array().unwrap().len(),
        4,
        "disabled ones too"
    );
    assert_eq!(
        routed["instances"].as_array().unwrap().len(),
        5,
        "idle and disabled ones too"
    );
    let v3 = &routed["versions"][1];
    let told = json!([
        v3["version"],
        v3["timeout_ms"],
        v3["routing_rules"],
        v3["enabled"]
    ]);
    let rules = json!({"environment": "staging", "tenant_id": ["acme", "umbrella"]});
    assert_eq!(told, json!(["v3", 7, rules, true]));
    let v2 = &routed["versions"][0];
    assert_eq!(
        (&v2["timeout_ms"], &v2["config"]),
        (&Value::Null, &Value::Null),
        "inherited"
    );
    assert_eq!(routed["instances"][0]["instance_id"], "blue");

    let off = site.send("get.off", "").await.ok();
    assert_eq!(
        json!([off["enabled"], off["auto_disabled"]]),
        json!([false, false])
    );
    let acme = site.send("get", r#"{"id":"acme_only"}"#).await.ok();
    assert_eq!(acme["routing_rules"], json!({"tenant_id": "acme"}));
    for (id, reason) in [("nobody", "unknown"), ("faulty", "quarantined")] {
        let reply = site.send("get", id).await;
        assert_eq!(reply.error(), (404, "extension_not_found".to_owned()));
        assert_eq!(reply.details(), json!({"id": id, "reason": reason}));
    }
}

#[tokio::test]
async fn explain_chooses_as_a_lookup_does_and_says_why() {
    let (site, _daemon) = Site::served().await;
    for (request, reason, version) in [
        (json!({"id": "plain"}), "default", json!("v1")),
        (json!({"id": "routed"}), "default", json!("v1")),
        (
            json!({"id": "routed", "version": "v2"}),
            "default",
            json!("v2"),
        ),
        (
            json!({"id": "routed", "context": {"environment": "staging"}}),
            "targeting_match",
            json!("v2"),
        ),
        (
            json!({"id": "routed", "context": {"user_id": "u"}}),
            "rollout",
            json!("v4"),
        ),
        (json!({"id": "acme_only"}), "not_targeted", json!(null)),
        (json!({"id": "off"}), "disabled", json!(null)),
    ] {
        let explained = site.ask("explain", &request).await.ok();
        let told = (text(&explained, "reason"), &explained["version"]);
        assert_eq!(told, (reason, &version), "{request}");
        let looked_up = site.ask("lookup", &request).await;
        assert_eq!(looked_up.json()["version"], version, "{request}");
        assert_eq!(
            looked_up.json()["subject"],
            explained["subject"],
            "{request}"
        );
        let chosen: Vec<&Value> = list(&explained, "candidates")
            .iter()
            .filter(|candidate| candidate["chosen"] == true)
            .map(|candidate| &candidate["version"])
            .collect();
        assert_eq!(
            chosen.first().copied().unwrap_or(&Value::Null),
            &version,
            "{request}"
        );
    }
    // What only a lookup takes is ignored.
    let request = json!({"id": "plain", "ids": 7});
    site.ask("explain", &request).await.ok();
    for (request, code) in [
        (json!({"id": "nobody"}), "extension_not_found"),
        (json!({"id": "faulty"}), "extension_not_found"),
        (
            json!({"id": "routed", "version": "v5"}),
            "version_not_found",
        ),
        (json!({"id": "routed", "version": "v 5"}), "invalid_request"),
    ] {
        assert_eq!(
            site.ask("explain", &request).await.error().1,
            code,
            "{request}"
        );
    }
}

#[tokio::test]
async fn explain_shows_every_candidate_with_its_verdicts() {
    let (site, _daemon) = Site::served().await;
    let request = json!({"id": "routed", "context": {"environment": "staging", "user_id": "u-1"}});
    let explained = site.ask("explain", &request).await.ok();
    let candidates = list(&explained, "candidates");
    let shown: Vec<_> = candidates
        .iter()
        .map(|x| {
            json!([
                x["version"],
                x["enabled"],
                x["current"],
                x["takes_part"],
                x["chosen"]
            ])
        })
        .collect();
    let expected = [
        json!(["v3", true, false, false, false]),
        json!(["v2", true, false, true, true]),
        json!(["v4", true, false, true, false]),
        json!(["v5", false, false, false, false]),
        json!(["v1", true, true, true, false]),
    ];
    assert_eq!(shown, expected, "in the order in which they are tried");
    let rules = json!([
        {"key": "environment", "matched": true},
        {"key": "tenant_id", "matched": false},
    ]);
    assert_eq!(candidates[0]["rules"], rules);
    // printf 'routed:u-1' | sha256sum, first 16 hex digits, mod 10000
    let rollout = json!([{"bucket": ROUTED_BUCKET, "admitted": true}]);
    assert_eq!(candidates[2]["rollouts"], rollout);
    assert_eq!(explained["circuit_breaker_state"], "closed");

    let request = json!({"id": "routed"});
    let explained = site.ask("explain", &request).await.ok();
    let instances: Vec<_> = list(&explained, "instances")
        .iter()
        .map(|x| json!([x["instance_id"], x["weight"]]))
        .collect();
    assert_eq!(instances, [json!(["blue", 30]), json!(["green", 70])]);
    assert_eq!(
        list(&explained, "candidates")[2]["rollouts"],
        json!([{"bucket": null, "admitted": false}])
    );
}

const ROUTED_BUCKET: u64 = 3366;

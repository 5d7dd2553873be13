//! A whole policy in one round trip.

use serde_json::json;

use super::{keys, outcome};
use crate::site::Site;

#[tokio::test]
async fn many_ids_are_answered_each_for_itself_and_in_order() {
    let (site, _daemon) = Site::served().await;
    let ids = [
        "routed",
        "off",
        "plain",
        "nobody",
        "no spaces",
        "faulty",
        "acme_only",
        "plain",
    ];
    let request = json!({"ids": ids, "context": {"environment": "staging"}});
    let reply = site.ask("lookup", &request).await;
    assert_eq!(reply.header("Beamline-Revision"), Some("0"));
    let body = reply.ok();
    assert_eq!(keys(&body), ["errors", "extensions", "revision"]);
    assert_eq!(body["revision"], 0);

    let found = body["extensions"].as_array().unwrap();
    let versions: Vec<_> = found.iter().map(|x| (&x["id"], &x["version"])).collect();
    let (v1, v2) = (&json!("v1"), &json!("v2"));
    assert_eq!(
        versions,
        [
            (&json!("routed"), v2),
            (&json!("plain"), v1),
            (&json!("plain"), v1)
        ]
    );
    let single = json!({"id": "routed", "context": {"environment": "staging"}});
    assert_eq!(
        found[0],
        site.ask("lookup", &single).await.ok(),
        "the same record as alone"
    );

    let errors = body["errors"].as_array().unwrap();
    for (error, (id, outcome_expected)) in errors.iter().zip([
        ("off", "disabled"),
        ("nobody", "unknown"),
        ("no spaces", "invalid_request"),
        ("faulty", "quarantined"),
        ("acme_only", "not_targeted"),
    ]) {
        assert_eq!(keys(error), ["code", "details", "id", "message"]);
        assert_eq!(error["id"], id);
        assert_eq!(
            outcome(&json!({ "error": error })),
            outcome_expected,
            "{error}"
        );
    }
    assert_eq!(errors.len(), 5);
}

#[tokio::test]
async fn at_most_a_hundred_ids_are_taken() {
    let (site, _daemon) = Site::served().await;
    let ids = |n: usize| json!({"ids": vec!["plain"; n]});
    let hundred = site.ask("lookup", &ids(100)).await.ok();
    assert_eq!(hundred["extensions"].as_array().unwrap().len(), 100);
    let more = site.ask("lookup", &ids(101)).await;
    assert_eq!(more.error(), (400, "invalid_request".to_owned()));
    assert_eq!(more.details()["field"], "ids");
}

//! Changes: what they answer, on which conditions they are made, and what the audit says.

use serde_json::{Value, json};

use super::{ALICE, Api, error, plain, send};
use crate::gate;
use crate::harness::{DEADLINE, eventually, http};
use crate::schema::{run, value};

#[tokio::test]
async fn an_extension_lives_its_life() {
    let api = Api::start().await;
    let created = api.ask("POST /admin/extensions", &plain("x")).await;
    assert_eq!(created.status, 201, "{created:?}");
    assert_eq!(created.header("location"), Some("/admin/extensions/x"));
    let record = created.json();
    let revision = record["revision"].as_u64().unwrap();
    let tag = format!("\"{revision}\"");
    assert_eq!(created.header("etag"), Some(tag.as_str()));
    assert_eq!(
        created.header("beamline-revision"),
        Some(revision.to_string().as_str())
    );
    let got = api.ask("GET /admin/extensions/x", &Value::Null).await;
    assert_eq!(
        (got.json(), got.header("etag")),
        (record, Some(tag.as_str()))
    );
    let looked_up = api.rig.lookup("x").await.ok();
    assert_eq!(looked_up["subject"], "beamline.ext.x");

    let patch = json!({"timeout_ms": 77, "config": {"a": 1.5}});
    let updated = api.ask("PATCH /admin/extensions/x", &patch).await;
    assert_eq!(
        (updated.status, &updated.json()["timeout_ms"]),
        (200, &json!(77))
    );
    assert!(
        updated.body.contains(r#""config":{"a":1.5}"#),
        "{updated:?}"
    );
    let disabled = api
        .ask("POST /admin/extensions/x/disable", &Value::Null)
        .await;
    assert_eq!(disabled.json()["enabled"], false);
    let enabled = api.ask("POST /admin/extensions/x/enable", &json!({})).await;
    assert_eq!(enabled.json()["enabled"], true);
    let deleted = api.ask("DELETE /admin/extensions/x", &Value::Null).await;
    let deleted = deleted.json();
    assert_eq!(deleted, json!({"id": "x", "revision": revision + 4}));
    let gone = api.ask("GET /admin/extensions/x", &Value::Null).await;
    assert_eq!(error(&gone), (404, "extension_not_found".into()));

    let audit = api
        .ask("GET /admin/audit?id=x&limit=3", &Value::Null)
        .await
        .json();
    let rest = format!("GET /admin/audit?id=x&before={}", audit["next"]);
    let rest = api.ask(&rest, &Value::Null).await.json();
    assert_eq!(rest["next"], Value::Null);
    let entries =
        [&audit["entries"], &rest["entries"]].map(|page| page.as_array().unwrap().clone());
    let entries = entries.concat();
    let actions = entries
        .iter()
        .map(|entry| entry["action"].as_str().unwrap());
    let actions: Vec<_> = actions.collect();
    assert_eq!(
        actions,
        ["deleted", "enabled", "disabled", "updated", "created"]
    );
}

#[tokio::test]
async fn a_change_is_made_on_its_condition_only() {
    let api = Api::start().await;
    let created = api.ask("POST /admin/extensions", &plain("x")).await;
    let first = created.json()["revision"].as_u64().unwrap();
    let tag = format!("\"{first}\"");
    let patch = "PATCH /admin/extensions/x";
    let body = json!({"retry": 2});
    let updated = api.ask_with(patch, ("If-Match", &tag), &body).await;
    assert_eq!(updated.status, 200, "{updated:?}");
    let second = updated.json()["revision"].as_u64().unwrap();
    assert!(second > first);

    let before = api.everything().await;
    let stale = api
        .ask_with(patch, ("If-Match", &tag), &json!({"retry": 3}))
        .await;
    assert_eq!(error(&stale), (409, "conflict".into()));
    assert_eq!(stale.json()["error"]["details"]["revision"], second);
    for request in [
        format!("DELETE /admin/extensions/x?if_revision={first}"),
        format!("POST /admin/extensions/x/disable?if_revision={first}"),
    ] {
        let stale = api.ask(&request, &Value::Null).await;
        assert_eq!(error(&stale), (409, "conflict".into()), "{request}");
    }
    let stale = api
        .ask(patch, &json!({"retry": 3, "if_revision": first}))
        .await;
    assert_eq!(error(&stale), (409, "conflict".into()));
    for (request, body) in [
        ("DELETE /admin/extensions/x?if_revision=now", Value::Null),
        ("DELETE /admin/extensions/x?force=true", Value::Null),
        ("POST /admin/reload?id=x", Value::Null),
        ("POST /admin/reload", json!({"ID": "x"})),
        (patch, json!({"id": "y"})),
        (patch, json!({"type": "post"})),
        (patch, json!({"colour": "red"})),
    ] {
        let refused = api.ask(request, &body).await;
        assert_eq!(
            error(&refused),
            (400, "invalid_request".into()),
            "{request}"
        );
    }
    let differs = api
        .ask_with(patch, ("If-Match", &tag), &json!({"if_revision": second}))
        .await;
    assert_eq!(error(&differs), (400, "invalid_request".into()));
    let taken = api.ask("POST /admin/extensions", &plain("x")).await;
    assert_eq!(error(&taken), (409, "already_exists".into()));
    assert_eq!(
        api.everything().await,
        before,
        "nothing of that changed anything"
    );

    let any = ("If-Match", "*");
    let any = api
        .ask_with("POST /admin/extensions/x/disable", any, &json!({}))
        .await;
    assert_eq!(any.status, 200);
    let delete = format!("DELETE /admin/extensions/x?if_revision={}", second + 1);
    assert_eq!(api.ask(&delete, &Value::Null).await.status, 200);
}

#[tokio::test]
async fn the_audit_tells_who_and_how_that_is_known() {
    let api = Api::start().await;
    api.ask("POST /admin/extensions", &plain("x")).await;
    let disable = "POST /admin/extensions/x/disable";
    let enable = "POST /admin/extensions/x/enable";
    api.ask_with(
        disable,
        ("Beamline-Actor", "bob"),
        &json!({"actor": "carol"}),
    )
    .await;
    api.ask(enable, &json!({"actor": "carol"})).await;
    api.ask(&format!("{disable}?actor=dave"), &Value::Null)
        .await;
    // A name that a token is bound to cannot be talked over.
    let headers = [
        ("Authorization", format!("Bearer {ALICE}")),
        ("Beamline-Actor", "mallory".to_owned()),
    ];
    let body = br#"{"actor":"mallory"}"#;
    assert_eq!(send(&api.addr, enable, &headers, body).await.status, 200);
    let bad = api
        .ask_with(disable, ("Beamline-Actor", "no body"), &json!({}))
        .await;
    assert_eq!(error(&bad), (400, "invalid_request".into()));

    let audit = api.ask("GET /admin/audit?id=x", &Value::Null).await.json();
    let entries = audit["entries"].as_array().unwrap();
    let who: Vec<_> = entries
        .iter()
        .map(|entry| {
            [&entry["changed_by"], &entry["actor_source"]].map(|text| text.as_str().unwrap())
        })
        .collect();
    assert_eq!(
        who,
        [
            ["alice", "token"],
            ["dave", "field"],
            ["carol", "field"],
            ["bob", "header"],
            ["anonymous", "none"],
        ]
    );
}

#[tokio::test]
async fn a_reload_tells_what_it_found() {
    let api = Api::start().await;
    api.ask("POST /admin/extensions", &plain("x")).await;
    for (request, body) in [
        ("POST /admin/reload", Value::Null),
        ("POST /admin/reload", json!({})),
        ("POST /admin/reload", json!({"id": "x"})),
    ] {
        let reply = api.ask(request, &body).await;
        assert_eq!(
            (reply.status, &reply.json()["total"]),
            (200, &json!(1)),
            "{body}"
        );
    }
    let unknown = api.ask("POST /admin/reload", &json!({"id": "y"})).await;
    assert_eq!(error(&unknown), (404, "extension_not_found".into()));
}

/// What it waits for ends after it: else it would be committed, and answered as if it were not.
#[tokio::test]
async fn a_change_that_a_drain_finds_waiting_is_answered_with_its_record() {
    let api = Api::with(|daemon| daemon.setting("SHUTDOWN_GRACE_SECONDS", 20)).await;
    let sql = &api.rig.sql;
    // For a COMMIT it waits longer than for a lock.
    gate::build(sql).await;
    gate::close(sql).await;
    let body = plain("x");
    let change = api.ask("POST /admin/extensions", &body);
    let drain = async {
        gate::wait(sql).await;
        api.daemon.sigterm();
        eventually("it takes no more connections", DEADLINE, async || {
            http::get(&api.addr, "/livez").await.is_err()
        })
        .await;
        gate::open(sql).await;
    };
    let (answer, ()) = tokio::join!(change, drain);
    assert_eq!(answer.status, 201, "{answer:?}");
    assert_eq!(answer.json()["subject"], "beamline.ext.x");
    assert_eq!(api.daemon.wait_exit(DEADLINE).await, 0);
}

/// What gives up requests at a shutdown does not know their bodies: a dry run still says itself that
/// nothing is written.
#[tokio::test]
async fn a_dry_run_that_is_given_up_at_a_shutdown_has_changed_nothing() {
    let api = Api::with(|daemon| daemon.setting("SHUTDOWN_GRACE_SECONDS", "300ms")).await;
    api.ask("POST /admin/extensions", &plain("x")).await;
    let observer = api.rig.database.connect().await;
    let lock = "BEGIN; SELECT FROM registry_revision FOR UPDATE";
    run(&api.rig.sql, lock).await;
    let update = |dry_run: bool| json!({"timeout_ms": 77, "dry_run": dry_run});
    let (rehearsal, change) = (update(true), update(false));
    let (rehearsed, written, ()) = tokio::join!(
        api.ask("PATCH /admin/extensions/x", &rehearsal),
        api.ask("PATCH /admin/extensions/x", &change),
        async {
            let waiting = "SELECT count(*) FROM pg_stat_activity
                WHERE datname = current_database() AND wait_event_type = 'Lock'";
            eventually("both wait for the lock", DEADLINE, async || {
                value(&observer, waiting).await == "2"
            })
            .await;
            api.daemon.sigterm();
        }
    );
    assert_eq!(error(&rehearsed), (503, "shutting_down".to_owned()));
    assert_eq!(error(&written), (503, "database_unavailable".to_owned()));
    let outcome = &written.json()["error"]["details"]["outcome"];
    assert_eq!(outcome, "unknown");
}

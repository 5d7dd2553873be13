//! Many extensions at once, writes that are tried only, and entries of the audit by what they say.

use std::time::Instant;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng};
use serde_json::{Value, json};

use super::{actions, plain, started};
use crate::events_seen::EventsSeen;
use crate::harness::{DEADLINE, eventually};
use crate::rig::Rig;
use crate::schema::{run, value};

/// Extensions of two teams: four of one, two of the other.
async fn teams(rig: &Rig) {
    for (id, team) in [("a", 7), ("b", 7), ("c", 7), ("d", 7), ("e", 8), ("f", 8)] {
        let mut body = plain(id);
        body["owner"] = json!(format!("Team {team}"));
        body["metadata"] = json!({"team": team, "tier": "gold"});
        rig.ask("create", &body).await.ok();
    }
}

/// The ids that `list` has for a selector.
async fn listed(rig: &Rig, selector: Value) -> Vec<String> {
    let page = rig
        .ask("list", &json!({"selector": selector, "enabled": "all"}))
        .await
        .ok();
    let ids = page["extensions"].as_array().unwrap().iter();
    let ids: Vec<_> = ids
        .map(|it| it["id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(page["total"], ids.len());
    ids
}

#[tokio::test]
async fn a_selector_is_the_same_in_lists_and_in_writes() {
    let (rig, _daemon) = started().await;
    teams(&rig).await;
    assert_eq!(
        listed(&rig, json!({"owner": "Team 7"})).await,
        ["a", "b", "c", "d"]
    );
    assert_eq!(
        listed(&rig, json!({"metadata.team": 8.0})).await,
        ["e", "f"]
    );
    assert_eq!(
        listed(&rig, json!({"owner": "Team 8", "type": "post"})).await,
        [""; 0]
    );

    rig.ask("disable", &json!({"id": "a"})).await.ok();
    let before = rig.stats().await["revision"].as_u64().unwrap();
    let team = json!({"selector": {"metadata.team": 7, "metadata.tier": "gold"}});
    let off = rig.ask("as.alice.disable", &team).await;
    assert_eq!(
        off.header("Beamline-Revision"),
        Some((before + 1).to_string().as_str())
    );
    assert_eq!(
        off.ok(),
        json!({"changed": ["b", "c", "d"], "unchanged": ["a"], "revision": before + 1})
    );
    assert_eq!(crate::rig::reason(&rig.lookup("d").await), "disabled");
    rig.lookup("e").await.ok();
    let entry = rig.ask("audit", &json!({"id": "c", "limit": 1})).await.ok();
    assert_eq!(entry["entries"][0]["action"], "disabled");
    assert_eq!(entry["entries"][0]["changed_by"], "alice");

    let on = rig
        .ask("enable", &json!({"ids": ["a", "b", "c", "d", "e"]}))
        .await
        .ok();
    assert_eq!(on["changed"], json!(["a", "b", "c", "d"]));
    assert_eq!(on["unchanged"], json!(["e"]));
    rig.lookup("a").await.ok();
    rig.client.assert_one_reply_each().await;
}

#[tokio::test]
async fn many_are_changed_all_or_none() {
    let (rig, _daemon) = started().await;
    teams(&rig).await;
    let before = rig.stats().await["revision"].clone();
    let unknown = rig.ask("disable", &json!({"ids": ["a", "nobody"]})).await;
    assert_eq!(unknown.error(), (404, "extension_not_found".to_owned()));
    assert_eq!(unknown.details()["id"], "nobody");
    let thousand: Vec<_> = (0..1001).map(|n| format!("e{n}")).collect();
    for (body, field) in [
        (json!({"ids": []}), "ids"),
        (json!({"ids": thousand}), "ids"),
        (json!({"ids": ["a b"]}), "ids"),
        (json!({"ids": "a"}), "ids"),
        (json!({"ids": ["a"], "id": "a"}), "id"),
        (json!({"ids": ["a"], "if_revision": 1}), "if_revision"),
        (
            json!({"ids": ["a"], "selector": {"owner": "Team 7"}}),
            "selector",
        ),
        (json!({"selector": {}}), "selector"),
        (json!({"selector": {"id": "a"}}), "selector"),
        (json!({"selector": {"metadata.team": [7]}}), "selector"),
        (json!({"ids": ["a"], "force": true}), "force"),
    ] {
        let reply = rig.ask("disable", &body).await;
        assert_eq!(reply.error(), (400, "invalid_request".to_owned()), "{body}");
        assert_eq!(reply.details()["field"], field, "{body}");
    }
    let at_an_id = rig.ask("enable.a", &json!({"ids": ["a"]})).await;
    assert_eq!(at_an_id.error(), (400, "invalid_request".to_owned()));
    let none = rig
        .ask("disable", &json!({"selector": {"owner": "Nobody"}}))
        .await;
    assert_eq!(none.ok()["changed"], json!([]));
    assert_eq!(rig.stats().await["revision"], before, "nothing was changed");
}

/// The record without what a dry run cannot know.
fn settled(mut record: Value) -> Value {
    for field in ["revision", "updated_at", "created_at"] {
        record[field].take();
    }
    for version in record["versions"].as_array_mut().into_iter().flatten() {
        version["created_at"].take();
    }
    record
}

#[tokio::test]
async fn a_dry_run_answers_what_the_write_does_and_writes_nothing() {
    let (rig, _daemon) = started().await;
    rig.ask("create", &plain("x")).await.ok();
    let v2 = json!({"id": "x", "version": "v2", "subject": "beamline.ext.x2", "enabled": true});
    for (verb, body, changed) in [
        ("create", plain("y"), Some("subject")),
        (
            "update",
            json!({"id": "x", "retry": 3, "owner": "me"}),
            Some("owner"),
        ),
        ("update", json!({"id": "x", "retry": 3}), None),
        ("put_version", v2, Some("versions")),
        (
            "update_version",
            json!({"id": "x", "version": "v2", "retry": 0}),
            Some("versions"),
        ),
        (
            "rollout",
            json!({"id": "x", "version": "v2", "percent": 7}),
            Some("versions"),
        ),
        (
            "promote",
            json!({"id": "x", "version": "v2"}),
            Some("version"),
        ),
        (
            "put_instance",
            json!({"id": "x", "instance_id": "i", "subject": "beamline.ext.i"}),
            Some("instances"),
        ),
        ("disable", json!({"id": "x"}), Some("enabled")),
        ("enable", json!({"id": "x"}), Some("enabled")),
        ("delete", json!({"id": "y"}), Some("subject")),
    ] {
        let before = rig.stats().await["revision"].clone();
        let entries = rig.ask("audit", &json!({})).await.ok();
        let mut tried = body.clone();
        tried["dry_run"] = json!(true);
        let tried = rig.ask(verb, &tried).await;
        assert_eq!(tried.header("Beamline-Revision"), None, "{verb}");
        let tried = tried.ok();
        assert_eq!(rig.stats().await["revision"], before, "{verb}");
        assert_eq!(rig.ask("audit", &json!({})).await.ok(), entries, "{verb}");
        let names = tried["changed"].as_array().unwrap();
        match changed {
            Some(name) => assert!(names.contains(&json!(name)), "{verb}: {names:?}"),
            None if verb == "update" => {}
            None => assert!(names.is_empty(), "{verb}: {names:?}"),
        }
        let written = rig.ask(verb, &body).await.ok();
        match verb {
            "delete" => assert_eq!(tried["record"], Value::Null),
            _ => assert_eq!(settled(tried["record"].clone()), settled(written), "{verb}"),
        }
    }
    let stale = json!({"id": "x", "retry": 1, "if_revision": 1, "dry_run": true});
    assert_eq!(rig.ask("update", &stale).await.error().1, "conflict");
    let odd = rig
        .ask("disable", &json!({"id": "x", "dry_run": "yes"}))
        .await;
    assert_eq!(odd.details()["field"], "dry_run");
    let many = json!({"ids": ["x"], "dry_run": true});
    let many = rig.ask("disable", &many).await.ok();
    assert_eq!(many["changed"], json!(["x"]));
    rig.lookup("x").await.ok();
}

/// Some fields of an update, each with one of its values, valid or not.
fn edit(random: &mut StdRng) -> Value {
    let values = [
        ("timeout_ms", json!([1, 250, 5000.0, 120_000, 0, "5"])),
        ("retry", json!([0, 1, 10, -1])),
        ("owner", json!(["search", "Größe", null, ""])),
        ("enabled", json!([true, false])),
        (
            "subject",
            json!(["beamline.ext.x", "beamline.ext.y", "a b"]),
        ),
        (
            "config",
            json!([{}, {"a": 1.50}, {"a": {"b": [1, null]}}, null, []]),
        ),
        (
            "metadata",
            json!([{}, {"team": "z", "max_in_flight": 7}, {"max_in_flight": 0}]),
        ),
        ("routing_rules", json!([null, {"tenant_id": ["acme"]}, {}])),
        (
            "rollout",
            json!([null, {"by": "tenant_id", "percent": 12.5}, {"percent": 101}]),
        ),
        (
            "circuit_breaker",
            json!([null, {"failure_threshold": 3}, {"enabled": false}]),
        ),
        ("fallback", json!([[], ["f"], ["x"]])),
    ];
    let mut body = json!({"id": "x"});
    for _ in 0..random.random_range(1..4) {
        let (name, values) = &values[random.random_range(0..values.len())];
        let values = values.as_array().unwrap();
        body[name] = values[random.random_range(0..values.len())].clone();
    }
    body
}

#[tokio::test]
async fn random_edits_come_out_as_they_were_tried() {
    let (rig, _daemon) = started().await;
    for id in ["f", "x"] {
        rig.ask("create", &plain(id)).await.ok();
    }
    let seed = rand::random();
    let mut random = StdRng::seed_from_u64(seed);
    let everything =
        "SELECT concat_ws(' ', registry_digest(), (SELECT revision FROM registry_revision),
        (SELECT count(*) FROM extension_audit_log))";
    let mut written = 0;
    for turn in 0..500 {
        let body = edit(&mut random);
        let before = value(&rig.sql, everything).await;
        let mut trial = body.clone();
        trial["dry_run"] = json!(true);
        let tried = rig.ask("update", &trial).await;
        assert_eq!(value(&rig.sql, everything).await, before, "{body}");
        let real = rig.ask("update", &body).await;
        let shown = format!("seed {seed}, edit {turn}: {body}");
        match real.header("Nats-Service-Error-Code") {
            Some(_) => assert_eq!(tried.json(), real.json(), "{shown}"),
            None => {
                let tried = tried.ok()["record"].clone();
                assert_eq!(settled(tried), settled(real.ok()), "{shown}");
                written += 1;
            }
        }
    }
    assert!((100..450).contains(&written), "{written} of 500 are valid");
}

#[tokio::test]
async fn entries_are_found_by_who_what_and_when() {
    let (rig, _daemon) = started().await;
    rig.ask("as.alice.create", &plain("x")).await.ok();
    rig.ask("as.bob.update", &json!({"id": "x", "retry": 3}))
        .await
        .ok();
    rig.ask("as.alice.disable", &json!({"id": "x"})).await.ok();
    let found = async |query: Value| -> Vec<String> {
        let page = rig.ask("audit", &query).await.ok();
        let entries = page["entries"].as_array().unwrap().iter();
        entries
            .map(|it| it["action"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(found(json!({"by": "alice"})).await, ["disabled", "created"]);
    assert_eq!(found(json!({"action": "updated"})).await, ["updated"]);
    assert_eq!(
        found(json!({"since": "1h", "by": "bob"})).await,
        ["updated"]
    );
    assert_eq!(found(json!({"since": "0s"})).await, [""; 0]);
    assert_eq!(found(json!({"until": "1h"})).await, [""; 0]);
    // Older than any time that the database has.
    assert_eq!(found(json!({"since": "1000000y"})).await.len(), 3);
    assert_eq!(found(json!({"until": "1000000y"})).await, [""; 0]);
    assert_eq!(
        found(json!({"since": "2001-01-01T00:00:00Z"})).await.len(),
        3
    );
    assert_eq!(
        found(json!({"until": "2001-01-01T00:00:00Z"})).await,
        [""; 0]
    );
    for (query, field) in [
        (json!({"since": "yesterday"}), "since"),
        (json!({"until": "2026-13-01T00:00:00Z"}), "until"),
        (json!({"since": 7}), "since"),
        (json!({"action": "update"}), "action"),
    ] {
        let reply = rig.ask("audit", &query).await;
        assert_eq!(reply.details()["field"], field, "{query}");
    }
    assert_eq!(actions(&rig, "x").await.len(), 3);
}

/// How long it takes: in release, `just soak admin::many`.
#[tokio::test]
#[ignore = "a measurement"]
async fn a_team_of_125_goes_off_and_on_in_one_change_each() {
    let (rig, _daemon) = started().await;
    let thousand = "INSERT INTO extensions (id, type, subject, metadata)
        SELECT 'e' || n, 'pre', 'beamline.ext.e' || n,
            jsonb_build_object('team', CASE WHEN n <= 125 THEN 7 ELSE 8 END)
        FROM generate_series(1, 1000) n";
    run(&rig.sql, thousand).await;
    eventually("all are served", DEADLINE, async || {
        rig.stats().await["total_extensions"] == 1000
    })
    .await;
    let events = EventsSeen::start(&rig.nats).await;
    let before = rig.stats().await["revision"].as_u64().unwrap();
    let team = json!({"selector": {"metadata.team": 7}});
    for (revision, verb) in (before + 1..).zip(["disable", "enable", "disable", "enable"]) {
        let begun = Instant::now();
        let reply = rig.ask(verb, &team).await.ok();
        let answered = begun.elapsed();
        assert_eq!(reply["changed"].as_array().unwrap().len(), 125);
        assert_eq!(reply["revision"], revision);
        let is_off = rig
            .lookup("e125")
            .await
            .header("Nats-Service-Error-Code")
            .is_some();
        assert_eq!(is_off, verb == "disable");
        println!("{verb} of 125 of 1000: {answered:?}");
        let told = |event: &Value| event["data"]["revision"] == revision;
        eventually("one event tells of it", DEADLINE, async || {
            let all = events.of_kind("registry_reloaded");
            all.iter()
                .any(|event| told(event) && event["data"]["total"] == 125)
        })
        .await;
    }
    assert_eq!(events.about("e1"), []);
}

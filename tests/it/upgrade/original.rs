//! The original's database, upgraded by the command and served. CASES.md D1.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{MIGRATIONS, migrate};
use crate::harness::{Daemon, TestDatabase};
use crate::rig::{Rig, reason};
use crate::schema::original::{ROWS, assert_kept, keep, made, many};
use crate::schema::{run, value};

/// `migrate` with these arguments where it must fail: what it prints on both streams.
async fn refused(database: &TestDatabase, arguments: &[&str]) -> (String, String) {
    let start = Daemon::builder().database(&database.url()).arg("migrate");
    let command = arguments
        .iter()
        .fold(start, |command, argument| command.arg(argument));
    let (code, output, errors) = command.run().await;
    assert_eq!(code, 1, "{output}{errors}");
    (output, errors)
}

/// Upgrades by one command, compares everything with what was before, and serves it.
async fn upgraded(rows: &str) -> (Rig, Daemon, Duration) {
    let (database, client) = made(rows).await;
    keep(&client).await;
    let began = Instant::now();
    let (code, output) = migrate(&database, &[]).await;
    let took = began.elapsed();
    assert_eq!(code, 0, "{output}");
    assert!(
        output.starts_with("upgraded a database made by the original: extensions "),
        "{output}"
    );
    assert_kept(&client).await;
    let again = migrate(&database, &[]).await;
    assert_eq!(again, (0, "schema is up to date\n".to_owned()));
    assert_kept(&client).await;
    let rig = Rig::with(database, client).await;
    let daemon = rig.daemon().spawn().await;
    daemon.wait_ready().await;
    (rig, daemon, took)
}

/// The whole audit of `id`, page by page, newest first.
async fn audit(rig: &Rig, id: &str) -> Vec<Value> {
    let mut entries = Vec::new();
    let mut page = json!({"id": id, "limit": 2});
    loop {
        let reply = rig.ask("audit", &page).await.ok();
        entries.extend(reply["entries"].as_array().unwrap().clone());
        if reply["next"].is_null() {
            return entries;
        }
        page["before"] = reply["next"].clone();
    }
}

#[tokio::test]
async fn the_originals_database_is_upgraded_in_one_command_and_served() {
    let long = format!("beamline.ext.pre.{}", "x".repeat(495));
    let more = format!(
        "{ROWS};
         INSERT INTO extensions (id, type, subject, config, metadata, created_at, updated_at)
             VALUES ('long', 'pre', '{long}', NULL, NULL, NULL, NULL),
                 ('not an id', 'pre', 'beamline.ext.pre.odd', '{{}}', '{{}}', now(), now());
         INSERT INTO extension_versions (id, version, subject, timeout_ms, retry, config, enabled,
             routing_rules) VALUES
             ('long', 'v1', 'beamline.ext.pre.other', 7, 7, '{{\"a\": 1}}', false, '{{\"t\": 1}}');"
    );
    let (rig, _daemon, _) = upgraded(&more).await;

    // What has no rules takes nothing; what has takes what they say.
    let normalize = rig.lookup("normalize_text").await.ok();
    assert_eq!(
        (&normalize["version"], &normalize["config"]),
        (&json!("v2"), &json!({"lowercase": true}))
    );
    for (tenant, version, timeout_ms) in [("t1", "v2", 300), ("t2", "v2", 300), ("t3", "v1", 200)] {
        let body = json!({"id": "pii_guard", "context": {"tenant_id": tenant}});
        let found = rig.ask("lookup", &body).await.ok();
        assert_eq!(
            (&found["version"], &found["timeout_ms"]),
            (&json!(version), &json!(timeout_ms)),
            "{tenant}"
        );
    }
    let masked = rig.lookup("mask_pii").await.ok();
    let weights: Vec<_> = masked["instances"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["weight"].clone())
        .collect();
    assert_eq!(weights, [70, 30]);
    let found = rig.lookup("long").await.ok();
    assert_eq!(
        (&found["subject"], &found["timeout_ms"]),
        (&json!(long), &json!(5000))
    );
    let quarantined = rig.stats().await["quarantined"].to_string();
    assert!(
        quarantined.contains("extensions/not an id"),
        "{quarantined}"
    );

    let health = rig
        .ask("health", &json!({"id": "normalize_text"}))
        .await
        .ok();
    let health = &health["health"];
    assert_eq!(
        (&health["success_count"], &health["failure_count"]),
        (&json!(120), &json!(3))
    );
    let average = health["avg_latency_ms"].as_f64().unwrap();
    assert!((average - 12.34).abs() < 0.01, "{average}");

    let entries: Vec<_> = audit(&rig, "normalize_text")
        .await
        .iter()
        .map(|it| {
            json!([
                it["action"],
                it["changed_by"],
                it["changes"],
                it["timestamp"]
            ])
        })
        .collect();
    assert_eq!(
        entries,
        [
            json!(["updated", "ops", {"old": {"version": "v1"}, "new": {"version": "v2"}},
                "2025-02-01T10:00:00.000000Z"]),
            json!(["created", "ops", {"old": null, "new": {"version": "v1"}},
                "2025-01-27T10:00:00.000000Z"]),
        ]
    );
    let guarded: Vec<_> = audit(&rig, "pii_guard")
        .await
        .iter()
        .map(|it| json!([it["action"], it["changed_by"]]))
        .collect();
    assert_eq!(
        guarded,
        [json!(["enabled", "ops"]), json!(["disabled", null])]
    );

    // Writes go on where the old log ended.
    rig.ask("disable", &json!({"id": "pii_guard"})).await.ok();
    assert_eq!(reason(&rig.lookup("pii_guard").await), "disabled");
    assert_eq!(audit(&rig, "pii_guard").await[0]["revision"], 1);
}

#[tokio::test]
async fn check_and_migrate_list_what_cannot_be_carried_and_change_nothing() {
    let (database, client) = made(ROWS).await;
    run(
        &client,
        "INSERT INTO extensions (id, type, subject) VALUES
             ('twin', 'post', 'beamline.ext.post.mask_pii.v1'), ('a', 'pre', 's'), ('b', 'pre', 's')",
    )
    .await;
    let behind = format!("no schema yet, version {MIGRATIONS} is needed\n");
    let would = format!(
        "would upgrade a database made by the original: extensions 6, extension_versions 2, \
         extension_instances 2, extension_health 3, extension_audit_log 4\n\
         switched off, because without rules it would take all traffic: normalize_text/v1\n{behind}"
    );
    let list = "nothing was changed, because this cannot be carried over:\n  \
        the subject beamline.ext.post.mask_pii.v1 is shared by mask_pii, twin: give all but one \
        another subject, or delete them\n  \
        the subject s is shared by a, b: give all but one another subject, or delete them\n\
        change it, then migrate again\n";
    keep(&client).await;
    let tables = "SELECT count(*) FROM information_schema.columns WHERE table_schema = 'public'";
    let before = value(&client, tables).await;
    let (output, errors) = refused(&database, &["--check"]).await;
    assert_eq!((output.as_str(), errors.as_str()), (would.as_str(), list));
    let (output, errors) = refused(&database, &[]).await;
    assert_eq!((output.as_str(), errors.as_str()), ("", list));
    assert_eq!(value(&client, tables).await, before);

    run(
        &client,
        "UPDATE extensions SET subject = id WHERE id IN ('twin', 'a')",
    )
    .await;
    let (output, errors) = refused(&database, &["--check"]).await;
    assert_eq!(
        (output.as_str(), errors.as_str()),
        (would.as_str(), ""),
        "behind"
    );
    assert_eq!(migrate(&database, &[]).await.0, 0);
    assert_eq!(migrate(&database, &["--check"]).await.0, 0);
}

/// Killed at any moment, the next one finishes it.
#[tokio::test]
async fn a_migrate_that_is_killed_can_be_run_again() {
    for killed_after_ms in [20, 60, 120, 200, 400] {
        let (database, client) = made(&many(300, 1500)).await;
        keep(&client).await;
        let command = Daemon::builder().database(&database.url()).arg("migrate");
        // Whatever it was doing by then: the moment is the test's variable, not its claim.
        let _ = tokio::time::timeout(Duration::from_millis(killed_after_ms), command.run()).await;
        assert_eq!(migrate(&database, &[]).await.0, 0, "{killed_after_ms}");
        assert_kept(&client).await;
    }
}

/// What the database sets for its sessions does not make its columns odd.
#[tokio::test]
async fn names_of_types_are_read_whatever_the_database_quotes() {
    let (database, client) = made(ROWS).await;
    let quote = format!(
        "ALTER DATABASE {} SET quote_all_identifiers = on",
        database.name()
    );
    run(&client, &quote).await;
    keep(&client).await;
    let (code, output) = migrate(&database, &[]).await;
    assert_eq!(code, 0, "{output}");
    assert_kept(&client).await;
}

/// A soak: `./justw soak`.
#[tokio::test]
#[ignore = "half a minute"]
async fn ten_thousand_extensions_with_a_hundred_thousand_entries_take_less_than_a_minute() {
    let (rig, daemon, took) = upgraded(&many(10_000, 100_000)).await;
    println!("migrated in {took:?}");
    assert!(took < Duration::from_secs(60), "{took:?}");
    let served = rig.stats().await["total_extensions"].as_u64().unwrap();
    assert_eq!(served, 9_800, "all but those whose ids are none");
    let found = rig.lookup("ext-1").await.ok();
    assert_eq!(found["subject"], "beamline.ext.e1");
    let one = "SELECT extension_id || ' ' || count(*) FROM extension_audit_log
        WHERE extension_id LIKE 'ext-%' GROUP BY extension_id
        HAVING bool_and(isfinite(timestamp)) AND count(*) > 5 LIMIT 1";
    let one = value(&rig.sql, one).await;
    let (id, count) = one.split_once(' ').unwrap();
    assert_eq!(audit(&rig, id).await.len().to_string(), count, "{id}");
    drop(daemon);
}

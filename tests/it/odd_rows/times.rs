//! Any time in any column.

use std::collections::BTreeMap;

use super::*;
use crate::events_seen::EventsSeen;

/// A time for every column, and what replies say of it.
const TIMES: [(&str, Option<&str>); 7] = [
    ("-infinity", None),
    ("4713-01-01 BC", None),
    ("0001-01-01 00:00Z", Some("0001-01-01T00:00:00.000000Z")),
    ("1969-12-31 23:00Z", Some("1969-12-31T23:00:00.000000Z")),
    ("12026-01-01", None),
    ("294276-12-31 23:59:59.999999Z", None),
    ("infinity", None),
];

/// Every column of every table that holds a time.
async fn time_columns(rig: &Rig) -> BTreeMap<String, Vec<String>> {
    let columns = "SELECT c.relname, a.attname FROM pg_attribute a
        JOIN pg_class c ON c.oid = a.attrelid
        WHERE c.relkind IN ('r', 'p') AND c.relnamespace = 'public'::regnamespace
          AND a.atttypid IN ('timestamptz'::regtype, 'timestamp'::regtype)
          AND NOT a.attisdropped AND a.attgenerated = ''";
    let mut tables = BTreeMap::<String, Vec<String>>::new();
    for row in rig.sql.query(columns, &[]).await.unwrap() {
        tables.entry(row.get(0)).or_default().push(row.get(1));
    }
    tables
}

/// Sets all of them. Behind the triggers' back, as they would put their own time into some.
async fn set_all(rig: &Rig, tables: &BTreeMap<String, Vec<String>>, time: &str) {
    for (table, columns) in tables {
        let set: Vec<_> = columns
            .iter()
            .map(|it| format!("{it} = '{time}'"))
            .collect();
        let sql = format!("UPDATE {table} SET {}", set.join(", "));
        run(&rig.sql, &crate::rig::silently(&sql)).await;
    }
    // What a sidecar has already is read again when its revision is another.
    run(
        &rig.sql,
        "UPDATE extensions SET retry = (retry + 1) % 5 WHERE id <> 'gone';
         NOTIFY beamline_registry, 'override'",
    )
    .await;
}

/// A fleet with a row in every table that holds a time.
async fn populate(rig: &Rig) {
    add(rig, &["a", "b", "forced", "gone"], &[("config", "'{}'")]).await;
    run(
        &rig.sql,
        "INSERT INTO extension_versions (id, version, subject, enabled)
             VALUES ('a', 'v0', 'beamline.ext.a', false);
         INSERT INTO extension_instances (extension_id, instance_id, subject)
             VALUES ('a', 'i', 'beamline.ext.a');
         INSERT INTO extension_health (extension_id, last_success, last_failure)
             SELECT id, now(), now() FROM extensions ON CONFLICT DO NOTHING;
         DELETE FROM extensions WHERE id = 'gone'",
    )
    .await;
}

/// Reads and writes of every kind.
async fn every_verb(rig: &Rig, sidecar: &str, created_at: Option<&str>) {
    let a = json!({"id": "a"});
    for (verb, body) in [
        ("lookup", &a),
        ("lookup", &json!({"ids": ["a", "forced"]})),
        ("lookup_by_type", &json!({"type": "pre"})),
        ("list", &json!({"enabled": "all"})),
        ("get", &a),
        ("explain", &a),
        ("health", &a),
        ("health", &json!({})),
        ("circuits", &json!({})),
        (
            "circuit",
            &json!({"id": "a", "action": "close", "ttl_seconds": 1}),
        ),
        ("audit", &json!({})),
        ("audit", &a),
        ("stats", &json!({})),
        ("ping", &json!({})),
        ("reload", &json!({})),
        ("reload", &a),
        ("invoke", &json!({"id": "a", "payload": {}})),
        ("disable", &json!({"id": "forced"})),
        ("enable", &json!({"id": "forced"})),
        ("enable", &json!({"id": "forced"})),
        (
            "update",
            &json!({"id": "a", "config": {"at": rand::random::<u32>()}}),
        ),
        (
            "put_version",
            &json!({"id": "a", "version": "v9", "subject": "beamline.ext.a", "enabled": false}),
        ),
        (
            "put_instance",
            &json!({"id": "a", "instance_id": "j", "subject": "beamline.ext.a"}),
        ),
        ("delete_instance", &json!({"id": "a", "instance_id": "j"})),
        ("delete_version", &json!({"id": "a", "version": "v9"})),
    ] {
        let reply = ask(rig, sidecar, verb, body).await;
        let told = reply.header("Nats-Service-Error-Code");
        assert_eq!(told, None, "{sidecar} {verb} {body}: {reply:?}");
    }
    let got = ask(rig, sidecar, "get", &json!({"id": "forced"}))
        .await
        .ok();
    assert_eq!(got["created_at"].as_str(), created_at, "{got}");
}

async fn every_route(daemon: &Daemon) {
    for path in [
        "/livez",
        "/startupz",
        "/readyz",
        "/metrics",
        "/openapi.json",
        "/",
        "/admin/extensions?enabled=all",
        "/admin/extensions/a",
        "/admin/extensions/a/health",
        "/admin/extensions/health",
        "/admin/circuits",
        "/admin/stats",
        "/admin/audit",
    ] {
        let reply = daemon.get(path).await;
        assert_eq!(reply.status, 200, "{path}: {reply:?}");
    }
}

/// CASES.md D4.
#[tokio::test]
async fn any_time_in_any_column_is_answered_with_and_nothing_ends() {
    let rig = Rig::start().await;
    populate(&rig).await;
    let url = rig.nats.url();
    let (_a, b) = tokio::join!(Player::start(&url, "a"), Player::start(&url, "b"));
    b.fail(500);
    let events = EventsSeen::start(&rig.nats).await;
    let (one, mut two) = tokio::join!(sidecar(&rig, "one"), sidecar(&rig, "two"));
    // The machine takes b out of service, so the holder of the lease probes it all the while.
    for _ in 0..3 {
        ask(&rig, "one", "invoke", &json!({"id": "b", "payload": {}})).await;
    }
    eventually("b is probed", DEADLINE, async || !b.probes().is_empty()).await;
    let forced = json!({"id": "forced", "action": "open"});
    ask(&rig, "two", "circuit", &forced).await.ok();
    wait_flushed(&rig, "one").await;
    let tables = time_columns(&rig).await;
    assert!(tables.len() >= 10, "{tables:?}");

    for (time, shown) in TIMES {
        let before = (b.probes().len(), events.about("a").len());
        set_all(&rig, &tables, time).await;
        for (name, daemon) in [("one", &one), ("two", &two)] {
            every_verb(&rig, name, shown).await;
            wait_flushed(&rig, name).await;
            every_route(daemon).await;
            assert_eq!(daemon.exit_code(), None, "{time}: {:#?}", daemon.log());
        }
        eventually("probes go on", DEADLINE, async || {
            b.probes().len() > before.0
        })
        .await;
        eventually("events go on", DEADLINE, async || {
            events.about("a").len() > before.1
        })
        .await;
        two.sigterm();
        assert_eq!(two.wait_exit(DEADLINE).await, 0, "{time}");
        set_all(&rig, &tables, time).await;
        two = sidecar(&rig, "two").await;
        wait_flushed(&rig, "two").await;
        let people = rig.daemon().arg("audit").run().await;
        assert_eq!(people.0, 0, "{time}: {people:?}");
    }
    rig.client.assert_one_reply_each().await;
}

/// CASES.md D4: what the original wrote as local time.
#[tokio::test]
async fn replies_write_a_time_as_the_database_does() {
    let rig = Rig::start().await;
    add(&rig, &["a"], &[]).await;
    let _one = ready(disabling(&rig, "one")).await;
    for time in [
        "0001-01-01 00:00:00.000001Z",
        "1582-10-10 12:00Z",
        "1900-02-28 23:59:59.999999Z",
        "1969-12-31 23:59:59.5Z",
        "2000-02-29 00:00Z",
        "9999-12-31 23:59:59.999999Z",
    ] {
        let sql = format!("UPDATE extensions SET created_at = '{time}', retry = (retry + 1) % 3");
        run(&rig.sql, &sql).await;
        ask(&rig, "one", "reload", &json!({})).await.ok();
        let got = ask(&rig, "one", "get", &json!({"id": "a"})).await.ok();
        let written = "SELECT to_char(created_at AT TIME ZONE 'UTC',
            'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') FROM extensions";
        assert_eq!(got["created_at"], value(&rig.sql, written).await);
    }
}

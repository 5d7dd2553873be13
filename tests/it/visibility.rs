//! What is committed is what is served:
//!
//! - in whatever order concurrent writers change, commit and roll back, the catalog equals the
//!   tables at every revision (a sample of the orders that `schema/commit_order.rs` goes through
//!   exhaustively in SQL),
//! - a deleted id is unknown, a re-created one is the new one,
//! - plain SQL on versions and instances changes lookups, and the revision of their record.

use std::collections::BTreeMap;

use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use serde_json::{Value, json};

use crate::harness::{DEADLINE, eventually};
use crate::rig::{Rig, insert, reason, set_timeout_ms};
use crate::schema::{revision, run, value};
use crate::writers::{Writer, interleavings};

/// Everything that the tables say, in the form in which `get` tells it.
const TABLES: &str = "
    SELECT coalesce(jsonb_object_agg(e.id, jsonb_build_object(
        'type', e.type, 'subject', e.subject, 'timeout_ms', e.timeout_ms, 'version', e.version,
        'revision', e.revision,
        'versions', (SELECT coalesce(jsonb_agg(jsonb_build_object('version', v.version,
                'subject', v.subject, 'enabled', v.enabled) ORDER BY v.version), '[]')
            FROM extension_versions v WHERE v.id = e.id),
        'instances', (SELECT coalesce(jsonb_agg(jsonb_build_object('instance_id', i.instance_id,
                'subject', i.subject, 'weight', i.weight) ORDER BY i.instance_id), '[]')
            FROM extension_instances i WHERE i.extension_id = e.id)
        )), '{}') FROM extensions e";

type Records = BTreeMap<String, Value>;

/// The revision and the records of the tables, read as of one moment.
async fn tables(rig: &Rig) -> (i64, Records) {
    let sql = format!("SELECT revision, ({TABLES}) FROM registry_revision");
    let row = rig.sql.query_one(&sql, &[]).await.unwrap();
    (row.get(0), serde_json::from_value(row.get(1)).unwrap())
}

/// The fields of a record that [`TABLES`] has.
fn common(mut record: Value) -> Value {
    let keep = |object: &mut Value, names: &[&str]| {
        let object = object.as_object_mut().unwrap();
        object.retain(|name, _| names.contains(&name.as_str()));
    };
    for version in record["versions"].as_array_mut().unwrap() {
        keep(version, &["version", "subject", "enabled"]);
    }
    for instance in record["instances"].as_array_mut().unwrap() {
        keep(instance, &["instance_id", "subject", "weight"]);
    }
    let own = [
        "type",
        "subject",
        "timeout_ms",
        "version",
        "revision",
        "versions",
        "instances",
    ];
    keep(&mut record, &own);
    record
}

/// Compares the catalog with the tables. A writer that was waiting may commit meanwhile: a
/// comparison counts when both are of the same revision.
async fn compare(rig: &Rig, ids: &[String]) {
    let what = "the catalog and the tables are of one revision";
    eventually(what, DEADLINE, async || {
        let (now, records) = tables(rig).await;
        let mut replies = Vec::new();
        for id in ids {
            let looked_up = rig.lookup_at(id, now).await;
            let stored = rig.ask("get", &json!({ "id": id })).await;
            replies.push((id, looked_up, stored));
        }
        let stats = rig.stats().await;
        if tables(rig).await.0 != now {
            return false;
        }
        for (id, looked_up, stored) in replies {
            let place = format!("{id} at {now}");
            let Some(record) = records.get(id) else {
                assert_eq!(reason(&looked_up), "unknown", "{place}");
                assert_eq!(reason(&stored), "unknown", "{place}");
                continue;
            };
            for field in ["revision", "timeout_ms"] {
                assert_eq!(looked_up.ok()[field], record[field], "{place}");
            }
            assert_eq!(common(stored.ok()), *record, "{place}");
            assert_eq!(
                stored.header("Beamline-Revision"),
                Some(now.to_string().as_str())
            );
        }
        assert_eq!(
            stats["total_extensions"],
            records.len(),
            "at {now}: {stats}"
        );
        true
    })
    .await;
}

/// The changes that writers make: of a row that all change, of a new one, a deletion, a deletion
/// and re-creation, of parts.
fn change(kind: usize, writer: usize) -> String {
    match kind % 6 {
        0 => "UPDATE extensions SET timeout_ms = timeout_ms + 1 WHERE id = 'shared'".to_owned(),
        1 => insert(&format!("new{writer}")),
        2 => format!("DELETE FROM extensions WHERE id = 'old{writer}'"),
        3 => format!(
            "DELETE FROM extensions WHERE id = 'old{writer}'; {}",
            insert(&format!("old{writer}"))
        ),
        4 => format!(
            "INSERT INTO extension_versions (id, version, subject)
             VALUES ('shared', 'v1{writer}', 'beamline.ext.shared.v1{writer}')"
        ),
        _ => format!(
            "INSERT INTO extension_instances (extension_id, instance_id, subject)
             VALUES ('shared', 'i{writer}', 'beamline.ext.shared.i{writer}')"
        ),
    }
}

/// Drives `cases` orders of so many writers, drawn with a fixed seed.
async fn check(count: usize, cases: usize) {
    let rig = Rig::start().await;
    let daemon = rig.daemon().spawn().await;
    daemon.wait_ready().await;
    let mut writers = Vec::new();
    for _ in 0..count {
        writers.push(Writer::connect(&rig.database).await);
    }
    let olds: Vec<_> = (0..count).map(|writer| format!("old{writer}")).collect();
    let news = (0..count).map(|writer| format!("new{writer}"));
    let start: Vec<_> = olds
        .iter()
        .map(|id| insert(id))
        .chain([insert("shared")])
        .collect();
    let start = format!("DELETE FROM extensions; {}", start.join("; "));
    let ids: Vec<_> = olds
        .iter()
        .cloned()
        .chain(news)
        .chain(["shared".to_owned()])
        .collect();

    let mut sample = Vec::new();
    for order in interleavings(count, 2) {
        for commits in 0..1_usize << count {
            for kind in 0..6_usize.pow(u32::try_from(count).unwrap()) {
                sample.push((order.clone(), commits, kind));
            }
        }
    }
    sample.shuffle(&mut StdRng::seed_from_u64(2));
    for (order, commits, kinds) in sample.into_iter().take(cases) {
        run(&rig.sql, &start).await;
        let mut begun = vec![false; count];
        for writer in order {
            let kind = kinds / 6_usize.pow(u32::try_from(writer).unwrap());
            let sql = if !begun[writer] {
                format!("BEGIN; {}", change(kind, writer))
            } else if commits >> writer & 1 == 1 {
                "COMMIT".to_owned()
            } else {
                "ROLLBACK".to_owned()
            };
            let ends = begun[writer];
            begun[writer] = true;
            writers[writer].send(sql, &rig.sql).await;
            if ends {
                compare(&rig, &ids).await;
            }
        }
        for writer in &mut writers {
            writer.finish().await;
        }
        compare(&rig, &ids).await;
    }
}

#[tokio::test]
async fn two_writers_in_sampled_orders() {
    check(2, 40).await;
}

#[tokio::test]
async fn three_writers_in_sampled_orders() {
    check(3, 40).await;
}

#[tokio::test]
async fn a_deleted_id_is_unknown_and_a_recreated_one_is_new() {
    let rig = Rig::start().await;
    run(&rig.sql, &[insert("a"), insert("b")].join(";")).await;
    run(
        &rig.sql,
        "INSERT INTO extension_versions (id, version, subject, routing_rules)
         VALUES ('a', 'v2', 'beamline.ext.a.v2', '{\"tenant_id\": \"t\"}')",
    )
    .await;
    let daemon = rig.daemon().spawn().await;
    daemon.wait_ready().await;
    let for_t = async |now| {
        let body = json!({"id": "a", "context": {"tenant_id": "t"}, "min_revision": now, "wait_ms": 10_000});
        rig.ask("lookup", &body).await
    };
    assert_eq!(for_t(2).await.ok()["version"], "v2");

    run(&rig.sql, "DELETE FROM extensions WHERE id = 'a'").await;
    assert_eq!(reason(&rig.lookup_at("a", 3).await), "unknown");
    let many = rig.ask("lookup", &json!({"ids": ["a", "b"]})).await.ok();
    assert_eq!(many["errors"][0]["details"]["reason"], "unknown", "{many}");
    assert_eq!(many["extensions"][0]["id"], "b", "{many}");

    run(&rig.sql, &insert("a")).await;
    let again = for_t(4).await.ok();
    assert_eq!(
        (&again["version"], &again["revision"]),
        (&json!("v1"), &json!(4)),
        "{again}"
    );

    // Gone and back within one transaction, and renamed: the old id leaves no trace.
    let swap = format!(
        "BEGIN; DELETE FROM extensions WHERE id = 'a'; {}; COMMIT",
        insert("a")
    );
    run(&rig.sql, &swap).await;
    assert_eq!(rig.lookup_at("a", 5).await.ok()["revision"], 5);
    run(&rig.sql, "UPDATE extensions SET id = 'c' WHERE id = 'a'").await;
    assert_eq!(
        rig.lookup_at("c", 6).await.ok()["subject"],
        "beamline.ext.a"
    );
    assert_eq!(reason(&rig.lookup("a").await), "unknown");

    run(&rig.sql, "TRUNCATE extensions CASCADE").await;
    for id in ["b", "c"] {
        assert_eq!(reason(&rig.lookup_at(id, 7).await), "unknown");
    }
    assert_eq!(rig.stats().await["total_extensions"], 0);
}

#[tokio::test]
async fn plain_sql_on_versions_and_instances_changes_lookups_and_the_revision() {
    let rig = Rig::start().await;
    run(&rig.sql, &[insert("a"), insert("b")].join(";")).await;
    let daemon = rig.daemon().spawn().await;
    daemon.wait_ready().await;
    let a = async |sql: &str| {
        run(&rig.sql, sql).await;
        let now = revision(&rig.sql).await;
        let record = rig.lookup_at("a", now).await.ok();
        assert_eq!(record["revision"], now, "{sql}");
        record
    };

    let new = "INSERT INTO extension_versions (id, version, subject) VALUES ('a', 'v2', 'beamline.ext.a.v2')";
    assert_eq!(
        a(new).await["version"],
        "v1",
        "it takes no traffic without rules"
    );
    let on = a("UPDATE extension_versions SET enabled = true, timeout_ms = 7").await;
    assert_eq!(
        (&on["version"], &on["timeout_ms"]),
        (&json!("v2"), &json!(7))
    );
    assert_eq!(on["subject"], "beamline.ext.a.v2");
    let instance =
        "INSERT INTO extension_instances (extension_id, instance_id, version, subject, weight)
        VALUES ('a', 'i', 'v2', 'beamline.ext.a.v2.i', 30)";
    let expected = json!([{"instance_id": "i", "subject": "beamline.ext.a.v2.i", "weight": 30}]);
    assert_eq!(a(instance).await["instances"], expected);
    assert_eq!(
        a("UPDATE extension_instances SET weight = 60").await["instances"][0]["weight"],
        60
    );
    assert_eq!(
        a("DELETE FROM extension_instances").await["instances"],
        json!([])
    );
    assert_eq!(a("DELETE FROM extension_versions").await["version"], "v1");
    assert_eq!(
        rig.lookup("b").await.ok()["revision"],
        1,
        "the other one has not changed"
    );

    let before = revision(&rig.sql).await;
    for silent in [
        "UPDATE extensions SET updated_at = now() WHERE id = 'a'",
        "UPDATE extensions SET retry = retry",
        "UPDATE extension_instances SET health_status = 'down'",
    ] {
        run(&rig.sql, silent).await;
    }
    assert_eq!(revision(&rig.sql).await, before);
    run(&rig.sql, &set_timeout_ms("b", 9)).await;
    assert_eq!(rig.lookup_at("b", before + 1).await.ok()["timeout_ms"], 9);
    let stats = rig.stats().await;
    assert_eq!(
        stats["digest"],
        value(&rig.sql, "SELECT registry_digest()").await
    );
}

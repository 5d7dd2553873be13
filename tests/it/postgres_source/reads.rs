//! Nothing, what changed, or everything.

use std::time::{Duration, SystemTime};

use beamline_registry::adapters::postgres::migrate::new_epoch;
use beamline_registry::domain::ids::ExtensionId;
use beamline_registry::service::source::{Database, Known, Read, Want};

use super::{
    add, delta_since, ids, known, migrated, read_everything, read_since, read_told, run, touched,
};

#[tokio::test]
async fn every_column_arrives_where_it_belongs() {
    let (_database, client, source) = migrated().await;
    run(
        &client,
        "INSERT INTO extensions (id, type, subject, config, metadata, fallback, circuit_breaker)
         VALUES ('bare', 'pre', 'beamline.ext.bare', NULL, 'null', 'null', 'null')",
    )
    .await;
    run(
        &client,
        r#"INSERT INTO extensions (id, type, subject, timeout_ms, retry, enabled, auto_disabled,
             version, config, metadata, fallback, routing_rules, rollout, circuit_breaker,
             created_by)
           VALUES ('full', 'validator', 'beamline.ext.full', 250, 3, false, true, 'v7',
             '{"c": 12345678901234567890.10}', '{"m": 1}', '["a", "b"]', '{"tenant_id": "x"}',
             '{"by": "tenant_id", "percent": 10}', '{"failure_threshold": 9}', 'ann');
           INSERT INTO extension_versions (id, version, subject, timeout_ms, retry, config,
             metadata, routing_rules, rollout, priority, enabled, created_by)
           VALUES ('full', 'v9', 'beamline.ext.full.v9', 300, 4, '{"c": 9}', '{"m": 9}',
             '{"tenant_id": ["y", "z"]}', '{"by": "user", "percent": 5}', 6, false, 'bob');
           INSERT INTO extension_versions (id, version, subject)
           VALUES ('full', 'v8', 'beamline.ext.full.v8');
           INSERT INTO extension_instances (extension_id, instance_id, version, subject, weight,
             enabled)
           VALUES ('full', 'i2', 'v9', 'beamline.ext.full.i2', 7, false),
                  ('full', 'i1', NULL, 'beamline.ext.full.i1', 100, true)"#,
    )
    .await;

    let everything = read_everything(&source).await;
    assert!(everything.faults.is_empty(), "{:?}", everything.faults);
    let [bare, full] = &{
        let mut extensions = everything.extensions;
        extensions.sort_by(|a, b| a.id.cmp(&b.id));
        extensions
    }[..] else {
        panic!("two extensions");
    };

    assert_eq!(bare.config.as_str(), "{}");
    assert_eq!(bare.metadata.as_str(), "{}");
    assert_eq!(bare.version.as_str(), "v1");
    assert_eq!((bare.timeout_ms, bare.retry), (5000, 1));
    assert!(bare.enabled && !bare.auto_disabled && bare.fallback.is_empty());
    assert!(bare.routing_rules.is_none() && bare.circuit_breaker.is_none());

    assert_eq!(full.kind.as_str(), "validator");
    assert_eq!(full.subject.as_str(), "beamline.ext.full");
    assert_eq!((full.timeout_ms, full.retry), (250, 3));
    assert!(!full.enabled && full.auto_disabled);
    assert_eq!(full.version.as_str(), "v7");
    assert_eq!(full.config.as_str(), r#"{"c":12345678901234567890.10}"#);
    assert_eq!(full.metadata.as_str(), r#"{"m":1}"#);
    assert_eq!(
        full.fallback
            .iter()
            .map(ExtensionId::as_str)
            .collect::<Vec<_>>(),
        ["a", "b"]
    );
    assert_eq!(
        full.routing_rules.as_ref().unwrap().source().as_str(),
        r#"{"tenant_id":"x"}"#
    );
    assert!(full.rollout.is_some());
    assert_eq!(
        full.circuit_breaker.as_ref().unwrap().as_str(),
        r#"{"failure_threshold":9}"#
    );
    // The revision is that of the last change of any part.
    assert_eq!(full.revision, everything.revision);
    assert!(bare.revision < full.revision);
    assert_eq!(full.provenance.created_by.as_deref(), Some("ann"));
    let age = SystemTime::now().duration_since(full.provenance.created_at.unwrap());
    assert!(age.unwrap_or_default() < Duration::from_secs(60));

    let [v8, v9] = &full.versions[..] else {
        panic!("two versions, by name")
    };
    assert_eq!(
        (v8.version.as_str(), v8.timeout_ms, v8.retry),
        ("v8", None, None)
    );
    assert!(v8.config.is_none() && v8.metadata.is_none() && !v8.enabled);
    assert_eq!(v9.subject.as_str(), "beamline.ext.full.v9");
    assert_eq!(
        (v9.timeout_ms, v9.retry, v9.priority),
        (Some(300), Some(4), 6)
    );
    assert_eq!(v9.config.as_ref().unwrap().as_str(), r#"{"c":9}"#);
    assert_eq!(v9.metadata.as_ref().unwrap().as_str(), r#"{"m":9}"#);
    assert!(v9.routing_rules.is_some() && v9.rollout.is_some() && !v9.enabled);
    assert_eq!(v9.provenance.created_by.as_deref(), Some("bob"));

    let [i1, i2] = &full.instances[..] else {
        panic!("two instances, by name")
    };
    assert_eq!(
        (i1.instance_id.as_str(), i1.version.as_str(), i1.weight),
        ("i1", "v7", 100)
    );
    assert_eq!(
        (i2.version.as_str(), i2.weight, i2.enabled),
        ("v9", 7, false)
    );
}

#[tokio::test]
async fn without_a_change_one_row_is_read() {
    let (_database, client, source) = migrated().await;
    add(&client, 3).await;
    let known = known(&read_everything(&source).await);
    // Proven by there being nothing else left to read.
    run(&client, "ALTER TABLE extensions RENAME TO hidden").await;
    assert!(matches!(read_since(&source, &known).await, Read::Unchanged));
}

#[tokio::test]
async fn a_delta_holds_what_changed_and_what_went() {
    let (_database, client, source) = migrated().await;
    add(&client, 10).await;
    run(
        &client,
        "INSERT INTO extension_versions (id, version, subject)
         SELECT 'e' || n, 'v2', 'beamline.ext.e.v2' FROM generate_series(1, 10) n",
    )
    .await;
    let before = known(&read_everything(&source).await);

    run(&client, "UPDATE extensions SET retry = 2 WHERE id = 'e3'").await;
    run(
        &client,
        "INSERT INTO extension_instances (extension_id, instance_id, subject)
         VALUES ('e5', 'i', 'beamline.ext.e5.i')",
    )
    .await;
    run(&client, "DELETE FROM extensions WHERE id = 'e7'").await;
    run(&client, "DELETE FROM extension_versions WHERE id = 'e9'").await;
    let delta = delta_since(&source, &before).await;
    assert_eq!(touched(&delta), ["e3", "e5", "e7", "e9"]);
    assert_eq!(ids(&delta.extensions), ["e3", "e5", "e9"]);
    assert_eq!(delta.revision, before.revision + 4);
    for extension in &delta.extensions {
        let (versions, instances) = (extension.versions.len(), extension.instances.len());
        match extension.id.as_str() {
            "e3" => assert_eq!((extension.retry, versions, instances), (2, 1, 0)),
            "e5" => assert_eq!((versions, instances), (1, 1)),
            _ => assert_eq!((versions, instances), (0, 0)),
        }
    }
    let after = Known {
        revision: delta.revision,
        ..before
    };
    assert!(matches!(read_since(&source, &after).await, Read::Unchanged));

    // Gone and there again within one delta.
    run(&client, "DELETE FROM extensions WHERE id = 'e1'").await;
    run(
        &client,
        "INSERT INTO extensions (id, type, subject) VALUES ('e1', 'post', 'beamline.ext.again')",
    )
    .await;
    let delta = delta_since(&source, &after).await;
    assert_eq!(touched(&delta), ["e1"]);
    assert_eq!(delta.extensions[0].kind.as_str(), "post");
}

#[tokio::test]
async fn one_id_is_read_again_on_demand() {
    let (_database, client, source) = migrated().await;
    add(&client, 2).await;
    let known = known(&read_everything(&source).await);
    for (id, found) in [("e1", vec!["e1"]), ("nobody", vec![])] {
        let want = Want {
            known: Some(known.clone()),
            also: Some(ExtensionId::parse(id).unwrap()),
            told: false,
        };
        let Read::Delta(delta) = source.read(&want).await.unwrap() else {
            panic!("a delta");
        };
        assert!(touched(&delta).contains(&id));
        assert_eq!(ids(&delta.extensions), found);
    }
}

#[tokio::test]
async fn everything_is_read_when_a_delta_cannot_tell() {
    let (_database, client, source) = migrated().await;
    add(&client, 3).await;
    let old = known(&read_everything(&source).await);
    run(&client, "UPDATE extensions SET retry = 2 WHERE id = 'e1'").await;
    let current = known(&read_everything(&source).await);
    let is_everything =
        async |known: &Known| matches!(read_since(&source, known).await, Read::Everything(_));

    // A revision that the database does not have (yet): it was restored.
    let ahead = Known {
        revision: current.revision + 1,
        ..current.clone()
    };
    assert!(is_everything(&ahead).await);

    // Tombstones that this reader has not seen may be gone.
    assert!(!is_everything(&old).await);
    run(
        &client,
        "UPDATE registry_revision SET tombstone_floor = revision",
    )
    .await;
    assert!(is_everything(&old).await);
    assert!(!is_everything(&current).await);

    // More than a delta is good for.
    add_many(&client).await;
    assert!(is_everything(&current).await);

    // Another history with the same revision.
    let current = known(&read_everything(&source).await);
    new_epoch(&client).await.unwrap();
    assert!(is_everything(&current).await);
}

async fn add_many(client: &tokio_postgres::Client) {
    run(
        client,
        "INSERT INTO extensions (id, type, subject)
         SELECT 'm' || n, 'pre', 'beamline.ext.pre.m' || n FROM generate_series(1, 1001) n",
    )
    .await;
}

#[tokio::test]
async fn nothing_of_a_session_is_relied_on() {
    let (_database, client, source) = migrated().await;
    add(&client, 1).await;
    let before = known(&read_everything(&source).await);
    run(&client, "UPDATE extensions SET retry = 2").await;
    delta_since(&source, &before).await;
    source.digest().await.unwrap();
    // What a transaction pooler would give to somebody else: the source's connection as it is now.
    let row = client
        .query_one(
            "SELECT state, backend_xmin IS NULL, query FROM pg_stat_activity
             WHERE datname = current_database() AND application_name = 'beamline-registry/test-1/pool'",
            &[],
        )
        .await
        .unwrap();
    assert_eq!(row.get::<_, &str>(0), "idle");
    assert!(row.get::<_, bool>(1), "a snapshot is held");
    assert_eq!(row.get::<_, &str>(2), "COMMIT");
}

/// Told that there is something new, it spares the first look, and finds the same.
#[tokio::test]
async fn who_is_told_of_news_reads_at_once() {
    let (_database, client, source) = migrated().await;
    add(&client, 3).await;
    let before = known(&read_everything(&source).await);
    assert!(matches!(read_told(&source, &before).await, Read::Unchanged));
    run(&client, "UPDATE extensions SET retry = 2 WHERE id = 'e3'").await;
    let Read::Delta(delta) = read_told(&source, &before).await else {
        panic!("a delta");
    };
    assert_eq!(ids(&delta.extensions), ["e3"]);
    new_epoch(&client).await.unwrap();
    let told = read_told(&source, &before).await;
    assert!(matches!(told, Read::Everything(_)), "{told:?}");
}

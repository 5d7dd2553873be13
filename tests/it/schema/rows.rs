//! What the triggers keep in the rows: digests, what an INSERT left out, tombstones.

use super::{CATALOG, insert, migrated, revision, run, value};

#[tokio::test]
async fn json_is_compared_as_it_is_stored() {
    let (_database, client) = migrated().await;
    run(&client, CATALOG).await;
    run(
        &client,
        r#"UPDATE extensions SET config = '{"n": 1}' WHERE id = 'a'"#,
    )
    .await;
    let digest = value(&client, "registry_digest()").await;
    run(
        &client,
        r#"UPDATE extensions SET config = '{ "n":1 }' WHERE id = 'a'"#,
    )
    .await;
    assert_eq!(revision(&client).await, 2, "spaces are not stored");
    run(
        &client,
        r#"UPDATE extensions SET config = '{"n": 1.0}' WHERE id = 'a'"#,
    )
    .await;
    assert_eq!(
        revision(&client).await,
        3,
        "1.0 is equal to 1 but shown differently"
    );
    assert_ne!(value(&client, "registry_digest()").await, digest);
}

#[tokio::test]
async fn the_digest_notices_two_rows_that_swap_a_value_and_not_their_order() {
    let (_database, client) = migrated().await;
    run(&client, CATALOG).await;
    run(&client, "UPDATE extensions SET retry = 5 WHERE id = 'a'").await;
    let digest = value(&client, "registry_digest()").await;
    run(
        &client,
        "UPDATE extensions SET retry = CASE id WHEN 'a' THEN 1 ELSE 5 END",
    )
    .await;
    assert_ne!(value(&client, "registry_digest()").await, digest);
    // Back to the same values, in other places of the table.
    run(
        &client,
        "UPDATE extensions SET retry = CASE id WHEN 'a' THEN 5 ELSE 1 END",
    )
    .await;
    assert_eq!(value(&client, "registry_digest()").await, digest);
    // A reader sums the row digests in wrapping 64-bit arithmetic.
    let rows = client
        .query(
            "SELECT digest FROM extensions UNION ALL SELECT digest FROM extension_versions
             UNION ALL SELECT digest FROM extension_instances",
            &[],
        )
        .await
        .unwrap();
    let sum = rows
        .iter()
        .fold(0_i64, |sum, row| sum.wrapping_add(row.get(0)));
    assert_eq!(format!("{sum:016x}"), digest);
}

#[tokio::test]
async fn an_insert_of_the_key_columns_fills_in_the_rest() {
    let (_database, client) = migrated().await;
    run(&client, CATALOG).await;
    let enabled = async |version: &str, rules: &str, rollout: &str| {
        let sql = format!(
            "INSERT INTO extension_versions (id, version, subject, routing_rules, rollout)
             VALUES ('a', '{version}', 's', {rules}, {rollout})"
        );
        run(&client, &sql).await;
        let sql = format!("SELECT enabled FROM extension_versions WHERE version = '{version}'");
        value(&client, &sql).await == "true"
    };
    assert!(!enabled("kept", "NULL", "NULL").await);
    assert!(!enabled("empty", "'{}'", "'null'").await);
    assert!(enabled("rules", r#"'{"tenant_id": "t"}'"#, "NULL").await);
    assert!(enabled("rollout", "NULL", r#"'{"by": "tenant_id", "percent": 1}'"#).await);
    assert!(
        enabled("v1", "NULL", "NULL").await,
        "the current version stays on"
    );
    let version = "SELECT version FROM extension_instances WHERE instance_id = 'i'";
    assert_eq!(value(&client, version).await, "v1");
}

/// In bulk, most of the work would be to write rows that this transaction has stamped already.
#[tokio::test]
async fn a_part_writes_the_row_of_its_extension_only_where_that_changes_it() {
    let (_database, client) = migrated().await;
    run(&client, CATALOG).await;
    let row = "SELECT ctid || ' ' || revision || ' ' || updated_by FROM extensions WHERE id = 'n'";
    let put = |name: &str| {
        format!(
            "INSERT INTO extension_versions (id, version, subject) VALUES ('n', '{name}', 's');
             INSERT INTO extension_instances (extension_id, instance_id, subject)
                 VALUES ('n', '{name}', 's')"
        )
    };
    run(&client, &format!("BEGIN; {}", insert("n"))).await;
    let stamped = value(&client, row).await;
    run(&client, &put("v2")).await;
    assert_eq!(value(&client, row).await, stamped);
    run(&client, "SET LOCAL beamline.actor = 'ada'").await;
    run(&client, &put("v3")).await;
    let (_, by) = stamped.rsplit_once(' ').unwrap();
    assert_eq!(value(&client, row).await.rsplit_once(' ').unwrap().1, "ada");
    assert_ne!(by, "ada");
    run(&client, "COMMIT").await;

    let times = "UPDATE extensions SET updated_at = now() - interval '1 day' WHERE id = 'n'";
    run(&client, &format!("BEGIN; {times}; {}; COMMIT", put("v4"))).await;
    let touched = "SELECT revision || ' ' || (updated_at > now() - interval '1 hour')
        FROM extensions WHERE id = 'n'";
    assert_eq!(value(&client, touched).await, "3 true");
}

/// The seeds' way to a new version: keep the old one, then change the extension.
#[tokio::test]
async fn a_version_that_stops_being_current_stops_taking_traffic() {
    let (_database, client) = migrated().await;
    run(&client, CATALOG).await;
    run(
        &client,
        "INSERT INTO extension_versions (id, version, subject, timeout_ms, retry)
         SELECT id, version, subject, timeout_ms, retry FROM extensions;
         UPDATE extension_versions SET routing_rules = '{}' WHERE id = 'a' AND version = 'v1';
         UPDATE extension_versions SET routing_rules = '{\"t\": 1}' WHERE id = 'b';
         UPDATE extensions SET version = 'v2'",
    )
    .await;
    let on = "SELECT string_agg(id, ',') FROM extension_versions WHERE version = 'v1' AND enabled";
    assert_eq!(value(&client, on).await, "b");
}

#[tokio::test]
async fn tombstones_are_of_ids_that_are_gone() {
    let (_database, client) = migrated().await;
    run(&client, CATALOG).await;
    let tombstones = "SELECT string_agg(id || revision, ' ' ORDER BY id) FROM registry_tombstones";
    run(&client, "UPDATE extensions SET id = 'z' WHERE id = 'b'").await;
    run(&client, "DELETE FROM extensions WHERE id = 'a'").await;
    assert_eq!(value(&client, tombstones).await, "a3 b2");
    run(&client, &insert("a")).await;
    assert_eq!(value(&client, tombstones).await, "b2");
    run(&client, "TRUNCATE extensions CASCADE").await;
    assert_eq!(value(&client, tombstones).await, "a5 b2 z5");
    assert_eq!(
        value(&client, "registry_digest()").await,
        "0000000000000000"
    );
}

#[tokio::test]
async fn old_tombstones_go_and_the_floor_says_up_to_where() {
    let (_database, client) = migrated().await;
    run(&client, CATALOG).await;
    run(&client, "DELETE FROM extensions WHERE id = 'a'").await;
    run(
        &client,
        "UPDATE registry_tombstones SET deleted_at = now() - interval '8 days'",
    )
    .await;
    run(&client, "DELETE FROM extensions WHERE id = 'b'").await;
    let left = "SELECT string_agg(id, ',') FROM registry_tombstones";
    assert_eq!(value(&client, left).await, "b");
    let floor = "SELECT tombstone_floor FROM registry_revision";
    assert_eq!(value(&client, floor).await, "2");
}

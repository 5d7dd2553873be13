//! A bad row is set aside and named, the rest is served.

use beamline_registry::domain::quarantine::{Fault, Quarantine};

use super::{add, delta_since, ids, known, migrated, read_everything, run};

fn fault<'a>(faults: &'a [Fault], origin: &str) -> &'a Fault {
    let found = faults.iter().find(|fault| fault.origin == origin);
    found.unwrap_or_else(|| panic!("no {origin} in {faults:?}"))
}

#[tokio::test]
async fn a_faulty_extension_is_set_aside_with_its_parts() {
    let (_database, client, source) = migrated().await;
    add(&client, 2).await;
    run(
        &client,
        "UPDATE extensions SET subject = 'elsewhere.e1' WHERE id = 'e1';
         INSERT INTO extension_versions (id, version, subject)
         VALUES ('e1', 'v2', 'beamline.ext.e1.v2'), ('e2', 'v2', 'beamline.ext.e2.v2')",
    )
    .await;
    let everything = read_everything(&source).await;
    assert_eq!(ids(&everything.extensions), ["e2"]);
    assert_eq!(everything.faults.len(), 1);
    let fault = fault(&everything.faults, "extensions/e1");
    assert!(fault.reason.contains("`subject`"), "{}", fault.reason);
    let extension = fault.extension.as_ref().unwrap();
    assert_eq!(extension.id, "e1");

    let sum = "SELECT ((SELECT digest FROM extensions WHERE id = 'e1')::numeric
        + (SELECT digest FROM extension_versions WHERE id = 'e1'))::text";
    let sum: String = client.query_one(sum, &[]).await.unwrap().get(0);
    let sum = sum.parse::<i128>().unwrap();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "modulo 2^64"
    )]
    let sum = sum as u64;
    assert_eq!(extension.unserved_digest, Some(sum));
}

#[tokio::test]
async fn a_faulty_part_is_set_aside_alone() {
    let (_database, client, source) = migrated().await;
    add(&client, 1).await;
    run(
        &client,
        r#"INSERT INTO extension_versions (id, version, subject, routing_rules) VALUES
             ('e1', 'v2', 'beamline.ext.e1.v2', '[1]'), ('e1', 'v3', 'beamline.ext.e1.v3', NULL);
           INSERT INTO extension_instances (extension_id, instance_id, subject) VALUES
             ('e1', 'bad', 'beamline.registry.lookup'), ('e1', 'good', 'beamline.ext.e1.good')"#,
    )
    .await;
    let everything = read_everything(&source).await;
    let [extension] = &everything.extensions[..] else {
        panic!("one extension")
    };
    assert_eq!(extension.versions.len(), 1);
    assert_eq!(extension.instances.len(), 1);
    assert_eq!(everything.faults.len(), 2);
    for origin in ["extension_versions/e1/v2", "extension_instances/e1/bad"] {
        let fault = fault(&everything.faults, origin);
        assert_eq!(fault.extension.as_ref().unwrap().unserved_digest, None);
    }
}

#[tokio::test]
async fn a_current_version_whose_rules_cannot_be_read_serves_nobody() {
    let (_database, client, source) = migrated().await;
    add(&client, 2).await;
    run(
        &client,
        r#"INSERT INTO extension_versions (id, version, subject, routing_rules) VALUES
             ('e1', 'v1', 'beamline.ext.e1.v1', '{"tenant_id": {}}')"#,
    )
    .await;
    let everything = read_everything(&source).await;
    assert_eq!(ids(&everything.extensions), ["e2"]);
    let reason = &fault(&everything.faults, "extensions/e1").reason;
    assert!(
        reason.contains("current version, v1: `routing_rules`"),
        "{reason}"
    );
    assert!(Quarantine::new(everything.faults).holds("e1"));
}

#[tokio::test]
async fn faults_come_and_go_with_deltas() {
    let (_database, client, source) = migrated().await;
    add(&client, 2).await;
    let before = known(&read_everything(&source).await);
    run(
        &client,
        "UPDATE extensions SET timeout_ms = 0 WHERE id = 'e1'",
    )
    .await;
    let delta = delta_since(&source, &before).await;
    assert!(delta.extensions.is_empty());
    let quarantine = Quarantine::new(delta.faults);
    assert!(quarantine.holds("e1"));

    run(
        &client,
        "UPDATE extensions SET timeout_ms = 1 WHERE id = 'e1'",
    )
    .await;
    let delta = delta_since(&source, &before).await;
    let quarantine = quarantine.renewed(&delta.touched, delta.faults);
    assert_eq!(quarantine.faults().len(), 0);
}

#[tokio::test]
async fn an_id_that_is_no_id_comes_and_goes_too() {
    let (_database, client, source) = migrated().await;
    add(&client, 1).await;
    let before = known(&read_everything(&source).await);
    let insert = "INSERT INTO extensions (id, type, subject)
        VALUES ('no id', 'pre', 'beamline.ext.no'), ('health', 'pre', 'beamline.ext.health')";
    run(&client, insert).await;
    let delta = delta_since(&source, &before).await;
    for id in ["extensions/no id", "extensions/health"] {
        assert!(fault(&delta.faults, id).reason.contains("`id`"));
    }
    assert!(delta.extensions.is_empty());
    assert_eq!(delta.touched.len(), 2);

    let with_faults = known(&read_everything(&source).await);
    run(&client, "DELETE FROM extensions WHERE id = 'no id'").await;
    let delta = delta_since(&source, &with_faults).await;
    assert_eq!(delta.touched, ["no id"]);
    assert!(delta.faults.is_empty());
}

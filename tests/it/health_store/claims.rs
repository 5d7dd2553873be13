//! Every revision is claimed once.

use beamline_registry::adapters::postgres::migrate::new_epoch;
use beamline_registry::service::health_store::{ChangeKind, Claimed, Claims};

use super::*;

async fn epoch(client: &Client) -> String {
    value(client, "SELECT epoch FROM registry_revision").await
}

/// Claims until nothing is left.
async fn claim_all(store: &PostgresHealth, epoch: &str, revision: u64) -> Vec<Claimed> {
    let mut all = Vec::new();
    while let Some(claimed) = store.claim(epoch, revision).await.unwrap() {
        all.push(claimed);
    }
    all
}

#[tokio::test]
async fn five_claimers_share_every_revision_once() {
    let (database, client) = fleet(1).await;
    let epoch = epoch(&client).await;
    for retry in 2..=251 {
        run(&client, &format!("UPDATE extensions SET retry = {retry}")).await;
    }
    let claimers: Vec<_> = (0..5)
        .map(|n| {
            let (store, epoch) = (store(&database, &format!("s{n}")), epoch.clone());
            tokio::spawn(async move {
                let mut mine = Vec::new();
                for revision in 1..=251 {
                    mine.extend(claim_all(&store, &epoch, revision).await);
                }
                mine
            })
        })
        .collect();
    let mut revisions = Vec::new();
    for claimer in claimers {
        for claimed in claimer.await.unwrap() {
            revisions.extend(claimed.revisions.iter().map(|it| it.revision));
        }
    }
    revisions.sort_unstable();
    assert_eq!(revisions, (1..=251).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_claim_names_fields_and_never_values() {
    let (database, client) = fleet(0).await;
    let (store, epoch) = (store(&database, "s1"), epoch(&client).await);
    for sql in [
        "INSERT INTO extensions (id, type, subject) VALUES ('e1', 'pre', 's.1')",
        "UPDATE extensions SET retry = 4, config = '{\"secret\": 1}'",
        "INSERT INTO extension_versions (id, version, subject) VALUES ('e1', 'v2', 's.2')",
        "UPDATE extensions SET enabled = false",
        "SELECT registry_auto_enable('e1', NULL, '{}', 's1')",
        "UPDATE extensions SET enabled = true",
        "SELECT registry_auto_disable('e1', NULL, '{\"failures\": 5}', 50, 's1')",
        "DELETE FROM extensions",
    ] {
        run(&client, sql).await;
    }
    let claimed = claim_all(&store, &epoch, 7).await;
    assert_eq!(claimed.len(), 1);
    assert_eq!(claimed[0].up_to, 7);
    let told: Vec<_> = claimed[0]
        .revisions
        .iter()
        .flat_map(|it| it.changes.iter().map(|change| (it.revision, change)))
        .map(|(revision, change)| (revision, change.kind, change.fields.join(" ")))
        .collect();
    let expected = [
        (1, ChangeKind::Created, ""),
        (2, ChangeKind::Updated, "config retry"),
        (3, ChangeKind::Updated, "versions"),
        (4, ChangeKind::Disabled, "enabled"),
        (5, ChangeKind::Enabled, "enabled"),
        (6, ChangeKind::AutoDisabled, "auto_disabled"),
        (7, ChangeKind::Deleted, ""),
    ];
    assert_eq!(
        told,
        expected.map(|(revision, kind, fields)| (revision, kind, fields.to_owned()))
    );
    let reason = claimed[0].revisions[5].changes[0].reason.as_deref();
    assert_eq!(reason, Some(r#"{"failures": 5}"#));
}

#[tokio::test]
async fn claims_stay_bounded_and_within_what_is_committed() {
    let (database, client) = fleet(300).await;
    let (store, epoch) = (store(&database, "s1"), epoch(&client).await);
    let claimed = store.claim(&epoch, 99).await.unwrap().unwrap();
    assert_eq!(claimed.up_to, 1, "no further than the database is");
    let revision = &claimed.revisions[0];
    assert_eq!((revision.total, revision.changes.len()), (300, 100));

    for retry in 2..=151 {
        run(
            &client,
            &format!("UPDATE extensions SET retry = {retry} WHERE id = 'e1'"),
        )
        .await;
    }
    let steps: Vec<_> = claim_all(&store, &epoch, 151)
        .await
        .iter()
        .map(|it| it.up_to)
        .collect();
    assert_eq!(steps, [101, 151]);
    assert_eq!(store.claim(&epoch, 151).await.unwrap(), None);
}

#[tokio::test]
async fn another_epoch_begins_where_it_is() {
    let (database, client) = fleet(1).await;
    let (store, old) = (store(&database, "s1"), epoch(&client).await);
    run(
        &client,
        "UPDATE registry_revision SET epoch = gen_random_uuid(), revision = 40",
    )
    .await;
    assert_eq!(store.claim(&old, 40).await.unwrap(), None);
    let new = epoch(&client).await;
    let claimed = store.claim(&new, 40).await.unwrap().unwrap();
    assert_eq!((claimed.up_to, claimed.revisions.len()), (40, 0));
    run(&client, "UPDATE extensions SET retry = 7").await;
    let claimed = store.claim(&new, 41).await.unwrap().unwrap();
    assert_eq!(claimed.revisions.len(), 1);
}

/// As when a restored database is corrected before the sidecars start.
#[tokio::test]
async fn what_changes_after_a_new_epoch_is_claimed_whenever_a_sidecar_comes() {
    let (database, client) = fleet(1).await;
    let store = store(&database, "s1");
    let new = new_epoch(&client).await.unwrap();
    run(&client, "UPDATE extensions SET retry = 7").await;
    let claimed = store.claim(&new, 2).await.unwrap().unwrap();
    let revisions: Vec<_> = claimed.revisions.iter().map(|it| it.revision).collect();
    assert_eq!(revisions, [2]);
    assert_eq!(store.claim(&new, 2).await.unwrap(), None);
}

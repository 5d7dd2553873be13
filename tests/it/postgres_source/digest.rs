//! What a reader holds, served or not, sums up to what the database computes.

use std::sync::Arc;

use beamline_registry::domain::catalog::{Catalog, CatalogWriter};
use beamline_registry::domain::entry::PreparedReply;
use beamline_registry::domain::reconcile;
use beamline_registry::domain::routing::Resolved;
use beamline_registry::service::source::{Database, Known, Read};
use rand::RngExt as _;
use tokio_postgres::Client;

use super::{migrated, read_everything, read_since, run};

fn prepare(_: &Resolved<'_>) -> PreparedReply {
    PreparedReply {
        bytes: bytes::Bytes::new(),
        state_at: 0,
    }
}

/// Applies a read as the loader does.
fn apply(catalog: &Arc<Catalog>, writer: &mut CatalogWriter, read: Read) {
    match read {
        Read::Unchanged => {}
        Read::Delta(delta) => {
            writer.apply(reconcile::with_delta(catalog, delta, &prepare));
        }
        Read::Everything(everything) => {
            writer.apply(reconcile::with_everything(catalog, everything, &prepare));
        }
    }
}

#[tokio::test]
async fn both_sides_agree_after_many_random_changes() {
    let (_database, client, source) = migrated().await;
    let (catalog, mut writer) = Catalog::new();
    let everything = read_everything(&source).await;
    apply(&catalog, &mut writer, Read::Everything(everything));
    for _round in 0..60 {
        for _change in 0..rand::rng().random_range(1..8) {
            random_change(&client).await;
        }
        let head = catalog.head();
        let known = Known {
            epoch: head.epoch.clone().unwrap(),
            revision: head.revision,
        };
        let read = read_since(&source, &known).await;
        assert!(!matches!(read, Read::Everything(_)), "deltas suffice");
        apply(&catalog, &mut writer, read);
        let (revision, digest) = source.digest().await.unwrap();
        let head = catalog.head();
        assert_eq!(head.revision, revision);
        assert_eq!(head.digest, digest, "at revision {revision}");
    }
    // And the records themselves are those of a fresh start.
    let mut fresh = read_everything(&source).await.extensions;
    fresh.sort_by(|a, b| a.id.cmp(&b.id));
    assert_eq!(catalog.ids().len(), fresh.len());
    for extension in &fresh {
        assert_eq!(catalog.get(&extension.id).unwrap().extension(), extension);
    }
}

/// One statement that may hit anything, valid or faulty.
async fn random_change(client: &Client) {
    let (n, m, kind) = {
        let mut rng = rand::rng();
        let n: u32 = rng.random_range(0..12);
        let m: u32 = rng.random_range(0..4);
        (n, m, rng.random_range(0..10))
    };
    let sql = match kind {
        0..3 => format!(
            "INSERT INTO extensions (id, type, subject)
             VALUES ('r{n}', 'pre', 'beamline.ext.r{n}') ON CONFLICT DO NOTHING"
        ),
        3 => format!("DELETE FROM extensions WHERE id = 'r{n}'"),
        4 => format!("UPDATE extensions SET timeout_ms = {m} WHERE id = 'r{n}'"),
        5 => format!("UPDATE extensions SET version = 'v{m}' WHERE id = 'r{n}'"),
        6 => format!(
            r#"INSERT INTO extension_versions (id, version, subject, routing_rules)
               SELECT id, 'v{m}', 'beamline.ext.v{m}', '{{"t": [{m}]}}'
               FROM extensions WHERE id = 'r{n}' ON CONFLICT DO NOTHING"#
        ),
        7 => format!(
            "UPDATE extension_versions SET routing_rules = '{}' WHERE id = 'r{n}'",
            if m == 0 { "[]" } else { "{}" }
        ),
        8 => format!("DELETE FROM extension_versions WHERE id = 'r{n}' AND version = 'v{m}'"),
        _ => format!(
            "INSERT INTO extension_instances (extension_id, instance_id, subject)
             SELECT id, 'i{m}', CASE WHEN {m} = 0 THEN 'bad..subject' ELSE 'beamline.ext.i' END
             FROM extensions WHERE id = 'r{n}' ON CONFLICT DO NOTHING"
        ),
    };
    run(client, &sql).await;
}

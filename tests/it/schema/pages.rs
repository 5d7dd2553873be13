//! Pages of the audit read what they answer, by an index for each filter; and entries that are old and
//! told are taken out.

use tokio_postgres::Client;

use super::{migrated, run, value};
use crate::harness::Daemon;

/// What a page reads, in one transaction: rows of the table, and of what is stored beside it.
async fn cost(client: &Client, arguments: &str) -> (i64, i64) {
    run(client, "BEGIN").await;
    run(
        client,
        &format!("SELECT * FROM registry_audit_page({arguments})"),
    )
    .await;
    let read = "SELECT sum(seq_tup_read + coalesce(idx_tup_fetch, 0)) FILTER (WHERE relkind = 'r')
            || ' ' || sum(coalesce(idx_tup_fetch, 0)) FILTER (WHERE relkind = 't')
        FROM pg_stat_xact_all_tables JOIN pg_class c ON c.oid = relid
        WHERE relid IN ('extension_audit_log'::regclass, (SELECT reltoastrelid FROM pg_class
            WHERE oid = 'extension_audit_log'::regclass))";
    let read = value(client, read).await;
    run(client, "COMMIT").await;
    let (rows, pieces) = read.split_once(' ').unwrap();
    (rows.parse().unwrap(), pieces.parse().unwrap())
}

#[tokio::test]
async fn every_filter_has_an_index_in_the_order_of_pages() {
    let (_database, client) = migrated().await;
    run(
        &client,
        "INSERT INTO extension_audit_log (extension_id, action, changed_by, changes, timestamp)
         SELECT 'e' || i % 7, CASE WHEN i % 5000 = 0 THEN 'promoted' ELSE 'updated' END,
             CASE WHEN i % 3000 = 0 THEN 'ann' ELSE 'ben' END, '{}',
             now() - (60000 - i) * interval '1 minute'
         FROM generate_series(1, 60000) AS i;
         INSERT INTO extension_audit_log (extension_id, action) VALUES ('rare', 'created');
         ANALYZE extension_audit_log",
    )
    .await;
    for arguments in [
        "NULL, NULL, NULL, NULL, NULL, NULL, 10, 4000000",
        "'e3', NULL, NULL, NULL, NULL, NULL, 10, 4000000",
        "'rare', NULL, NULL, NULL, NULL, NULL, 10, 4000000",
        "NULL, 'ann', NULL, NULL, NULL, NULL, 10, 4000000",
        "NULL, NULL, 'promoted', NULL, NULL, NULL, 10, 4000000",
        "NULL, NULL, NULL, now() - interval '5 minutes', NULL, NULL, 10, 4000000",
        "NULL, NULL, NULL, NULL, now() - interval '59995 minutes', NULL, 10, 4000000",
        "NULL, NULL, NULL, NULL, NULL, 30000, 10, 4000000",
    ] {
        let (rows, _) = cost(&client, arguments).await;
        assert!(rows <= 400, "{arguments}: {rows} rows");
    }
}

#[tokio::test]
async fn entries_that_are_not_answered_are_not_unpacked() {
    let (_database, client) = migrated().await;
    run(
        &client,
        "ALTER TABLE extension_audit_log ALTER changes SET STORAGE EXTERNAL;
         INSERT INTO extension_audit_log (extension_id, action, changes)
         SELECT 'x', 'updated', to_jsonb(repeat('x', 1000000)) FROM generate_series(1, 30)",
    )
    .await;
    let page = "NULL, NULL, NULL, NULL, NULL, NULL, 100, 4000000";
    let (_, whole) = cost(&client, "NULL, NULL, NULL, NULL, NULL, NULL, 1, 4000000").await;
    let (_, pieces) = cost(&client, page).await;
    assert!(pieces <= 5 * whole && whole > 100, "{pieces} of {whole}");
    let answered = format!(
        "SELECT count(*) || ' ' || count(changes) || ' ' || string_agg(DISTINCT more::text, ',')
         FROM registry_audit_page({page})"
    );
    assert_eq!(value(&client, &answered).await, "3 3 true");
    let too_large = "SELECT count(*) || ' ' || count(changes) || ' ' || bool_and(more)
        FROM registry_audit_page(NULL, NULL, NULL, NULL, NULL, NULL, 100, 1000)";
    assert_eq!(value(&client, too_large).await, "1 0 true");
    let last = "SELECT count(*) || ' ' || (array_agg(more ORDER BY id))[1]
        FROM registry_audit_page('x', NULL, NULL, NULL, NULL, 3, 2, 40000000)";
    assert_eq!(value(&client, last).await, "2 false");
}

#[tokio::test]
async fn old_entries_are_pruned_once_they_are_told() {
    let (database, client) = migrated().await;
    let kept = "SELECT string_agg(extension_id, ' ' ORDER BY id) FROM extension_audit_log";
    run(
        &client,
        "INSERT INTO extensions (id, type, subject) VALUES ('told', 'pre', 's.1');
         UPDATE event_claims SET revision = 1",
    )
    .await;
    run(
        &client,
        "INSERT INTO extensions (id, type, subject) VALUES ('untold', 'pre', 's.2');
         INSERT INTO extension_audit_log (extension_id, action) VALUES ('forced', 'circuit_override');
         UPDATE extension_audit_log SET timestamp = now() - interval '91 days';
         INSERT INTO extension_audit_log (extension_id, action) VALUES ('new', 'circuit_override')",
    )
    .await;
    let prune = async |age: &str| {
        let migrate = Daemon::builder().database(&database.url()).arg("migrate");
        let (code, out, errors) = migrate.arg("--prune-audit").arg(age).run().await;
        assert_eq!((code, errors.as_str()), (0, ""), "{out}");
        out
    };
    assert!(prune("92d").await.ends_with("pruned 0 audit entries\n"));
    assert!(prune("90d").await.ends_with("pruned 2 audit entries\n"));
    assert_eq!(value(&client, kept).await, "untold new");
    // What another history has claimed says nothing about this one.
    run(
        &client,
        "UPDATE event_claims SET revision = 9, epoch = gen_random_uuid()",
    )
    .await;
    prune("90d").await;
    assert_eq!(value(&client, kept).await, "untold new");
    run(
        &client,
        "UPDATE event_claims SET epoch = (SELECT epoch FROM registry_revision)",
    )
    .await;
    prune("90d").await;
    assert_eq!(value(&client, kept).await, "new");
}

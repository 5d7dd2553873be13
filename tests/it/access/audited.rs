//! Under whose name, and as what, the audit keeps the changes of each Postgres role.

use serde_json::json;
use tokio_postgres::Client;

use super::ruled::Ruled;
use crate::harness::Daemon;
use crate::schema::{run, value};

#[tokio::test]
async fn an_operator_can_neither_rename_nor_hide_what_he_does() {
    let ruled = Ruled::start().await;
    let operator = ruled.login("beamline_operator").await;
    let falsified = [
        (
            "SET LOCAL beamline.action = 'circuit_override';
             DELETE FROM extensions WHERE id = 'normalize_text'",
            "normalize_text deleted beamline_operator database",
        ),
        (
            "SET LOCAL beamline.action = 'updated'; SET LOCAL beamline.actor = 'alice';
             UPDATE extensions SET timeout_ms = 77 WHERE id = 'pii_guard';
             DELETE FROM extensions WHERE id = 'pii_guard'",
            "pii_guard updated beamline_operator database, \
             pii_guard deleted beamline_operator database",
        ),
    ];
    for (statements, expected) in falsified {
        let last = "SELECT coalesce(max(id), 0) FROM extension_audit_log";
        let last = value(&operator, last).await;
        run(&operator, &format!("BEGIN; {statements}; COMMIT")).await;
        assert_eq!(entries(&operator, &last).await, expected);
    }
}

/// The entries after that of the id `since`.
async fn entries(client: &Client, since: &str) -> String {
    let entries = format!(
        "SELECT string_agg(concat_ws(' ', extension_id, action, changed_by, actor_source),
             ', ' ORDER BY id)
         FROM extension_audit_log WHERE id > {since}"
    );
    value(client, &entries).await
}

#[tokio::test]
async fn an_import_works_for_each_role_that_writes() {
    let ruled = Ruled::start().await;
    let folder = tempfile::tempdir().unwrap();
    for role in ["beamline_registry", "beamline_owner", "beamline_operator"] {
        let imported = json!([{
            "id": role, "type": "pre", "subject": format!("beamline.ext.{role}"),
            "versions": [{"version": "v2", "subject": format!("beamline.ext.{role}.v2")}],
            "instances": [{"instance_id": "a", "subject": format!("beamline.ext.{role}.a")}],
        }]);
        std::fs::write(folder.path().join("all.json"), imported.to_string()).unwrap();
        let import = Daemon::builder().database(&ruled.url(role)).arg("import");
        let (code, out, errors) = import.arg(folder.path().display()).run().await;
        assert_eq!((code, errors.as_str()), (0, ""), "{role}: {out}");
    }
    let who = "SELECT string_agg(DISTINCT concat_ws(' ', extension_id,
            regexp_replace(changed_by, '^import:.+', 'import:...'), actor_source), ', ')
        FROM extension_audit_log WHERE starts_with(extension_id, 'beamline_')";
    let readonly = ruled.login("beamline_readonly").await;
    assert_eq!(
        value(&readonly, who).await,
        "beamline_operator beamline_operator database, beamline_owner import:... database, \
         beamline_registry import:... database"
    );
}

//! What each Postgres role may run, and what it is refused.

use std::collections::BTreeSet;

use beamline_registry::adapters::postgres::inspect::missing_rights;
use beamline_registry::adapters::postgres::migrate::{migrate, seed};
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use super::ruled::{GRANTS, Ruled};
use crate::harness::DEADLINE;
use crate::schema::run;

/// What nobody but the owner may do.
pub(super) const OWNERS: &[&str] = &[
    "CREATE TABLE t (x int)",
    "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE SCHEMA s",
    "ALTER TABLE extensions ADD COLUMN x int",
    "ALTER TABLE extensions DISABLE TRIGGER a_lock",
    "DROP TABLE extensions",
    "TRUNCATE extensions",
    "TRUNCATE extension_audit_log",
    "DELETE FROM extension_audit_log",
    "UPDATE extension_audit_log SET changed_by = 'nobody'",
    "UPDATE extension_audit_log SET changes = NULL",
    "INSERT INTO extension_audit_log (id, extension_id, action) VALUES (1, 'x', 'created')",
    "INSERT INTO extension_audit_log (extension_id, action, timestamp) VALUES ('x', 'created', now())",
    "INSERT INTO extension_audit_log (extension_id, action, revision) VALUES ('x', 'created', 1)",
    "INSERT INTO extension_audit_log (extension_id, action, changed_by, actor_source, changes)
     VALUES ('x', 'deleted', 'alice', 'subject', '{}')",
    "INSERT INTO extension_audit_log (extension_id, action, changed_by, actor_source, changes)
     VALUES ('x', 'circuit_override', 'alice', 'subject', '{}')",
    "SELECT nextval('extension_audit_log_id_seq')",
    "SELECT registry_audit(1, '{x}', '{deleted}', ARRAY['{}'::jsonb])",
    "UPDATE registry_revision SET revision = 0",
    "UPDATE registry_revision SET epoch = gen_random_uuid()",
    "DELETE FROM registry_revision",
    "INSERT INTO registry_tombstones (id, revision) VALUES ('x', 1)",
    "DELETE FROM registry_tombstones",
    "SELECT registry_take_revision()",
    "SELECT registry_own_revision()",
    "SELECT registry_prune_tombstones()",
    "SELECT registry_auto_switch('normalize_text', true, 'x', '{}')",
    "UPDATE extensions SET revision = 1",
    "UPDATE extensions SET updated_by = 'nobody'",
    "UPDATE extensions SET digest = 1",
    "UPDATE registry_functions SET sha256 = ''",
    "UPDATE extensions SET created_at = now()",
    "INSERT INTO extensions (id, type, subject, created_by) VALUES ('x', 'pre', 's', 'nobody')",
    "DELETE FROM extension_health",
    "DELETE FROM event_claims",
    "INSERT INTO refinery_schema_history (version) VALUES (99)",
    "DELETE FROM refinery_schema_history",
    "SET session_replication_role = replica",
    "SET ROLE beamline_owner",
    "CREATE ROLE other",
    "SELECT pg_read_file('/etc/passwd')",
    "COPY extensions TO PROGRAM 'cat'",
];

/// What only the daemon may do.
pub(super) const DAEMONS: &[&str] = &[
    "SELECT registry_audit_override('x', 'alice', 'subject', NULL, '{}')",
    "INSERT INTO sidecar_boots (instance_id, flush_interval) VALUES ('x', '5 s')",
    "INSERT INTO extension_health (extension_id) VALUES ('normalize_text')",
    "UPDATE extension_health SET success_count = 0",
    "INSERT INTO circuit_overrides (extension_id, version, action, change, set_by, actor_source)
     VALUES ('x', 'v1', 'open', gen_random_uuid(), 'x', 'none')",
    "DELETE FROM circuit_overrides",
    "SELECT registry_reset_circuits('{normalize_text}')",
    "INSERT INTO probe_lease (holder, until) VALUES ('x', now())",
    "UPDATE event_claims SET revision = 0",
    "SELECT registry_auto_disable('normalize_text', NULL, '{}', 50, 'x')",
    "SELECT registry_auto_enable('normalize_text', NULL, '{}', 'x')",
    "SELECT registry_rollout_report(gen_random_uuid(), '[{\"place\": 0, \"id\": \"x\", \"version\": \"v1\",
     \"revision\": 1, \"age\": 0, \"successes\": 1, \"failures\": 0}]', '[]')",
    "DELETE FROM rollout_attempts",
    "SELECT registry_rollout_halt('normalize_text', 'v2', 0, '{}')",
    "SELECT health_fold()",
];

/// What changes definitions by their tables, as operators' plain SQL does.
const TABLES: &[&str] = &[
    "INSERT INTO extensions (id, type, subject) VALUES ('new', 'pre', 'beamline.ext.new')",
    "UPDATE extensions SET timeout_ms = timeout_ms + 1, enabled = false, config = '{\"a\": 1}'",
    "UPDATE extensions SET auto_disabled = false",
    "INSERT INTO extension_versions (id, version, subject)
     VALUES ('normalize_text', 'v2', 'beamline.ext.v2')",
    "UPDATE extension_versions SET priority = 7, enabled = true",
    "DELETE FROM extension_versions",
    "INSERT INTO extension_instances (extension_id, instance_id, subject)
     VALUES ('normalize_text', 'a', 'beamline.ext.a')",
    "UPDATE extension_instances SET weight = 50",
    "DELETE FROM extension_instances",
    "DELETE FROM extensions",
];

/// What changes definitions by the views that show them.
pub(super) const DEFINITIONS: &[&str] = &[
    "INSERT INTO extension_definitions (id, type, subject) VALUES ('new', 'pre', 'beamline.ext.new')",
    "UPDATE extension_definitions SET timeout_ms = timeout_ms + 1",
    "DELETE FROM extension_definitions",
    "INSERT INTO extension_version_definitions (id, version, subject)
     VALUES ('normalize_text', 'v2', 'beamline.ext.v2')",
    "INSERT INTO extension_instance_definitions (extension_id, instance_id, subject)
     VALUES ('normalize_text', 'a', 'beamline.ext.a')",
    "SELECT registry_put('extensions', jsonb_agg(v)) FROM extension_definitions v",
    "SELECT registry_put('versions', '[{\"id\": \"normalize_text\", \"version\": \"v2\",
     \"subject\": \"s\", \"priority\": 1, \"enabled\": true}]')",
    "SELECT registry_patch('normalize_text', '{\"retry\": 7}')",
];

/// What everybody may read.
pub(super) const READS: &[&str] = &[
    "SELECT * FROM extensions",
    "SELECT * FROM extension_versions",
    "SELECT * FROM extension_instances",
    "SELECT * FROM extension_definitions",
    "SELECT * FROM extension_version_definitions",
    "SELECT * FROM extension_instance_definitions",
    "SELECT * FROM extension_health",
    "SELECT * FROM extension_audit_log",
    "SELECT * FROM registry_revision",
    "SELECT * FROM live_sidecars",
    "SELECT * FROM extension_circuit_states",
    "SELECT * FROM circuit_overrides",
    "SELECT registry_digest()",
    "SELECT * FROM refinery_schema_history",
];

/// Tries statements, and takes back what they did.
pub(super) async fn check(client: &Client, role: &str, statements: &[&str], allowed: bool) {
    for sql in statements {
        run(client, "BEGIN").await;
        let result = client.batch_execute(sql).await;
        run(client, "ROLLBACK").await;
        match result {
            Ok(()) => assert!(allowed, "{role} may: {sql}"),
            Err(error) => {
                let refused = error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE);
                assert!(!allowed && refused, "{role}: {sql}: {error:?}");
            }
        }
    }
}

#[tokio::test]
async fn each_role_may_run_its_statements_and_is_refused_the_rest() {
    let ruled = Ruled::start().await;
    ruled.again().await;
    let owner = ruled.login("beamline_owner").await;
    run(&owner, "CREATE TABLE later (x int)").await;
    for (role, daemon, definitions) in [
        ("beamline_registry", true, true),
        ("beamline_operator", false, true),
        ("beamline_readonly", false, false),
    ] {
        let client = ruled.login(role).await;
        check(&client, role, READS, true).await;
        check(&client, role, DEFINITIONS, definitions).await;
        check(&client, role, TABLES, definitions && !daemon).await;
        check(&client, role, DAEMONS, daemon).await;
        check(&client, role, OWNERS, false).await;
        // What is not the registry's own is nobody's but its owner's.
        check(&client, role, &["SELECT * FROM later"], false).await;
    }
}

/// What is given beyond reading, a right on some columns as one on the table.
const GIVEN: &str = "
    SELECT format('%s ON %s', privilege_type, table_name)
    FROM information_schema.role_table_grants
    WHERE grantee = 'beamline_registry' AND privilege_type <> 'SELECT'
    UNION SELECT format('%s ON %s', privilege_type, table_name)
    FROM information_schema.column_privileges
    WHERE grantee = 'beamline_registry' AND privilege_type <> 'SELECT'";

/// `check` has a list of its own.
#[tokio::test]
async fn check_asks_for_every_right_that_is_given() {
    let ruled = Ruled::start().await;
    let superuser = ruled.database.connect().await;
    let given = superuser.query(GIVEN, &[]).await.unwrap();
    let given: BTreeSet<String> = given.iter().map(|row| row.get(0)).collect();
    assert!(given.len() > 20, "{given:?}");
    let registry = ruled.login("beamline_registry").await;
    assert_eq!(missing_rights(&registry).await.unwrap(), [""; 0]);
    let revoke = "REVOKE ALL ON ALL TABLES IN SCHEMA public FROM beamline_registry";
    run(&superuser, revoke).await;
    let missing = missing_rights(&registry).await.unwrap();
    assert_eq!(BTreeSet::from_iter(missing), given);
}

/// A site may say that functions are not everybody's.
#[tokio::test]
async fn functions_are_granted_where_new_ones_are_nobodys() {
    let ruled = Ruled::unmigrated().await;
    let superuser = ruled.database.connect().await;
    let closed = "ALTER DEFAULT PRIVILEGES FOR ROLE beamline_owner
        REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC";
    run(&superuser, closed).await;
    let mut owner = ruled.login("beamline_owner").await;
    migrate(&mut owner, DEADLINE).await.unwrap();
    seed(&owner).await.unwrap();
    let operator = ruled.login("beamline_operator").await;
    check(&operator, "beamline_operator", READS, true).await;
    check(&operator, "beamline_operator", DEFINITIONS, true).await;
    check(&operator, "beamline_operator", TABLES, true).await;
    check(&operator, "beamline_operator", DAEMONS, false).await;
    let readonly = ruled.login("beamline_readonly").await;
    check(&readonly, "beamline_readonly", READS, true).await;
    let registry = ruled.login("beamline_registry").await;
    for statements in [READS, DEFINITIONS, DAEMONS] {
        check(&registry, "beamline_registry", statements, true).await;
    }
    check(&registry, "beamline_registry", OWNERS, false).await;
    let missing = missing_rights(&registry).await.unwrap();
    assert!(missing.is_empty(), "{missing:?}");

    let revoke = "REVOKE EXECUTE ON FUNCTION registry_digest() FROM beamline_registry";
    run(&superuser, revoke).await;
    let missing = missing_rights(&registry).await.unwrap();
    assert_eq!(missing, ["EXECUTE ON FUNCTION registry_digest()"]);
    ruled.file("beamline_owner", GRANTS).await.unwrap();
    check(&registry, "beamline_registry", READS, true).await;
}

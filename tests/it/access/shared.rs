//! In a schema that other tools share, the files of `deploy/postgres` and `migrate` touch nothing that
//! is not the registry's, open nothing of it, and stop at the first error.

use beamline_registry::adapters::postgres::migrate::{migrate, seed};
use tokio_postgres::Client;

use super::database::{DEFINITIONS, READS, check};
use super::ruled::{GRANTS, ROLES, Ruled};
use crate::harness::DEADLINE;
use crate::schema::{run, value};

/// What others have there: names that ours begin with too, and one that says that it is ours.
const OTHERS: &str = "
    CREATE ROLE shop LOGIN PASSWORD 'pw-shop';
    CREATE ROLE mate LOGIN PASSWORD 'pw-mate';
    GRANT CREATE, USAGE ON SCHEMA public TO shop, mate;
    SET ROLE shop;
    CREATE TABLE orders (id bigserial PRIMARY KEY, card text);
    INSERT INTO orders (card) VALUES ('4711');
    GRANT SELECT ON orders TO mate;
    CREATE VIEW registry_of_orders AS SELECT * FROM orders;
    CREATE FUNCTION registry_of_pets() RETURNS int LANGUAGE sql AS 'SELECT 1';
    CREATE FUNCTION health_check(text) RETURNS int LANGUAGE sql AS 'SELECT 1';
    CREATE FUNCTION health_add(text) RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1';
    COMMENT ON FUNCTION health_add(text) IS 'Part of beamline-registry';
    GRANT EXECUTE ON FUNCTION health_check(text) TO mate;
    RESET ROLE;";

/// Everything about what is not ours: owners and rights, also of what will be made.
const THEIRS: &str = "
    SELECT string_agg(line, E'\\n' ORDER BY line) FROM (
        SELECT concat_ws(' ', relname, relowner::regrole, relacl) AS line FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relname ~ 'orders'
        UNION ALL SELECT concat_ws(' ', oid::regprocedure, proowner::regrole, proacl) FROM pg_proc
        WHERE pronamespace = 'public'::regnamespace
          AND oid::regprocedure::text IN ('registry_of_pets()', 'health_check(text)', 'health_add(text)')
        UNION ALL SELECT concat_ws(' ', defaclrole::regrole, defaclobjtype, defaclacl)
        FROM pg_default_acl) AS them";

/// What those with the registry's roles do not get.
const CLOSED: &[&str] = &[
    "SELECT * FROM orders",
    "SELECT * FROM registry_of_orders",
    "SELECT nextval('orders_id_seq')",
    "DELETE FROM orders",
    "SELECT * FROM later",
];

async fn closed_and_working(ruled: &Ruled) {
    for (role, definitions) in [
        ("beamline_registry", true),
        ("beamline_operator", true),
        ("beamline_readonly", false),
    ] {
        let client = ruled.login(role).await;
        check(&client, role, CLOSED, false).await;
        check(&client, role, READS, true).await;
        check(&client, role, DEFINITIONS, definitions).await;
    }
}

/// What is made by the schema's owner and is not the registry's is not opened either.
async fn later(client: &Client) {
    run(client, "CREATE TABLE later (x int)").await;
}

#[tokio::test]
async fn nothing_of_others_is_touched_or_opened() {
    let ruled = Ruled::unmigrated().await;
    let superuser = ruled.database.connect().await;
    run(&superuser, OTHERS).await;
    let before = value(&superuser, THEIRS).await;
    let mut owner = ruled.login("beamline_owner").await;
    migrate(&mut owner, DEADLINE).await.unwrap();
    seed(&owner).await.unwrap();
    later(&owner).await;
    closed_and_working(&ruled).await;
    for role in ["postgres", "beamline_owner"] {
        ruled.file(role, GRANTS).await.unwrap();
        ruled.file("postgres", ROLES).await.unwrap();
        assert_eq!(value(&superuser, THEIRS).await, before, "{role}");
        closed_and_working(&ruled).await;
    }
}

/// The roles are the server's: that they are there does not mean that this database is theirs.
#[tokio::test]
async fn a_database_that_was_not_handed_over_is_not_opened_by_migrate() {
    let ruled = Ruled::unmigrated().await;
    let mut superuser = ruled.database.connect().await;
    migrate(&mut superuser, DEADLINE).await.unwrap();
    let readonly = ruled.login("beamline_readonly").await;
    check(
        &readonly,
        "beamline_readonly",
        READS.get(..6).unwrap(),
        false,
    )
    .await;
    ruled.again().await;
    closed(&readonly).await;
    let mut owner = ruled.login("beamline_owner").await;
    run(&superuser, "UPDATE registry_functions SET sha256 = ''").await;
    assert!(migrate(&mut owner, DEADLINE).await.unwrap().functions);
}

async fn closed(readonly: &Client) {
    check(readonly, "beamline_readonly", READS, true).await;
    check(readonly, "beamline_readonly", DEFINITIONS, false).await;
}

/// Rights are given on everything that the registry makes, and on each thing what its list says.
#[tokio::test]
async fn the_lists_of_tables_name_all_that_migrations_make() {
    let ruled = Ruled::start().await;
    let superuser = ruled.database.connect().await;
    let unnamed = "SELECT string_agg(relname, ', ') FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v')
          AND NOT has_table_privilege('beamline_readonly', oid, 'SELECT')";
    assert_eq!(value(&superuser, unnamed).await, "", "in registry_grant()");
    run(&superuser, "REASSIGN OWNED BY beamline_owner TO postgres").await;
    ruled.file("postgres", ROLES).await.unwrap();
    let unnamed = "SELECT string_agg(relname, ', ') FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v')
          AND relowner <> 'beamline_owner'::regrole";
    assert_eq!(value(&superuser, unnamed).await, "", "in roles.sql");
}

#[tokio::test]
async fn both_files_stop_at_the_first_error_and_leave_nothing_half_done() {
    let ruled = Ruled::unmigrated().await;
    let superuser = ruled.database.connect().await;
    let unmigrated = ruled.file("postgres", GRANTS).await.unwrap_err();
    assert!(unmigrated.contains("registry_grant"), "{unmigrated}");

    let mut owner = ruled.login("beamline_owner").await;
    migrate(&mut owner, DEADLINE).await.unwrap();
    run(&superuser, "DROP TABLE probe_lease").await;
    let rights = "SELECT string_agg(relname || relacl::text, ' ' ORDER BY relname) FROM pg_class
        WHERE relnamespace = 'public'::regnamespace";
    let before = value(&superuser, rights).await;
    let missing = ruled.file("beamline_owner", GRANTS).await.unwrap_err();
    assert!(missing.contains("probe_lease"), "{missing}");
    assert_eq!(value(&superuser, rights).await, before);

    run(
        &superuser,
        "GRANT CREATE ON SCHEMA public TO PUBLIC; ALTER ROLE beamline_operator CREATEDB",
    )
    .await;
    let refused = ruled.file("beamline_owner", ROLES).await.unwrap_err();
    assert!(!refused.is_empty());
    let kept = "SELECT has_schema_privilege('beamline_readonly', 'public', 'CREATE')
        AND rolcreatedb FROM pg_roles WHERE rolname = 'beamline_operator'";
    assert_eq!(value(&superuser, kept).await, "true");
}

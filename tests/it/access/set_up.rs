//! The files of `deploy/postgres` set a database up, whoever owned it and whoever runs them.

use beamline_registry::adapters::postgres::inspect::missing_rights;
use beamline_registry::adapters::postgres::migrate::{migrate, seed};

use super::database::{DEFINITIONS, OWNERS, READS, check};
use super::ruled::{GRANTS, NAMES, ROLES, Ruled};
use crate::harness::{DEADLINE, Daemon, Postgres, TestDatabase};
use crate::schema::{run, value};

/// How many tables and functions somebody else owns.
const STRANGERS: &str = "SELECT concat_ws(' ',
    (SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
     WHERE nspname = 'public' AND relowner <> 'beamline_owner'::regrole
       AND relkind IN ('r', 'v', 'S', 'i')),
    (SELECT count(*) FROM pg_proc p JOIN pg_namespace n ON n.oid = pronamespace
     WHERE nspname = 'public' AND proowner <> 'beamline_owner'::regrole))";

#[tokio::test]
async fn who_may_create_roles_and_owns_the_database_sets_it_up() {
    let server = Postgres::private().await;
    let database = TestDatabase::create_on(&server).await;
    let superuser = database.connect().await;
    let name = database.name();
    run(
        &superuser,
        &format!(
            "CREATE ROLE manager LOGIN CREATEROLE PASSWORD 'pw-manager';
             ALTER DATABASE \"{name}\" OWNER TO manager"
        ),
    )
    .await;
    let ruled = Ruled { database, server };
    // As the old system did: with tables of his own.
    let mut manager = ruled.login("manager").await;
    migrate(&mut manager, DEADLINE).await.unwrap();
    seed(&manager).await.unwrap();
    for file in [ROLES, GRANTS, ROLES, GRANTS] {
        ruled.file("manager", file).await.unwrap();
    }
    assert_eq!(value(&superuser, STRANGERS).await, "0 0");
    for role in NAMES {
        run(&manager, &format!("ALTER ROLE {role} PASSWORD 'pw-{role}'")).await;
    }
    let mut owner = ruled.login("beamline_owner").await;
    migrate(&mut owner, DEADLINE).await.unwrap();
    for (role, definitions) in [("beamline_registry", true), ("beamline_readonly", false)] {
        let client = ruled.login(role).await;
        check(&client, role, READS, true).await;
        check(&client, role, DEFINITIONS, definitions).await;
        check(&client, role, OWNERS, false).await;
    }
}

#[tokio::test]
async fn an_account_that_may_not_migrate_is_told_which_one_may() {
    let ruled = Ruled::unmigrated().await;
    let migrating = |role| Daemon::builder().database(&ruled.url(role)).arg("migrate");
    let (code, _, errors) = migrating("beamline_registry").run().await;
    assert_eq!(code, 1, "{errors}");
    assert!(
        errors.contains("permission denied") && errors.contains("beamline_owner"),
        "{errors}"
    );
    let (code, _, errors) = migrating("beamline_owner").run().await;
    assert_eq!((code, errors.as_str()), (0, ""));
}

#[tokio::test]
async fn a_role_that_may_too_much_loses_it() {
    let ruled = Ruled::start().await;
    let superuser = ruled.database.connect().await;
    run(
        &superuser,
        "ALTER ROLE beamline_operator SUPERUSER CREATEDB CREATEROLE REPLICATION BYPASSRLS",
    )
    .await;
    ruled.again().await;
    let powers = "SELECT count(*) FROM pg_roles WHERE starts_with(rolname, 'beamline_')
        AND (rolsuper OR rolcreatedb OR rolcreaterole OR rolreplication OR rolbypassrls)";
    assert_eq!(value(&superuser, powers).await, "0");
}

#[tokio::test]
async fn a_database_that_somebody_else_migrated_changes_hands() {
    let ruled = Ruled::start().await;
    let superuser = ruled.database.connect().await;
    run(
        &superuser,
        "REASSIGN OWNED BY beamline_owner TO postgres; REVOKE ALL ON SCHEMA public FROM postgres",
    )
    .await;
    ruled.again().await;
    assert_eq!(value(&superuser, STRANGERS).await, "0 0");
    let registry = ruled.login("beamline_registry").await;
    check(&registry, "beamline_registry", DEFINITIONS, true).await;
}

/// A schema whose name needs quotes.
#[tokio::test]
async fn a_schema_with_capitals_is_set_up() {
    let ruled = Ruled::unmigrated().await;
    let superuser = ruled.database.connect().await;
    let name = ruled.database.name();
    let here =
        format!("CREATE SCHEMA \"App\"; ALTER DATABASE \"{name}\" SET search_path = \"App\"");
    run(&superuser, &here).await;
    ruled.file("postgres", ROLES).await.unwrap();
    let mut owner = ruled.login("beamline_owner").await;
    migrate(&mut owner, DEADLINE).await.unwrap();
    seed(&owner).await.unwrap();
    ruled.again().await;
    let registry = ruled.login("beamline_registry").await;
    check(&registry, "beamline_registry", READS, true).await;
    check(&registry, "beamline_registry", DEFINITIONS, true).await;
    let missing = missing_rights(&registry).await.unwrap();
    assert!(missing.is_empty(), "{missing:?}");
}

#[tokio::test]
async fn rows_hidden_from_the_owner_are_not_blamed_on_the_account() {
    let ruled = Ruled::start().await;
    let superuser = ruled.database.connect().await;
    let hide = "UPDATE registry_functions SET sha256 = '';
        ALTER TABLE extensions ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY";
    run(&superuser, hide).await;
    let url = ruled.url("beamline_owner");
    let (code, _, errors) = Daemon::builder().database(&url).arg("migrate").run().await;
    assert_eq!(code, 1, "{errors}");
    assert!(errors.contains("DISABLE ROW LEVEL SECURITY"), "{errors}");
    assert!(!errors.contains("migrate with the account"), "{errors}");
}

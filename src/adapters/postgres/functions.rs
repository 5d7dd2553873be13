//! The functions, views and triggers of the schema: `migrations/functions/`, each in one place.
//!
//! They are no migrations: all of them are applied again, in one transaction, whenever one of them
//! or the tables have changed. What the database has is known by a hash that it keeps: of the texts, and
//! of what they were applied to and made. A column that another tool has added or renamed, a view that
//! went with a column, a trigger that was left disabled is put right by the next `migrate`.

use sha2::{Digest, Sha256};
use tokio_postgres::{Client, Error, GenericClient};

use super::migrate::newest;
use super::patience;

/// In this order: some name what others make.
const FILES: [&str; 9] = [
    include_str!("../../../migrations/functions/definitions.sql"),
    include_str!("../../../migrations/functions/revision.sql"),
    include_str!("../../../migrations/functions/audit.sql"),
    include_str!("../../../migrations/functions/triggers.sql"),
    include_str!("../../../migrations/functions/health.sql"),
    include_str!("../../../migrations/functions/fleet.sql"),
    include_str!("../../../migrations/functions/rollouts.sql"),
    include_str!("../../../migrations/functions/records.sql"),
    include_str!("../../../migrations/functions/rights.sql"),
];

/// Those with triggers. Making a trigger keeps writers out, and readers in.
const LOCKED: [&str; 5] = [
    "extensions",
    "extension_versions",
    "extension_instances",
    "extension_health",
    "circuit_overrides",
];

/// The functions find their tables in the schema that they are made in.
const HERE: &str =
    "SELECT set_config('search_path', format('%I, pg_temp', current_schema()), true)";

/// The rights that were given on our views: one that is made anew has lost them.
const RIGHTS: &str = "SELECT format('GRANT %s ON %s TO %s%s', privilege_type, c.oid::regclass, \
        CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END, \
        CASE WHEN is_grantable THEN ' WITH GRANT OPTION' ELSE '' END) \
    FROM pg_class c, aclexplode(relacl) \
    WHERE relkind = 'v' AND relnamespace = quote_ident(current_schema())::regnamespace \
        AND relname = ANY ('{extension_definitions,extension_version_definitions,\
            extension_instance_definitions,extension_circuit_states,live_sidecars}') \
        AND grantee <> relowner AND pg_has_role(relowner, 'USAGE')";

const KEEP: &str = "INSERT INTO registry_functions (sha256) VALUES ($1) \
    ON CONFLICT (singleton) DO UPDATE SET sha256 = excluded.sha256";

/// The schema's name, which the functions have in them: it may be renamed. The columns of definition
/// tables, of which functions and views are made, and of our views. Our triggers, and when they fire.
const SHAPE: &str = "SELECT concat_ws(' ', current_schema(), \
    (SELECT string_agg(concat_ws(' ', c.relname, a.attname, \
            format_type(a.atttypid, a.atttypmod), a.attgenerated), ', ' \
            ORDER BY c.relname, a.attname) \
        FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid \
        WHERE c.relnamespace = quote_ident(current_schema())::regnamespace \
            AND c.relname = ANY ('{extensions,extension_versions,extension_instances,\
                extension_definitions,extension_version_definitions,\
                extension_instance_definitions,extension_circuit_states,live_sidecars}') \
            AND a.attnum > 0 AND NOT a.attisdropped), \
    (SELECT string_agg(concat_ws(' ', c.relname, t.tgname, t.tgenabled), ', ' \
            ORDER BY c.relname, t.tgname) \
        FROM pg_class c JOIN pg_trigger t ON t.tgrelid = c.oid \
        WHERE c.relnamespace = quote_ident(current_schema())::regnamespace AND NOT t.tgisinternal \
            AND obj_description(t.tgfoid, 'pg_proc') = 'Part of beamline-registry'))";

/// Whether the database has the functions of this binary, for the schema in which they are. Its tables
/// must be this binary's.
///
/// # Errors
/// What Postgres answers.
pub async fn are_current(client: &impl GenericClient) -> Result<bool, Error> {
    let known = "SELECT EXISTS (SELECT FROM registry_functions WHERE sha256 = $1)";
    let hash = hash(client).await?;
    client.query_one(known, &[&hash]).await?.try_get(0)
}

/// Statements that give the rights on views again, as they are now.
pub(super) async fn rights(client: &Client) -> Result<Vec<String>, Error> {
    let rows = client.query(RIGHTS, &[]).await?;
    rows.iter().map(|row| row.try_get(0)).collect()
}

/// Applies all of them; `rights` are what [`rights`] returned before the tables changed.
pub(super) async fn apply(client: &mut Client, rights: &[String]) -> Result<(), Error> {
    let transaction = client.transaction().await?;
    transaction.execute(HERE, &[]).await?;
    patience::lock(&transaction, LOCKED, "SHARE ROW EXCLUSIVE").await?;
    for text in FILES {
        transaction.batch_execute(text).await?;
    }
    transaction.batch_execute(&rights.join(";")).await?;
    let hash = hash(&transaction).await?;
    transaction.execute(KEEP, &[&hash]).await?;
    transaction.commit().await
}

/// Of all texts, and of the tables that they were applied to.
async fn hash(client: &impl GenericClient) -> Result<String, Error> {
    let shape: String = client.query_one(SHAPE, &[]).await?.try_get(0)?;
    let tables = format!("{} {shape}", newest());
    let mut hash = Sha256::new_with_prefix(tables);
    for text in FILES {
        hash.update(text);
    }
    let bytes = hash.finalize();
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

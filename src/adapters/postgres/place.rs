//! Which database this is, and where in it the registry's tables are.
//!
//! One rule for all connections: the first schema of the account's `search_path` that has them. The
//! session's path is then that schema alone, so that no table of the same name elsewhere comes
//! between. Tables in a schema that the path does not lead to are named, and no second, empty set
//! is made beside them.

use tokio_postgres::GenericClient;

use super::error::PostgresError;

/// Schemas that have the registry's tables, the ones in the path first. No other application has a
/// table of this name for the revision; a database of the old system has none, but an `extensions`
/// with these columns. The path of the session becomes the first one's alone, in the same round
/// trip.
const FIND: &str = "WITH sets AS (
        SELECT n.oid, n.nspname::text AS name,
            pg_catalog.has_schema_privilege(n.oid, 'USAGE') AS usable,
            pg_catalog.array_position(pg_catalog.current_schemas(false), n.nspname) AS place
        FROM pg_catalog.pg_namespace n
        WHERE n.nspname NOT LIKE 'pg\\_%' AND EXISTS (
            SELECT FROM pg_catalog.pg_class c WHERE c.relnamespace = n.oid AND (
                c.relname = 'registry_revision' OR c.relname = 'extensions' AND 4 = (
                    SELECT pg_catalog.count(*) FROM pg_catalog.pg_attribute a
                    WHERE a.attrelid = c.oid AND NOT a.attisdropped
                      AND a.attname IN ('id', 'type', 'subject', 'timeout_ms'))))),
    home AS (SELECT oid, name FROM sets WHERE place IS NOT NULL ORDER BY place LIMIT 1)
    SELECT pg_catalog.current_setting('server_encoding'),
        pg_catalog.current_setting('search_path'),
        (SELECT name FROM home WHERE
            pg_catalog.set_config('search_path', pg_catalog.format('%I, pg_temp', name), false) <> ''),
        ARRAY(SELECT name FROM sets ORDER BY place, name),
        ARRAY(SELECT name FROM sets WHERE NOT usable ORDER BY name),
        EXISTS (SELECT FROM pg_catalog.pg_class c JOIN home ON c.relnamespace = home.oid
            WHERE c.relname = 'refinery_schema_history')";

/// What [`find`] saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The schema whose tables are used; none in a database without any.
    pub home: Option<String>,
    /// Other schemas that have such tables too, and are not used.
    pub others: Vec<String>,
    /// Whether migrations were applied there.
    pub(super) has_history: bool,
}

/// Looks, and has the session use what it found.
///
/// # Errors
/// A database that is not UTF8, or whose tables are somewhere else.
pub async fn find(client: &impl GenericClient) -> Result<Place, PostgresError> {
    let row = client.query_typed_one(FIND, &[]).await?;
    let encoding: &str = row.try_get(0)?;
    if encoding != "UTF8" {
        return Err(PostgresError::Encoding(encoding.to_owned()));
    }
    let (search_path, home): (String, Option<String>) = (row.try_get(1)?, row.try_get(2)?);
    let (sets, unusable): (Vec<String>, Vec<String>) = (row.try_get(3)?, row.try_get(4)?);
    match home {
        None if !sets.is_empty() => Err(PostgresError::Elsewhere {
            search_path,
            schemas: sets,
            unusable,
        }),
        home => Ok(Place {
            others: sets
                .into_iter()
                .filter(|name| Some(name) != home.as_ref())
                .collect(),
            home,
            has_history: row.try_get(5)?,
        }),
    }
}

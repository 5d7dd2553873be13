//! Which schema a database has, and which one this binary was built for.
//!
//! Versions are the numbers of the files in `migrations/`. The daemon asks whenever it has made a
//! connection: nothing is read from a schema that is behind; one that is ahead is served, since
//! migrations only add. Its queries are unnamed, as all of the daemon's: a transaction pooler would
//! lose named ones.

use std::cmp::Ordering;

use tokio_postgres::GenericClient;

use super::error::PostgresError;
use super::place;

/// A migration's number.
pub type SchemaVersion = i32;

/// The database's schema beside the one this binary needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SchemaState {
    /// The last migration applied; 0 in a database without any. A newer binary may have applied it.
    pub have: SchemaVersion,
    /// The last migration this binary knows.
    pub need: SchemaVersion,
}

impl SchemaState {
    /// Whether it is the schema this binary was built for.
    pub fn is_current(self) -> bool {
        self.have == self.need
    }

    /// Whether this binary can serve from such a database.
    pub fn is_usable(self) -> bool {
        self.have >= self.need
    }

    /// The same as an error.
    pub(super) fn usable(self) -> Result<(), PostgresError> {
        match self.is_usable() {
            true => Ok(()),
            false => Err(PostgresError::SchemaBehind(self)),
        }
    }
}

impl std::fmt::Display for SchemaState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { have, need } = self;
        match have.cmp(need) {
            Ordering::Less if *have == 0 => write!(f, "no schema yet, version {need} is needed"),
            Ordering::Less => write!(f, "schema is at version {have}, version {need} is needed"),
            Ordering::Equal => f.write_str("schema is up to date"),
            Ordering::Greater => write!(
                f,
                "schema is at version {have}, ahead of this binary's {need}"
            ),
        }
    }
}

/// Looks the schema up: two small queries, no lock, no write. From then on the session uses the
/// tables that were found, see [`place`].
///
/// # Errors
/// What Postgres answers; a role that may not read `refinery_schema_history` gets its refusal. A
/// database that is not UTF8, whose tables are somewhere else, or that a version made that was never
/// released: none can upgrade it.
pub async fn schema_state(client: &impl GenericClient) -> Result<SchemaState, PostgresError> {
    let need = super::migrate::newest();
    if !place::find(client).await?.has_history {
        return Ok(SchemaState { have: 0, need });
    }
    let row = client
        .query_typed_one(
            "SELECT coalesce(max(version), 0), \
                coalesce(bool_or(version = 1 AND name <> 'definitions'), false) \
            FROM refinery_schema_history",
            &[],
        )
        .await?;
    let have = row.try_get(0)?;
    if row.try_get(1)? {
        return Err(PostgresError::Unreleased(have));
    }
    Ok(SchemaState { have, need })
}

#[cfg(test)]
mod tests {
    use super::SchemaState;

    #[test]
    fn only_a_schema_that_is_behind_cannot_be_served() {
        for (have, usable) in [(0, false), (6, false), (7, true), (8, true)] {
            assert_eq!(SchemaState { have, need: 7 }.is_usable(), usable, "{have}");
        }
    }
}

//! Which schema a database has, and which one this binary was built for.
//!
//! Versions are the numbers of the files in `migrations/`. The daemon asks whenever it has made a
//! connection: nothing is read from a schema that is behind; one that is ahead is served, since
//! migrations only add. Its queries are unnamed, as all of the daemon's: a transaction pooler would
//! lose named ones.

use tokio_postgres::GenericClient;

use super::error::PostgresError;
use super::place;

/// A migration's number.
pub type SchemaVersion = i32;

/// The database's schema beside the one this binary needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SchemaState {
    /// Migrations are missing; `have` is 0 in a database without any.
    Behind {
        /// The last migration applied.
        have: SchemaVersion,
        /// The last migration this binary knows.
        need: SchemaVersion,
    },
    /// The schema this binary was built for.
    Current,
    /// A newer binary has migrated the database.
    Ahead {
        /// The last migration applied.
        have: SchemaVersion,
        /// The last migration this binary knows.
        need: SchemaVersion,
    },
    /// A version made it that was never released, and that none can upgrade.
    Unreleased {
        /// The last migration applied.
        have: SchemaVersion,
    },
}

impl SchemaState {
    fn of(have: SchemaVersion, need: SchemaVersion) -> Self {
        match have.cmp(&need) {
            std::cmp::Ordering::Less => Self::Behind { have, need },
            std::cmp::Ordering::Equal => Self::Current,
            std::cmp::Ordering::Greater => Self::Ahead { have, need },
        }
    }

    /// Whether this binary can serve from such a database.
    pub fn is_usable(self) -> bool {
        matches!(self, Self::Current | Self::Ahead { .. })
    }

    /// The same as an error.
    pub(super) fn usable(self) -> Result<(), PostgresError> {
        match self {
            Self::Current | Self::Ahead { .. } => Ok(()),
            Self::Behind { have, need } => Err(PostgresError::SchemaBehind { have, need }),
            Self::Unreleased { have } => Err(PostgresError::Unreleased(have)),
        }
    }
}

impl std::fmt::Display for SchemaState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Behind { have: 0, need } => {
                write!(f, "no schema yet, version {need} is needed")
            }
            Self::Behind { have, need } => {
                write!(f, "schema is at version {have}, version {need} is needed")
            }
            Self::Current => f.write_str("schema is up to date"),
            Self::Ahead { have, need } => {
                write!(
                    f,
                    "schema is at version {have}, ahead of this binary's {need}"
                )
            }
            Self::Unreleased { have } => PostgresError::Unreleased(*have).fmt(f),
        }
    }
}

/// Looks the schema up: two small queries, no lock, no write. From then on the session uses the
/// tables that were found, see [`place`].
///
/// # Errors
/// What Postgres answers; a role that may not read `refinery_schema_history` gets its refusal. A
/// database that is not UTF8, or whose tables are somewhere else.
pub async fn schema_state(client: &impl GenericClient) -> Result<SchemaState, PostgresError> {
    let need = super::migrate::newest();
    if !place::find(client).await?.has_history {
        return Ok(SchemaState::of(0, need));
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
        return Ok(SchemaState::Unreleased { have });
    }
    Ok(SchemaState::of(have, need))
}

#[cfg(test)]
mod tests {
    use super::SchemaState;

    #[test]
    fn only_a_schema_that_is_behind_cannot_be_served() {
        assert!(!SchemaState::of(0, 7).is_usable());
        assert!(!SchemaState::of(6, 7).is_usable());
        assert!(SchemaState::of(7, 7).is_usable());
        assert!(SchemaState::of(8, 7).is_usable());
    }
}

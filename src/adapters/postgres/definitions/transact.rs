//! The transaction of a change. Until COMMIT is sent, whatever fails has changed nothing; after
//! that, only the database knows.

use std::time::Duration;

use tokio::time::Instant;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Error};

use super::steps;
use super::write::Deadlines;
use super::{Parameter, PostgresDefinitions, read};
use crate::adapters::postgres::error::PostgresError;
use crate::adapters::postgres::limit::until;
use crate::adapters::postgres::pool;
use crate::adapters::postgres::settings::{self, Kind, Limits};
use crate::domain::edit::{EditError, plan};
use crate::domain::policy::Policy;
use crate::service::definitions::{Write, Written};

/// For a lock, before the database says whose it is.
const LOCK_LIMIT: Duration = Duration::from_secs(2);
/// What remains for the answer when a lock is given up.
const ROOM: Duration = Duration::from_millis(400);
/// Between two statements.
const IDLE_LIMIT: Duration = Duration::from_secs(5);

/// The triggers of a statement that changes nothing take the lock on the revision, with the rights
/// of the schema's owner.
const LOCK: &str = "UPDATE extension_definitions SET enabled = enabled WHERE false";

const NAME_ACTOR: &str = "SELECT set_config('beamline.actor', $1, true), \
    set_config('beamline.actor_source', $2, true), pg_current_xact_id()::text, \
    set_config('beamline.action', '', true)";

const NAME_ACTION: &str = "SELECT set_config('beamline.action', $1, true)";

/// The revision that this transaction has taken, if it has.
const OWN_REVISION: &str =
    "SELECT revision FROM registry_revision WHERE last_xid = pg_current_xact_id()";

/// Why a transaction did not commit, as far as is known.
pub(super) enum Ended {
    /// The command breaks a rule: rolled back.
    Refused(EditError),
    /// It failed before COMMIT was sent, or COMMIT was refused: rolled back.
    Failed(PostgresError),
    /// COMMIT was sent, and its answer does not tell.
    InDoubt {
        /// The transaction.
        xid: String,
        /// What it comes to if it was committed.
        written: Written,
        /// What came instead of an answer.
        error: PostgresError,
    },
}

impl From<PostgresError> for Ended {
    fn from(error: PostgresError) -> Self {
        Self::Failed(error)
    }
}

/// All that is to be committed.
struct Prepared {
    xid: String,
    written: Written,
}

impl PostgresDefinitions {
    /// Carries `write` out on a connection of its own.
    pub(super) async fn transact(
        &self,
        write: &Write,
        policy: &Policy,
        deadlines: Deadlines,
    ) -> Result<Written, Ended> {
        let prepared_by = deadlines.prepared;
        let connection = until("a connection", prepared_by, self.pool.get_whole()).await?;
        let preparing = prepare(&connection, write, policy, prepared_by);
        let Prepared { xid, written } = match until("the change", prepared_by, preparing).await? {
            Ok(prepared) => prepared,
            Err(refused) => {
                // The transaction is ended, so the connection can be used again.
                pool::ended(connection);
                return Err(Ended::Refused(refused));
            }
        };
        let committing = connection.batch_execute("COMMIT");
        match until("COMMIT", deadlines.committed, committing).await {
            Ok(()) => {
                pool::ended(connection);
                Ok(written)
            }
            Err(PostgresError::Driver(error)) if rolled_back(&error) => {
                Err(Ended::Failed(error.into()))
            }
            Err(error) => Err(Ended::InDoubt {
                xid,
                written,
                error,
            }),
        }
    }
}

/// The limits hold also where a pooler keeps the session of a daemon that is gone. They pass before
/// ours do, so that it is the database that says so. The one for a lock holds for each of the two
/// that a row has.
fn begin(prepared_by: Instant) -> String {
    let rest = prepared_by.saturating_duration_since(Instant::now());
    let rest = rest.saturating_sub(ROOM);
    settings::begin(
        Kind::Change,
        Limits {
            statement: rest,
            lock: rest.min(LOCK_LIMIT),
            idle: IDLE_LIMIT,
        },
    )
}

/// Everything but COMMIT; an inner error is a rule that the command breaks, rolled back.
async fn prepare(
    client: &Client,
    write: &Write,
    policy: &Policy,
    prepared_by: Instant,
) -> Result<Result<Prepared, EditError>, Error> {
    let (id, begin) = (write.id.as_str(), begin(prepared_by));
    let (name, source) = (write.actor.name(), write.actor.source().as_str());
    let actor: [Parameter<'_>; 2] = [(&name, Type::TEXT), (&source, Type::TEXT)];
    let ((), (), named, stored) = tokio::try_join!(
        biased;
        client.batch_execute(&begin),
        client.batch_execute(LOCK),
        client.query_typed(NAME_ACTOR, &actor),
        read::record(client, id),
    )?;
    let xid = match named.first() {
        Some(row) => row.try_get(2)?,
        None => String::new(),
    };
    let plan = match plan(stored.as_ref(), &write.command, write.if_revision, policy) {
        Ok(plan) => plan,
        Err(refused) => {
            client.batch_execute("ROLLBACK").await?;
            return Ok(Err(refused));
        }
    };
    if let Some(action) = plan.action {
        let action: [Parameter<'_>; 1] = [(&action, Type::TEXT)];
        client.query_typed(NAME_ACTION, &action).await?;
    }
    for step in &plan.steps {
        steps::carry_out(client, id, step).await?;
    }
    let own = client.query_typed(OWN_REVISION, &[]).await?;
    let written = match own.first() {
        Some(row) => Written::At(row.try_get::<_, i64>(0)?.unsigned_abs()),
        None => Written::Nothing(stored.map_or(0, |record| record.revision)),
    };
    Ok(Ok(Prepared { xid, written }))
}

/// Whether an answer to COMMIT means that nothing is committed: a constraint or a conflict that
/// Postgres checks then. Other answers may come from a pooler, or from a server that stops after
/// it has committed.
pub(in crate::adapters::postgres) fn rolled_back(error: &Error) -> bool {
    error.code().is_some_and(|code| {
        let class = code.code();
        (class.starts_with("40") || class.starts_with("23"))
            && *code != SqlState::T_R_STATEMENT_COMPLETION_UNKNOWN
    })
}

//! The transaction of a change. Until COMMIT is sent, whatever fails has changed nothing; after
//! that, only the database knows.

use std::time::Duration;

use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Error};

use super::steps::{self, Parameter};
use super::{PostgresDefinitions, read};
use crate::adapters::postgres::error::PostgresError;
use crate::adapters::postgres::limit::within;
use crate::adapters::postgres::pool;
use crate::domain::edit::{EditError, plan};
use crate::domain::policy::Policy;
use crate::service::clock::standstill::timeout;
use crate::service::definitions::{Write, Written};

/// For everything before COMMIT.
const PREPARE_LIMIT: Duration = Duration::from_secs(10);
/// For COMMIT, before the database is asked what became of it.
const COMMIT_LIMIT: Duration = Duration::from_secs(5);

/// The limits hold also where a pooler keeps the session of a daemon that is gone.
const BEGIN: &str = "BEGIN; SET LOCAL statement_timeout = '8s'; SET LOCAL lock_timeout = '2s'; \
    SET LOCAL idle_in_transaction_session_timeout = '5s'";

/// The triggers of a statement that changes nothing take the lock on the revision, with the rights
/// of the schema's owner.
const LOCK: &str = "UPDATE extensions SET enabled = enabled WHERE false";

const NAME_ACTOR: &str = "SELECT set_config('beamline.actor', $1, true), \
    set_config('beamline.actor_source', $2, true), pg_current_xact_id()::text";

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
    pub(super) async fn transact(&self, write: &Write, policy: &Policy) -> Result<Written, Ended> {
        let connection = self.pool.get_whole().await?;
        let preparing = prepare(&connection, write, policy);
        let Prepared { xid, written } = match within("the change", PREPARE_LIMIT, preparing).await?
        {
            Ok(prepared) => prepared,
            Err(refused) => {
                // The transaction is ended, so the connection can be used again.
                pool::ended(connection);
                return Err(Ended::Refused(refused));
            }
        };
        match timeout(COMMIT_LIMIT, connection.batch_execute("COMMIT")).await {
            Ok(Ok(())) => {
                pool::ended(connection);
                Ok(written)
            }
            Ok(Err(error)) if rolled_back(&error) => Err(Ended::Failed(error.into())),
            _ => Err(Ended::InDoubt { xid, written }),
        }
    }
}

/// Everything but COMMIT; an inner error is a rule that the command breaks, rolled back.
async fn prepare(
    client: &Client,
    write: &Write,
    policy: &Policy,
) -> Result<Result<Prepared, EditError>, Error> {
    let id = write.id.as_str();
    let (name, source) = (write.actor.name(), write.actor.source().as_str());
    let actor: [Parameter<'_>; 2] = [(&name, Type::TEXT), (&source, Type::TEXT)];
    let ((), (), named, stored) = tokio::try_join!(
        biased;
        client.batch_execute(BEGIN),
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

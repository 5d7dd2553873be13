//! The transaction of a change. Until COMMIT is sent, whatever fails has changed nothing; after
//! that, only the database knows.

use std::time::Duration;

use tokio::time::Instant;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Error};

use super::write::Deadlines;
use super::{Parameter, PostgresDefinitions};
use crate::adapters::postgres::error::PostgresError;
use crate::adapters::postgres::limit::until;
use crate::adapters::postgres::pool;
use crate::adapters::postgres::settings::{self, Kind, Limits};
use crate::domain::actor::Actor;
use crate::domain::edit::EditError;
use crate::domain::policy::Policy;

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
pub(super) enum Ended<T> {
    /// A rule was broken: rolled back.
    Refused(Refused),
    /// It failed before COMMIT was sent, or COMMIT was refused: rolled back.
    Failed(PostgresError),
    /// COMMIT was sent, and its answer does not tell.
    InDoubt {
        /// The transaction.
        xid: String,
        /// What it comes to if it was committed.
        done: T,
        /// What came instead of an answer.
        error: PostgresError,
    },
}

/// A rule that was broken, and by which of many extensions.
pub(super) type Refused = (Option<String>, EditError);

impl<T> From<PostgresError> for Ended<T> {
    fn from(error: PostgresError) -> Self {
        Self::Failed(error)
    }
}

/// What is done in a transaction, under the lock on the revision.
pub(super) trait Work: Sync {
    /// What it comes to.
    type Done: Send;

    /// Who wants it.
    fn actor(&self) -> &Actor;

    /// Whether everything is done but the commit.
    fn dry_run(&self) -> bool;

    /// Does it; the inner error is a rule that is broken.
    fn carry_out(
        &self,
        client: &Client,
        policy: &Policy,
    ) -> impl Future<Output = Result<Result<Self::Done, Refused>, Error>> + Send;
}

impl PostgresDefinitions {
    /// Does `work` on a connection of its own.
    pub(super) async fn transact<W: Work>(
        &self,
        work: &W,
        policy: &Policy,
        deadlines: Deadlines,
    ) -> Result<W::Done, Ended<W::Done>> {
        let prepared_by = deadlines.prepared;
        let connection = until("a connection", prepared_by, self.pool.get_whole()).await?;
        let preparing = prepare(&connection, work, policy, prepared_by);
        let (xid, prepared) = until("the change", prepared_by, preparing).await?;
        let done = match prepared {
            Ok(done) if !work.dry_run() => done,
            ended => {
                // The transaction is rolled back, so the connection can be used again.
                pool::ended(connection);
                return ended.map_err(Ended::Refused);
            }
        };
        let committing = connection.batch_execute("COMMIT");
        match until("COMMIT", deadlines.committed, committing).await {
            Ok(()) => {
                pool::ended(connection);
                Ok(done)
            }
            Err(PostgresError::Driver(error)) if rolled_back(&error) => {
                Err(Ended::Failed(error.into()))
            }
            Err(error) => Err(Ended::InDoubt { xid, done, error }),
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

/// Everything but COMMIT; with an inner error, and in a dry run, rolled back.
async fn prepare<W: Work>(
    client: &Client,
    work: &W,
    policy: &Policy,
    prepared_by: Instant,
) -> Result<(String, Result<W::Done, Refused>), Error> {
    let (begin, actor) = (begin(prepared_by), work.actor());
    let (name, source) = (actor.name(), actor.source().as_str());
    let actor: [Parameter<'_>; 2] = [(&name, Type::TEXT), (&source, Type::TEXT)];
    let ((), (), named) = tokio::try_join!(
        biased;
        client.batch_execute(&begin),
        client.batch_execute(LOCK),
        client.query_typed_one(NAME_ACTOR, &actor),
    )?;
    let done = work.carry_out(client, policy).await?;
    if done.is_err() || work.dry_run() {
        client.batch_execute("ROLLBACK").await?;
    }
    Ok((named.try_get(2)?, done))
}

/// The name that all that follows has in the audit.
pub(super) async fn name_action(client: &Client, action: &str) -> Result<(), Error> {
    let action: [Parameter<'_>; 1] = [(&action, Type::TEXT)];
    client.query_typed(NAME_ACTION, &action).await.map(drop)
}

/// The revision that this transaction has taken, if it has.
pub(super) async fn own_revision(client: &Client) -> Result<Option<u64>, Error> {
    let own = client.query_typed(OWN_REVISION, &[]).await?;
    let own = own
        .first()
        .map(|row| row.try_get::<_, i64>(0))
        .transpose()?;
    Ok(own.map(i64::unsigned_abs))
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

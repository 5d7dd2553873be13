//! The transaction of a change. Until COMMIT is sent, whatever fails has changed nothing; after
//! that, only the database knows.

use std::time::Duration;

use tokio::time::Instant;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Error};

use super::write::Deadlines;
use super::{Parameter, PostgresDefinitions};
use crate::adapters::postgres::commit::{LOCK, Mark, Uncommitted, begin};
use crate::adapters::postgres::error::PostgresError;
use crate::adapters::postgres::limit::until;
use crate::adapters::postgres::pool;
use crate::adapters::postgres::statement::run;
use crate::adapters::postgres::transaction::{Limits, Transaction};
use crate::domain::actor::Actor;
use crate::domain::edit::EditError;
use crate::domain::policy::Policy;

/// For a lock, before the database reports its holder.
const LOCK_LIMIT: Duration = Duration::from_secs(2);
/// What remains for the answer when a lock is given up.
const ROOM: Duration = Duration::from_millis(400);
/// Between two statements.
const IDLE_LIMIT: Duration = Duration::from_secs(5);

const NAME_ACTION: &str = "SELECT set_config('beamline.action', $1, true)";

/// Why a transaction did not commit, as far as is known.
pub(super) enum Ended {
    /// A rule was broken: rolled back.
    Refused(Refused),
    /// It failed before COMMIT was sent, or is not known to be committed.
    Failed(Uncommitted),
}

/// A rule that was broken, and by which of many extensions.
pub(super) type Refused = (Option<String>, EditError);

impl From<PostgresError> for Ended {
    fn from(error: PostgresError) -> Self {
        Self::Failed(Uncommitted::Failed(error))
    }
}

/// The result of a transaction once it is committed, and what it has written.
pub(super) type Prepared<T> = (T, Option<Mark>);

/// What is done in a transaction, under the lock on the revision.
pub(super) trait Work: Sync {
    /// Its result.
    type Done: Send;

    /// Its actor.
    fn actor(&self) -> &Actor;

    /// Whether everything is done but the commit.
    fn dry_run(&self) -> bool;

    /// Does it; the inner error is a rule that is broken.
    fn carry_out(
        &self,
        client: &Client,
        policy: &Policy,
    ) -> impl Future<Output = Result<Result<Prepared<Self::Done>, Refused>, Error>> + Send;
}

impl PostgresDefinitions {
    /// Does `work` on a connection of its own.
    pub(super) async fn transact<W: Work>(
        &self,
        work: &W,
        policy: &Policy,
        deadlines: Deadlines,
    ) -> Result<W::Done, Ended> {
        let prepared_by = deadlines.prepared;
        let connection = until("a connection", prepared_by, self.pool.get_whole()).await?;
        let preparing = prepare(&connection, work, policy, prepared_by);
        let (done, mark) = match until("the change", prepared_by, preparing).await? {
            Ok(prepared) if !work.dry_run() => prepared,
            ended => {
                // The transaction is rolled back, so the connection can be used again.
                pool::ended(connection);
                return ended.map(|(done, _)| done).map_err(Ended::Refused);
            }
        };
        let (limit, answered) = (deadlines.committed, deadlines.answered);
        let committed = self.pool.commit(connection, mark.as_ref(), limit, answered);
        committed.await.map_err(Ended::Failed)?;
        Ok(done)
    }
}

/// The limits hold also where a pooler keeps the session of a daemon that is gone. They run out
/// before ours do, so that the database reports the cause. The one for a lock holds for each of the
/// two that a row has.
fn change(prepared_by: Instant) -> Transaction {
    let rest = prepared_by.saturating_duration_since(Instant::now());
    let rest = rest.saturating_sub(ROOM);
    Transaction::change(Limits {
        statement: rest,
        lock: rest.min(LOCK_LIMIT),
        idle: IDLE_LIMIT,
    })
}

/// Everything but COMMIT; with an inner error, and in a dry run, rolled back.
async fn prepare<W: Work>(
    client: &Client,
    work: &W,
    policy: &Policy,
    prepared_by: Instant,
) -> Result<Result<Prepared<W::Done>, Refused>, Error> {
    let (change, actor) = (change(prepared_by), work.actor());
    tokio::try_join!(
        biased;
        begin(client, change, actor.name(), actor.source().as_str()),
        client.batch_execute(LOCK),
    )?;
    let prepared = work.carry_out(client, policy).await?;
    if prepared.is_err() || work.dry_run() {
        client.batch_execute("ROLLBACK").await?;
    }
    Ok(prepared)
}

/// The name that all that follows has in the audit.
pub(super) async fn name_action(client: &Client, action: &str) -> Result<(), Error> {
    let action: [Parameter<'_>; 1] = [(&action, Type::TEXT)];
    run(client, NAME_ACTION, &action).await
}

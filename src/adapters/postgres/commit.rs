//! How changes of definitions begin and end, for operators' changes and imports alike: the actor,
//! the lock on the revision, COMMIT, the fate of a COMMIT that got no answer, and the transactions
//! that block it.
//!
//! The fate of a COMMIT is read from what was written, the audit entry with its revision, time and
//! content: after a failover the number of a transaction may belong to another one, and so may a
//! revision.

use std::sync::LazyLock;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Error};

use super::error::PostgresError;
use super::limit::{punctual, until};
use super::place;
use super::pool::{self, Pool, Whole};
use super::statement::{Parameter, bigint, run};
use super::transaction::{Limits, Transaction};
use crate::service::trouble::{DatabaseError, Trouble};

/// The triggers of a statement that changes nothing take the lock on the revision, with the rights
/// of the schema's owner.
pub(super) const LOCK: &str = "UPDATE extension_definitions SET enabled = enabled WHERE false";

const NAME_ACTOR: &str = "SELECT set_config('beamline.actor', $1, true), \
    set_config('beamline.actor_source', $2, true), set_config('beamline.action', '', true), \
    registry_check_triggers()::text";

/// An audit entry as a hash, the same in every session: it may be looked for on another connection,
/// where a pooler or another server has another time zone. Columns of other tools stay out, as their
/// texts may depend on the session too.
const ENTRY: &str = "registry_sha256(ROW(a.id, a.extension_id, a.action, a.changed_by, \
    a.actor_source, a.changes, extract(epoch FROM a.timestamp), a.revision)::text)";

/// The revision that this transaction has taken, if it has, and the first entry that it wrote with it.
static MARK: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT r.revision, (SELECT {ENTRY} FROM extension_audit_log a \
             WHERE a.revision = r.revision ORDER BY a.id LIMIT 1) \
         FROM registry_revision r WHERE last_xid = pg_current_xact_id()"
    )
});

/// Whether that entry is there.
static FIND: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT EXISTS (SELECT FROM extension_audit_log a WHERE a.revision = $1 AND {ENTRY} = $2)"
    )
});

/// Between two questions about a lost commit.
const PAUSE: Duration = Duration::from_millis(200);
/// For one question; a connection for it may have to be made first.
const QUESTION: Duration = Duration::from_millis(1300);
const ASKING: Transaction = Transaction::change(Limits::all(QUESTION));

/// What a transaction has written, by which it is found again.
#[derive(Debug)]
pub(super) struct Mark {
    /// Its revision.
    pub(super) revision: u64,
    /// Of the first of its audit entries, its number and its time included. `None` where a trigger
    /// or a rule of the database keeps none.
    entry: Option<String>,
}

/// Why a transaction is not known to be committed.
#[derive(Debug)]
pub(super) enum Uncommitted {
    /// It is rolled back.
    Failed(PostgresError),
    /// COMMIT got no answer, and its outcome could not be found out.
    Unknown,
}

/// Begins a change; its actor is for its audit entries.
pub(super) async fn begin(
    client: &Client,
    change: Transaction,
    actor: &str,
    source: &str,
) -> Result<(), Error> {
    let actor: [Parameter<'_>; 2] = [(&actor, Type::TEXT), (&source, Type::TEXT)];
    change.begin(client, run(client, NAME_ACTOR, &actor)).await
}

/// The mark of this transaction, if it has changed a definition.
pub(super) async fn mark(client: &Client) -> Result<Option<Mark>, Error> {
    let rows = client.query_typed(&MARK, &[]).await?;
    let Some(row) = rows.first() else {
        return Ok(None);
    };
    let revision = row.try_get::<_, i64>(0)?.unsigned_abs();
    let entry = row.try_get(1)?;
    Ok(Some(Mark { revision, entry }))
}

/// Whether an answer to COMMIT means that nothing is committed: a constraint or a conflict that
/// Postgres checks then. Other answers may come from a pooler, or from a server that stops after
/// it has committed.
fn rolled_back(error: &Error) -> bool {
    error.code().is_some_and(|code| {
        let class = code.code();
        (class.starts_with("40") || class.starts_with("23"))
            && *code != SqlState::T_R_STATEMENT_COMPLETION_UNKNOWN
    })
}

/// A transaction that reads or writes the revision to change something holds a lock on its table
/// until its end. Other tables keep writers out while they are changed or indexed, and readers only
/// while they are changed. With `$1`, transactions count too that have rows locked, but for sidecars'
/// own, which never last: it is not known which rows. A transaction that waits for another one is a
/// victim, not the cause. Our own come last: one that has just been cancelled reports it before it
/// lets go.
const BLOCKER: &str = "SELECT format('pid %s, %s, %s', a.pid, \
    coalesce(nullif(a.application_name, ''), 'no application name'), a.usename) \
    FROM pg_locks l JOIN pg_stat_activity a USING (pid), LATERAL (SELECT \
        l.mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock') \
        OR l.relation = 'registry_revision'::regclass \
            AND l.mode IN ('RowShareLock', 'RowExclusiveLock')) AS kept (strong) \
    WHERE l.granted AND a.pid <> pg_backend_pid() AND a.datname = current_database() \
      AND l.relation = ANY ('{registry_revision,registry_tombstones,extensions,extension_versions,\
        extension_instances,extension_health,extension_audit_log,circuit_overrides}'::regclass[]) \
      AND (kept.strong OR $1 AND l.mode IN ('RowShareLock', 'RowExclusiveLock') \
        AND coalesce(a.application_name, '') NOT LIKE 'beamline-registry/%') \
      AND NOT EXISTS (SELECT FROM pg_locks w WHERE w.pid = l.pid AND NOT w.granted) \
    ORDER BY coalesce(a.application_name = current_setting('application_name'), false), \
        l.mode = 'AccessExclusiveLock' DESC, kept.strong DESC, a.xact_start LIMIT 1";

impl Pool {
    /// The error in words of the ports. A lock is asked for its owner; a table that is missing, for
    /// where it is.
    pub(super) async fn explained(&self, error: &PostgresError) -> DatabaseError {
        let sorted = error.sorted(self.target());
        match sorted.trouble {
            Trouble::Locked => DatabaseError {
                blocked_by: self.blocker(QUESTION, true).await,
                ..sorted
            },
            Trouble::Schema if error.driver().is_some() => {
                let looking = punctual(Instant::now() + QUESTION, self.look());
                match looking.await {
                    Some(Err(found)) if found.trouble() != Trouble::Unreachable => {
                        found.sorted(self.target())
                    }
                    _ => sorted,
                }
            }
            _ => sorted,
        }
    }

    /// Whether the tables are still where they were.
    async fn look(&self) -> Result<(), PostgresError> {
        let connection = self.get_whole().await?;
        let client: &tokio_postgres::Client = &connection;
        place::find(client).await?;
        pool::ended(connection);
        Ok(())
    }

    /// Commits a change by `limit`. If no answer comes, the database is asked until `answered`
    /// whether what `mark` describes is there.
    pub(super) async fn commit(
        &self,
        connection: Whole,
        mark: Option<&Mark>,
        limit: Instant,
        answered: Instant,
    ) -> Result<(), Uncommitted> {
        let committing = until("COMMIT", limit, connection.batch_execute("COMMIT")).await;
        let Err(error) = committing else {
            pool::ended(connection);
            return Ok(());
        };
        // Asked with a connection of its own, and the pool may have a single place.
        drop(connection);
        if error.driver().is_some_and(rolled_back) {
            return Err(Uncommitted::Failed(error));
        }
        // Without an entry there is nothing to look for.
        let written = mark.and_then(|mark| Some((mark.revision, mark.entry.as_deref()?)));
        let Some((revision, entry)) = written else {
            return Err(Uncommitted::Unknown);
        };
        let asking = async {
            loop {
                let asked = punctual(Instant::now() + QUESTION, self.has(revision, entry));
                match asked.await {
                    Some(Ok(there)) => return there,
                    // The database does not answer, or the transaction has not ended yet.
                    _ => sleep(PAUSE).await,
                }
            }
        };
        match punctual(answered, asking).await {
            Some(true) => Ok(()),
            Some(false) => Err(Uncommitted::Failed(error)),
            None => Err(Uncommitted::Unknown),
        }
    }

    /// Whether a change is committed. One that cannot be seen may be at its COMMIT still: it holds the
    /// lock on the revision then, so what is not there under that lock never will be.
    async fn has(&self, revision: u64, entry: &str) -> Result<bool, PostgresError> {
        let connection = self.get_whole().await?;
        let revision = bigint(revision);
        let of: [Parameter<'_>; 2] = [(&revision, Type::INT8), (&entry, Type::TEXT)];
        let seen = async || {
            let row = connection.query_typed_one(&FIND, &of).await?;
            row.try_get::<_, bool>(0)
        };
        let mut there = seen().await?;
        if !there {
            let lock = connection.batch_execute(LOCK);
            ASKING.begin(&connection, lock).await?;
            there = seen().await?;
            connection.batch_execute("ROLLBACK").await?;
        }
        pool::ended(connection);
        Ok(there)
    }

    /// The transaction that keeps writers out. Where the database has reported a lock, it may be one
    /// `or_of_rows`.
    pub(super) async fn blocker(&self, limit: Duration, or_of_rows: bool) -> Option<String> {
        let asking = async {
            let connection = self.get_whole().await.ok()?;
            let rows: [Parameter<'_>; 1] = [(&or_of_rows, Type::BOOL)];
            let found = connection.query_typed(BLOCKER, &rows).await.ok()?;
            pool::ended(connection);
            found.first()?.try_get(0).ok()
        };
        punctual(Instant::now() + limit, asking).await.flatten()
    }
}

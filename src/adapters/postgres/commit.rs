//! What became of a transaction whose COMMIT got no answer, and who is in the way of one.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_postgres::types::Type;

use super::error::PostgresError;
use super::limit::punctual;
use super::place;
use super::pool::{self, Pool};
use crate::service::trouble::{DatabaseError, Trouble};

/// Between two questions about a lost commit.
const PAUSE: Duration = Duration::from_millis(200);
/// For one question; a connection for it may have to be made first.
const QUESTION: Duration = Duration::from_millis(1300);

const FATE: &str = "SELECT pg_xact_status($1::text::xid8)";

/// Whoever reads or writes the revision to change something holds a lock on its table until the end
/// of the transaction; readers are kept out by one who changes a table itself. A transaction that
/// waits for another one is a victim, not the cause.
const BLOCKER: &str = "SELECT format('pid %s, %s, %s', a.pid, \
    coalesce(nullif(a.application_name, ''), 'no application name'), a.usename) \
    FROM pg_locks l JOIN pg_stat_activity a USING (pid) \
    WHERE l.granted AND a.pid <> pg_backend_pid() AND l.relation = ANY ('{registry_revision,\
        registry_tombstones,extensions,extension_versions,extension_instances}'::regclass[]) \
      AND (l.mode = 'AccessExclusiveLock' OR l.relation = 'registry_revision'::regclass \
        AND l.mode IN ('RowShareLock', 'RowExclusiveLock', 'ExclusiveLock')) \
      AND NOT EXISTS (SELECT FROM pg_locks w WHERE w.pid = l.pid AND NOT w.granted) \
    ORDER BY a.xact_start LIMIT 1";

impl Pool {
    /// The error in words of the ports. A lock is asked for its owner; a table that is missing, for
    /// where it is.
    pub(super) async fn explained(&self, error: &PostgresError) -> DatabaseError {
        let sorted = error.sorted(self.target());
        match sorted.trouble {
            Trouble::Locked => DatabaseError {
                blocked_by: self.blocker(QUESTION).await,
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

    /// Whether the transaction was committed; `None` when nobody can say by `deadline`.
    pub(super) async fn fate(&self, xid: &str, deadline: Instant) -> Option<bool> {
        let asking = async {
            loop {
                match self.ask(FATE, Some(xid)).await.as_deref() {
                    Some("committed") => return true,
                    Some("aborted") => return false,
                    // Still running, or nobody answers yet.
                    _ => sleep(PAUSE).await,
                }
            }
        };
        punctual(deadline, asking).await
    }

    /// Who holds the lock on the revision.
    pub(super) async fn blocker(&self, limit: Duration) -> Option<String> {
        let asked = punctual(Instant::now() + limit, self.one(BLOCKER, None));
        asked.await.flatten()
    }

    /// One question of one text. A connection that is given up is closed: its answer may be on it.
    async fn ask(&self, sql: &str, parameter: Option<&str>) -> Option<String> {
        let asked = punctual(Instant::now() + QUESTION, self.one(sql, parameter));
        asked.await.flatten()
    }

    async fn one(&self, sql: &str, parameter: Option<&str>) -> Option<String> {
        let connection = self.get_whole().await.ok()?;
        let text = [(&parameter as _, Type::TEXT)];
        let parameters = text.get(..usize::from(parameter.is_some()))?;
        let rows = connection.query_typed(sql, parameters).await.ok()?;
        pool::ended(connection);
        rows.first()?.try_get(0).ok()
    }
}

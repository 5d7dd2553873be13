//! What became of a transaction whose COMMIT got no answer, and who is in the way of one.

use std::time::Duration;

use tokio::time::sleep;
use tokio_postgres::types::Type;

use super::error::PostgresError;
use super::pool::{self, Pool};
use crate::service::clock::standstill::timeout;

/// How long the database is asked about a lost commit.
const PATIENCE: Duration = Duration::from_secs(8);
/// Between two questions.
const PAUSE: Duration = Duration::from_millis(200);
/// For one question; a connection for it may have to be made first.
const QUESTION: Duration = Duration::from_secs(3);

const FATE: &str = "SELECT pg_xact_status($1::text::xid8)";

/// Whoever reads or writes the revision to change something holds a lock on its table until the end
/// of the transaction. A transaction that waits for another one is a victim, not the cause.
const BLOCKER: &str = "SELECT format('pid %s, %s, %s', a.pid, \
    coalesce(nullif(a.application_name, ''), 'no application name'), a.usename) \
    FROM pg_locks l JOIN pg_stat_activity a USING (pid) \
    WHERE l.relation = 'registry_revision'::regclass AND l.granted \
      AND l.mode IN ('RowShareLock', 'RowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock') \
      AND a.pid <> pg_backend_pid() \
      AND NOT EXISTS (SELECT FROM pg_locks w WHERE w.pid = l.pid AND NOT w.granted) \
    ORDER BY a.xact_start LIMIT 1";

impl Pool {
    /// Whether the transaction was committed; `None` when nobody can say in time.
    pub(super) async fn fate(&self, xid: &str) -> Option<bool> {
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
        timeout(PATIENCE, asking).await.ok()
    }

    /// Who holds the lock on the revision.
    pub(super) async fn blocker(&self) -> Option<String> {
        self.ask(BLOCKER, None).await
    }

    async fn ask(&self, sql: &str, parameter: Option<&str>) -> Option<String> {
        let asking = async {
            let connection = self.get().await.ok()?;
            let text = [(&parameter as _, Type::TEXT)];
            let parameters = text.get(..usize::from(parameter.is_some()))?;
            let rows = connection.query_typed(sql, parameters).await;
            let rows = pool::put_back(connection, rows.map_err(PostgresError::from)).ok()?;
            rows.first()?.try_get(0).ok()
        };
        timeout(QUESTION, asking).await.ok().flatten()
    }
}

//! Reading the audit.

use std::time::{Duration, UNIX_EPOCH};

use serde_json::value::RawValue;
use tokio::time::Instant;
use tokio_postgres::types::Type;
use tokio_postgres::{Error, Row};

use super::Parameter;
use super::PostgresDefinitions;
use crate::adapters::postgres::error::PostgresError;
use crate::adapters::postgres::limit::until;
use crate::adapters::postgres::pool;
use crate::adapters::postgres::settings::{self, Kind, Limits};
use crate::adapters::postgres::stamp::Stamp;
use crate::service::definitions::{AuditEntry, AuditQuery, When, WriteError};

/// For a page, a connection for it included: whoever asked has an answer within five seconds.
const LIMIT: Duration = Duration::from_millis(4500);
/// What the server keeps of it: a little less, so that it says what was in the way.
const LIMITS: Limits = Limits {
    statement: Duration::from_millis(4000),
    lock: Duration::from_millis(2000),
    idle: LIMIT,
};

/// The most bytes of changes in a page: more than one message holds.
const MAX_BYTES: i64 = 4 << 20;

/// The first entry comes in any case, without its changes if those alone are too large; `entries`
/// tells how many there would be.
const PAGE: &str = "WITH asked AS (SELECT *, \
        sum(coalesce(octet_length(changes::text), 0)) OVER (ORDER BY id DESC) AS bytes, \
        row_number() OVER (ORDER BY id DESC) AS place, count(*) OVER () AS entries \
    FROM (SELECT * FROM extension_audit_log \
        WHERE ($1::text IS NULL OR extension_id = $1) AND ($2::bigint IS NULL OR id < $2) \
          AND ($5::text IS NULL OR changed_by = $5) AND ($6::text IS NULL OR action = $6) \
          AND ($7::bigint IS NULL OR timestamp >= to_timestamp($7 / 1e6)) \
          AND ($8::bigint IS NULL OR timestamp <= to_timestamp($8 / 1e6)) \
          AND ($9::bigint IS NULL OR timestamp >= now() - $9 * interval '1 ms') \
          AND ($10::bigint IS NULL OR timestamp <= now() - $10 * interval '1 ms') \
        ORDER BY id DESC LIMIT $3) AS page) \
    SELECT id, extension_id, action, changed_by, actor_source, \
        CASE WHEN bytes <= $4 THEN changes::text END, timestamp, revision, entries \
    FROM asked WHERE bytes <= $4 OR place = 1 ORDER BY id DESC";

impl PostgresDefinitions {
    pub(super) async fn read_audit(
        &self,
        query: &AuditQuery,
    ) -> Result<(Vec<AuditEntry>, bool), WriteError> {
        let page = self.try_page(query).await;
        match page {
            Ok(page) => Ok(page),
            Err(error) => Err(WriteError::Failed(self.pool.explained(&error).await)),
        }
    }

    async fn try_page(&self, query: &AuditQuery) -> Result<(Vec<AuditEntry>, bool), PostgresError> {
        let deadline = Instant::now() + LIMIT;
        let turn = until("a turn at the audit", deadline, async {
            // Nobody closes it.
            Ok::<_, PostgresError>(self.auditors.acquire().await.ok())
        });
        let _turn = turn.await?;
        let connection = until("a connection", deadline, self.pool.get()).await?;
        let extension = query.extension.as_ref().map(|id| id.as_str());
        let before = query.before.map(|id| i64::try_from(id).unwrap_or(i64::MAX));
        // One more than asked for tells whether there is more.
        let limit = i64::try_from(query.limit + 1).unwrap_or(i64::MAX);
        let (since, since_ago) = moment(query.since);
        let (until_at, until_ago) = moment(query.until);
        let parameters: [Parameter<'_>; 10] = [
            (&extension, Type::TEXT),
            (&before, Type::INT8),
            (&limit, Type::INT8),
            (&MAX_BYTES, Type::INT8),
            (&query.by, Type::TEXT),
            (&query.action, Type::TEXT),
            (&since, Type::INT8),
            (&until_at, Type::INT8),
            (&since_ago, Type::INT8),
            (&until_ago, Type::INT8),
        ];
        let begin = settings::begin(Kind::Snapshot, LIMITS);
        let reading = async {
            let ((), rows, ()) = tokio::try_join!(
                biased;
                connection.batch_execute(&begin),
                connection.query_typed(PAGE, &parameters),
                connection.batch_execute("COMMIT"),
            )?;
            Ok::<_, Error>(rows)
        };
        let rows = until("the audit", deadline, reading).await;
        let rows = pool::put_back(connection, rows)?;
        Ok(page(&rows, query.limit)?)
    }
}

/// As microseconds of the Unix epoch, or as milliseconds before the database's now.
fn moment(when: Option<When>) -> (Option<i64>, Option<i64>) {
    let whole = |number: u128| i64::try_from(number).unwrap_or(i64::MAX);
    match when {
        None => (None, None),
        Some(When::Ago(ago)) => (None, Some(whole(ago.as_millis()))),
        Some(When::At(at)) => {
            let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
            (Some(whole(since.as_micros())), None)
        }
    }
}

fn page(rows: &[Row], limit: usize) -> Result<(Vec<AuditEntry>, bool), Error> {
    let entries = rows.iter().take(limit).map(entry);
    let entries = entries.collect::<Result<Vec<_>, _>>()?;
    let there_are: i64 = match rows.first() {
        Some(row) => row.try_get(8)?,
        None => 0,
    };
    let more = usize::try_from(there_are).is_ok_and(|count| count > entries.len());
    Ok((entries, more))
}

fn entry(row: &Row) -> Result<AuditEntry, Error> {
    let changes: Option<String> = row.try_get(5)?;
    let (id, revision): (i64, Option<i64>) = (row.try_get(0)?, row.try_get(7)?);
    Ok(AuditEntry {
        id,
        extension_id: row.try_get(1)?,
        action: row.try_get(2)?,
        changed_by: row.try_get(3)?,
        actor_source: row.try_get(4)?,
        changes: changes.and_then(|text| RawValue::from_string(text).ok()),
        timestamp: row.try_get::<_, Option<Stamp>>(6)?.and_then(Stamp::moment),
        revision: revision.and_then(|revision| u64::try_from(revision).ok()),
    })
}

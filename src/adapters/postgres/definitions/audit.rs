//! Reading the audit.

use std::time::{Duration, UNIX_EPOCH};

use serde_json::value::RawValue;
use tokio::time::Instant;
use tokio_postgres::types::Type;
use tokio_postgres::{Error, Row};

use super::Parameter;
use super::PostgresDefinitions;
use crate::adapters::postgres::columns::Columns;
use crate::adapters::postgres::error::PostgresError;
use crate::adapters::postgres::limit::{punctual, until};
use crate::adapters::postgres::statement::bigint;
use crate::adapters::postgres::transaction::{Limits, Transaction};
use crate::service::definitions::{AuditEntry, AuditQuery, When, WriteError};
use crate::service::trouble::{DatabaseError, Trouble};

/// For a page, a connection for it included: the caller gets an answer within five seconds.
const LIMIT: Duration = Duration::from_millis(4500);
/// What the server keeps of it: a little less, so that the server reports what was in the way.
const READING: Transaction = Transaction::snapshot(Limits {
    statement: Duration::from_millis(4000),
    lock: Duration::from_millis(2000),
    idle: LIMIT,
});

/// The most bytes of changes in a page: more than one message holds.
const MAX_BYTES: i64 = 4 << 20;

/// The longest time before now, or before 1970: the database has no years before 4713 BC.
const LONGEST_AGO: Duration = Duration::from_secs(6000 * 365 * 86_400);

const PAGE: &str = "SELECT id, extension_id, action, changed_by, actor_source, changes, \
        timestamp, revision, more \
    FROM registry_audit_page($1, $2, $3, \
        coalesce(to_timestamp($4 / 1e6), now() - $5 * interval '1 ms'), \
        coalesce(to_timestamp($6 / 1e6), now() - $7 * interval '1 ms'), $8, $9, $10)";

impl PostgresDefinitions {
    pub(super) async fn read_audit(
        &self,
        query: &AuditQuery,
    ) -> Result<(Vec<AuditEntry>, bool), WriteError> {
        let deadline = Instant::now() + LIMIT;
        let Some(Ok(_turn)) = punctual(deadline, self.auditors.acquire()).await else {
            let waited = "other reads of the audit wait before this one";
            let error = DatabaseError::new(Trouble::Slow, waited).at(self.pool.target());
            return Err(WriteError::Failed(error));
        };
        let page = until("the audit", deadline, self.page(query)).await;
        match page {
            Ok(page) => Ok(page),
            Err(error) => Err(WriteError::Failed(self.pool.explained(&error).await)),
        }
    }

    async fn page(&self, query: &AuditQuery) -> Result<(Vec<AuditEntry>, bool), PostgresError> {
        let session = self.pool.aside().await?;
        let client = session.client();
        let extension = query.extension.as_ref().map(|id| id.as_str());
        let before = query.before.map(bigint);
        let limit = i64::try_from(query.limit).unwrap_or(i64::MAX);
        let (since, since_ago) = moment(query.since);
        let (until_at, until_ago) = moment(query.until);
        let parameters: [Parameter<'_>; 10] = [
            (&extension, Type::TEXT),
            (&query.by, Type::TEXT),
            (&query.action, Type::TEXT),
            (&since, Type::INT8),
            (&since_ago, Type::INT8),
            (&until_at, Type::INT8),
            (&until_ago, Type::INT8),
            (&before, Type::INT8),
            (&limit, Type::INT8),
            (&MAX_BYTES, Type::INT8),
        ];
        let page = client.query_typed(PAGE, &parameters);
        let rows = READING.send(client, page).await?;
        let entries = rows.iter().map(entry).collect::<Result<_, _>>()?;
        let more = rows.last().map_or(Ok(false), |row| row.try_get(8))?;
        Ok((entries, more))
    }
}

/// As microseconds of the Unix epoch, or as milliseconds before the database's now.
fn moment(when: Option<When>) -> (Option<i64>, Option<i64>) {
    let whole = |number: u128| i64::try_from(number).unwrap_or(i64::MAX);
    match when {
        None => (None, None),
        Some(When::Ago(ago)) => (None, Some(whole(ago.min(LONGEST_AGO).as_millis()))),
        Some(When::At(at)) => {
            let us = match at.duration_since(UNIX_EPOCH) {
                Ok(since) => whole(since.as_micros()),
                Err(before) => -whole(before.duration().min(LONGEST_AGO).as_micros()),
            };
            (Some(us), None)
        }
    }
}

/// Where another tool keeps entries of what is gone (`ON DELETE SET NULL`), a text may be null: the
/// entry is shown all the same, and so is the page.
fn entry(row: &Row) -> Result<AuditEntry, Error> {
    let json = |text: String| RawValue::from_string(text).ok();
    let number = |bigint: i64| u64::try_from(bigint).ok();
    let mut columns = Columns::of(row);
    Ok(AuditEntry {
        id: columns.take()?,
        extension_id: columns.name()?.unwrap_or_default(),
        action: columns.name()?.unwrap_or_default(),
        changed_by: columns.name()?,
        actor_source: columns.name()?.unwrap_or_default(),
        changes: columns.take::<Option<String>>()?.and_then(json),
        timestamp: columns.time()?,
        revision: columns.take::<Option<i64>>()?.and_then(number),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_within_what_the_database_has() {
        let second = Duration::from_secs(1);
        let longest = 189_216_000_000_000;
        for (when, sent) in [
            (None, (None, None)),
            (Some(When::Ago(second)), (None, Some(1000))),
            (Some(When::Ago(Duration::MAX)), (None, Some(longest))),
            (Some(When::At(UNIX_EPOCH + second)), (Some(1_000_000), None)),
            (
                Some(When::At(UNIX_EPOCH - second)),
                (Some(-1_000_000), None),
            ),
            (
                Some(When::At(UNIX_EPOCH - 2 * LONGEST_AGO)),
                (Some(-1000 * longest), None),
            ),
        ] {
            assert_eq!(moment(when), sent, "{when:?}");
        }
    }
}

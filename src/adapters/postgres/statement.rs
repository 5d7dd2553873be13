//! A statement as it is sent.
//!
//! To plan a statement costs several times what it costs to run it, and every sidecar runs the same few
//! at every change and with every flush. So each is prepared once for each connection, unless a
//! transaction pooler is in between: the next transaction is on another connection then.

use deadpool_postgres::Object;
use serde::Serialize;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Error, Row};

/// A parameter and its type: the server is never asked for types.
pub(super) type Parameter<'a> = (&'a (dyn ToSql + Sync), Type);

/// Rows, or the fields of one, as a parameter: nothing in them can fail to be written.
pub(super) fn json(rows: &(impl Serialize + ?Sized)) -> String {
    serde_json::to_string(rows).unwrap_or_default()
}

/// A count as a parameter.
pub(super) fn bigint(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Runs what answers nothing.
pub(super) async fn run(
    client: &Client,
    sql: &str,
    parameters: &[Parameter<'_>],
) -> Result<(), Error> {
    client.query_typed(sql, parameters).await.map(drop)
}

/// What `sql` answers, on a connection that is `direct` or not. Where it is, the statement is kept as
/// long as the connection: the text must be one of a few.
pub(super) async fn rows(
    client: &Object,
    direct: bool,
    sql: &str,
    parameters: &[Parameter<'_>],
) -> Result<Vec<Row>, Error> {
    if !direct {
        return client.query_typed(sql, parameters).await;
    }
    let (values, types): (Vec<_>, Vec<_>) = parameters.iter().cloned().unzip();
    let statement = client.prepare_typed_cached(sql, &types).await?;
    client.query(&statement, &values).await
}

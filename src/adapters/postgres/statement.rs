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

/// See the module.
pub(super) enum Statement<'a> {
    /// Planned each time.
    Unnamed(&'a str),
    /// Planned once.
    Prepared(tokio_postgres::Statement),
}

impl<'a> Statement<'a> {
    /// `sql` for a connection that is `direct` or not. It is kept as long as the connection: the text
    /// must be one of a few.
    pub(super) async fn of(
        client: &Object,
        direct: bool,
        sql: &'a str,
        types: &[Type],
    ) -> Result<Self, Error> {
        Ok(match direct {
            true => Self::Prepared(client.prepare_typed_cached(sql, types).await?),
            false => Self::Unnamed(sql),
        })
    }

    /// What it answers.
    pub(super) async fn rows(
        &self,
        client: &Client,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<Row>, Error> {
        match self {
            Self::Unnamed(sql) => client.query_typed(sql, parameters).await,
            Self::Prepared(statement) => {
                let values: Vec<_> = parameters.iter().map(|(value, _)| *value).collect();
                client.query(statement, &values).await
            }
        }
    }
}

//! The record as it is stored, read under the lock.

use std::sync::LazyLock;

use tokio_postgres::types::Type;
use tokio_postgres::{Client, Error};

use super::Parameter;
use crate::adapters::postgres::columns::{Columns, count};
use crate::adapters::postgres::tables::{EXTENSIONS, INSTANCES, Table, VERSIONS};
use crate::domain::edit::Stored;
use crate::domain::record::{Fields, Record};

static OWN: LazyLock<String> = LazyLock::new(|| select(&EXTENSIONS, ", revision", "id"));
static VERSION_ROWS: LazyLock<String> = LazyLock::new(|| select(&VERSIONS, "", "id"));
static INSTANCE_ROWS: LazyLock<String> = LazyLock::new(|| select(&INSTANCES, "", "extension_id"));

fn select(table: &Table, more: &str, owner: &str) -> String {
    let (columns, name) = (table.columns(), table.name);
    format!("SELECT {columns}{more} FROM {name} WHERE {owner} = $1")
}

/// Everything stored about `id`; `None` when there is no such extension.
pub(super) async fn record(client: &Client, id: &str) -> Result<Option<Stored>, Error> {
    let id: [Parameter<'_>; 1] = [(&id, Type::TEXT)];
    let (own, versions, instances) = tokio::try_join!(
        biased;
        client.query_typed(&OWN, &id),
        client.query_typed(&VERSION_ROWS, &id),
        client.query_typed(&INSTANCE_ROWS, &id),
    )?;
    let Some(own) = own.first() else {
        return Ok(None);
    };
    let mut columns = Columns::of(own);
    let own = EXTENSIONS.fields(&mut columns)?.into_owned();
    let revision = count(columns.take()?);
    let parts = |table: &Table, rows: &[_]| -> Result<Vec<Fields<'static>>, Error> {
        let part = |row| Ok(table.fields(&mut Columns::of(row))?.into_owned());
        rows.iter().map(part).collect()
    };
    Ok(Some(Stored {
        record: Record {
            own,
            versions: parts(&VERSIONS, &versions)?,
            instances: parts(&INSTANCES, &instances)?,
        },
        revision,
    }))
}

//! The tables of definitions, by the record's own table of fields: what is selected, and how
//! records are written, as JSON.

use tokio_postgres::types::Type;
use tokio_postgres::{Client, Error};

use super::columns::Columns;
use super::statement::{Parameter, json, run};
use crate::domain::record::{self, Field, Fields, Kind, MAX_VALUE_BYTES, Value};

/// A table of definitions.
#[derive(Debug, Clone, Copy)]
pub(super) struct Table {
    /// The view that shows what a definition is, by which it is written.
    view: &'static str,
    /// What its rows are, as `registry_put` knows them.
    kind: &'static str,
    /// The column that names the extension a row belongs to.
    owner: Option<&'static str>,
    /// Its other columns that are part of a definition, its name first.
    fields: &'static [Field],
}

/// Extensions themselves.
pub(super) const EXTENSIONS: Table = Table {
    view: "extension_definitions",
    kind: "extensions",
    owner: None,
    fields: record::EXTENSION,
};

/// Their versions.
pub(super) const VERSIONS: Table = Table {
    view: "extension_version_definitions",
    kind: "versions",
    owner: Some("id"),
    fields: record::VERSION,
};

/// Their instances.
pub(super) const INSTANCES: Table = Table {
    view: "extension_instance_definitions",
    kind: "instances",
    owner: Some("extension_id"),
    fields: record::INSTANCE,
};

/// Adds rows, or replaces those that are there.
const PUT: &str = "SELECT registry_put($1, $2::text::jsonb)::text";
/// Writes the fields of an extension that are mentioned, and no other.
const PATCH: &str = "SELECT registry_patch($1, $2::text::jsonb)::text";

impl Table {
    /// What is selected of it, as [`Table::fields`] reads it.
    pub(super) fn columns(&self) -> String {
        let columns = self.fields.iter().map(|field| match field.kind {
            Kind::Object | Kind::Ids => bounded(field.name, "::text"),
            Kind::Text => bounded(field.name, ""),
            Kind::Whole { .. } | Kind::Switch => field.name.to_owned(),
        });
        columns.collect::<Vec<_>>().join(", ")
    }

    /// Takes its columns of a row.
    pub(super) fn fields<'r>(&self, columns: &mut Columns<'r>) -> Result<Fields<'r>, Error> {
        let mut fields = Vec::with_capacity(self.fields.len());
        for field in self.fields {
            let value = match field.kind {
                Kind::Text => Value::text(columns.take()?),
                Kind::Whole { .. } => Value::number(columns.take::<Option<i32>>()?),
                Kind::Switch => columns
                    .take::<Option<bool>>()?
                    .map_or(Value::Unset, Value::Switch),
                Kind::Object | Kind::Ids => Value::json(columns.take()?),
            };
            fields.push((field.name, value));
        }
        Ok(fields.into_iter().collect())
    }

    /// `fields` as a row of `owner`'s.
    pub(super) fn row<'a>(&self, owner: &'a str, fields: &Fields<'a>) -> Fields<'a> {
        let owner = self.owner.map(|column| (column, Value::Text(owner.into())));
        owner.into_iter().chain(fields.iter().cloned()).collect()
    }

    /// Adds `rows`; those that are there are replaced. What the daemon decides stays.
    pub(super) async fn put(&self, client: &Client, rows: &[Fields<'_>]) -> Result<(), Error> {
        if rows.is_empty() {
            return Ok(());
        }
        let parameters: [Parameter<'_>; 2] = [(&self.kind, Type::TEXT), (&json(rows), Type::TEXT)];
        run(client, PUT, &parameters).await
    }

    /// Removes the parts of `owners` that are not among `kept`.
    pub(super) async fn remove_others(
        &self,
        client: &Client,
        owners: &[&str],
        kept: &[Fields<'_>],
    ) -> Result<(), Error> {
        let (view, owner) = (self.view, self.owner.unwrap_or("id"));
        let part = self.fields.first().map_or("", |field| field.name);
        let sql = format!(
            "DELETE FROM {view} AS old WHERE old.{owner} = ANY ($2) AND NOT EXISTS (SELECT FROM \
             jsonb_to_recordset($1::text::jsonb) AS n ({owner} text, {part} text) \
             WHERE n.{owner} = old.{owner} AND n.{part} = old.{part})"
        );
        let parameters: [Parameter<'_>; 2] =
            [(&json(kept), Type::TEXT), (&owners, Type::TEXT_ARRAY)];
        run(client, &sql, &parameters).await
    }
}

/// Of a text not much more than any may have, so that a row of any size costs a sidecar no more than
/// itself. To count letters costs more than to look at the size, by which most are known to be small.
fn bounded(column: &str, cast: &str) -> String {
    let cut = format!("left({column}{cast}, {MAX_VALUE_BYTES} + 1)");
    format!("CASE WHEN pg_column_size({column}) < 2000 THEN {column}{cast} ELSE {cut} END")
}

/// Writes the fields that `patch` mentions of the extension `id`, and no other.
pub(super) async fn patch(client: &Client, id: &str, patch: &Fields<'_>) -> Result<(), Error> {
    let parameters: [Parameter<'_>; 2] = [(&id, Type::TEXT), (&json(patch), Type::TEXT)];
    run(client, PATCH, &parameters).await
}

//! The tables of definitions, as the record's own table of fields says: what is selected, and how
//! records are written, as JSON.

use std::sync::LazyLock;

use tokio_postgres::types::Type;
use tokio_postgres::{Client, Error};

use super::columns::Columns;
use crate::domain::record::{self, Field, Fields, Kind, Value};

/// A table of definitions.
#[derive(Debug)]
pub(super) struct Table {
    /// Its name.
    pub(super) name: &'static str,
    /// The column that says whose part a row is.
    owner: Option<&'static str>,
    /// Its other columns that are part of a definition, its name first.
    fields: &'static [Field],
    put: LazyLock<String>,
    delete_others: LazyLock<String>,
}

/// Extensions themselves.
pub(super) static EXTENSIONS: Table = Table {
    name: "extensions",
    owner: None,
    fields: record::EXTENSION,
    put: LazyLock::new(|| EXTENSIONS.insert("")),
    delete_others: LazyLock::new(String::new),
};

/// Their versions.
pub(super) static VERSIONS: Table = Table {
    name: "extension_versions",
    owner: Some("id"),
    fields: record::VERSION,
    put: LazyLock::new(|| VERSIONS.insert_or_replace()),
    delete_others: LazyLock::new(|| VERSIONS.delete_others()),
};

/// Their instances.
pub(super) static INSTANCES: Table = Table {
    name: "extension_instances",
    owner: Some("extension_id"),
    fields: record::INSTANCE,
    put: LazyLock::new(|| INSTANCES.insert_or_replace()),
    delete_others: LazyLock::new(|| INSTANCES.delete_others()),
};

impl Table {
    /// What is selected of it, as [`Table::fields`] reads it.
    pub(super) fn columns(&self) -> String {
        let columns = self.fields.iter().map(|field| match field.kind {
            Kind::Object | Kind::Ids => format!("{}::text", field.name),
            _ => field.name.to_owned(),
        });
        columns.collect::<Vec<_>>().join(", ")
    }

    /// Takes its columns of a row.
    pub(super) fn fields<'r>(&self, columns: &mut Columns<'r>) -> Result<Fields<'r>, Error> {
        let fields = self.fields.iter().map(|field| {
            let value = match field.kind {
                Kind::Text => Value::text(columns.take()?),
                Kind::Whole { .. } => Value::number(columns.take::<Option<i32>>()?),
                Kind::Switch => columns
                    .take::<Option<bool>>()?
                    .map_or(Value::Unset, Value::Switch),
                Kind::Object | Kind::Ids => Value::json(columns.take()?),
            };
            Ok((field.name, value))
        });
        fields.collect()
    }

    /// `fields` as a row of `owner`'s.
    pub(super) fn row<'a>(&self, owner: &'a str, fields: &Fields<'a>) -> Fields<'a> {
        let owner = self.owner.map(|column| (column, Value::Text(owner.into())));
        owner.into_iter().chain(fields.iter().cloned()).collect()
    }

    /// Adds `rows`; those of parts that are there are replaced.
    pub(super) async fn put(&self, client: &Client, rows: &[Fields<'_>]) -> Result<(), Error> {
        if rows.is_empty() {
            return Ok(());
        }
        client
            .query_typed(&self.put, &[(&json(rows), Type::TEXT)])
            .await
            .map(drop)
    }

    /// Replaces rows of extensions that are there: whatever is not mentioned becomes null, what is the
    /// daemon's own stays.
    pub(super) async fn replace(&self, client: &Client, rows: &[Fields<'_>]) -> Result<(), Error> {
        let sql = format!(
            "{}, promoted = NULL {}",
            self.set(self.written()),
            self.of_json()
        );
        client
            .query_typed(&sql, &[(&json(rows), Type::TEXT)])
            .await
            .map(drop)
    }

    /// Writes the fields that `patch` mentions of the extension `id`, and no other.
    pub(super) async fn patch(
        &self,
        client: &Client,
        id: &str,
        patch: &Fields<'_>,
    ) -> Result<(), Error> {
        let named = patch.iter().map(|(name, _)| *name);
        if patch.iter().next().is_none() {
            return Ok(());
        }
        let sql = format!("{} {}", self.set(named), self.of_json());
        let id = [("id", Value::Text(id.into()))];
        let row: Fields<'_> = id.into_iter().chain(patch.iter().cloned()).collect();
        client
            .query_typed(&sql, &[(&json(&[row]), Type::TEXT)])
            .await
            .map(drop)
    }

    /// Removes the parts of `owners` that are not among `kept`.
    pub(super) async fn remove_others(
        &self,
        client: &Client,
        owners: &[&str],
        kept: &[Fields<'_>],
    ) -> Result<(), Error> {
        let parameters: [super::definitions::Parameter<'_>; 2] =
            [(&json(kept), Type::TEXT), (&owners, Type::TEXT_ARRAY)];
        client
            .query_typed(&self.delete_others, &parameters)
            .await
            .map(drop)
    }

    /// The columns that are written: all but what the daemon decides by itself.
    fn written(&self) -> impl Iterator<Item = &'static str> {
        let written = self.fields.iter().filter(|field| !field.automatic);
        written.map(|field| field.name)
    }

    fn rows(&self) -> String {
        format!(
            "jsonb_populate_recordset(NULL::{}, $1::text::jsonb) AS n",
            self.name
        )
    }

    fn insert(&self, on_conflict: &str) -> String {
        let columns: Vec<_> = self.owner.into_iter().chain(self.written()).collect();
        let (name, columns, rows) = (self.name, columns.join(", "), self.rows());
        format!("INSERT INTO {name} ({columns}) SELECT {columns} FROM {rows} {on_conflict}")
    }

    fn insert_or_replace(&self) -> String {
        let (owner, name) = (self.owner.unwrap_or("id"), self.part());
        let columns: Vec<_> = self.written().skip(1).collect();
        let new: Vec<_> = columns
            .iter()
            .map(|column| format!("excluded.{column}"))
            .collect();
        let (columns, new) = (columns.join(", "), new.join(", "));
        self.insert(&format!(
            "ON CONFLICT ({owner}, {name}) DO UPDATE SET ({columns}) = ROW({new})"
        ))
    }

    fn delete_others(&self) -> String {
        let (table, rows, part) = (self.name, self.rows(), self.part());
        let owner = self.owner.unwrap_or("id");
        format!(
            "DELETE FROM {table} AS old WHERE old.{owner} = ANY ($2) AND NOT EXISTS (SELECT FROM \
             {rows} WHERE n.{owner} = old.{owner} AND n.{part} = old.{part})"
        )
    }

    /// The column with a part's name.
    fn part(&self) -> &'static str {
        self.fields.first().map_or("", |field| field.name)
    }

    fn set(&self, columns: impl Iterator<Item = &'static str>) -> String {
        let columns: Vec<_> = columns.filter(|column| *column != "id").collect();
        let new: Vec<_> = columns.iter().map(|column| format!("n.{column}")).collect();
        let (name, columns, new) = (self.name, columns.join(", "), new.join(", "));
        format!("UPDATE {name} AS old SET ({columns}) = ROW({new})")
    }

    fn of_json(&self) -> String {
        format!("FROM {} WHERE old.id = n.id", self.rows())
    }
}

/// Rows as the one parameter of a statement. Plain fields cannot fail to be written.
fn json(rows: &[Fields<'_>]) -> String {
    serde_json::to_string(rows).unwrap_or_default()
}

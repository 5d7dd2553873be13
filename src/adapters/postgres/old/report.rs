//! What an operator should know of an upgrade of an old database, before and after.

use std::fmt;

use tokio_postgres::{Error, GenericClient};

use super::obstacles;
use super::shape::{Shape, VERSIONS};
use crate::domain::quote::quoted;

/// The most names in a line; the rest is counted.
const NAMED: usize = 20;

/// Versions that will not take part as their rows have it, and the current ones that have rules. A
/// column that the upgrade adds or fills may be missing or null.
const VERSION_ROWS: &str = "SELECT v.id || '/' || v.version, \
        v.version = coalesce(to_jsonb(e) ->> 'version', 'v1'), coalesce(v.enabled, true), \
        coalesce(to_jsonb(v) -> 'routing_rules' NOT IN ('{}', 'null'), false) \
    FROM extension_versions v JOIN extensions e USING (id) ORDER BY v.id, v.version";

/// What becomes of them.
const OFF: &str = "switched off, because without rules it would take all traffic";
const ON: &str = "switched on without its rules, because it is the current version";
const NARROW: &str = "current version with rules: serves only what they match";

/// What an upgrade would find, and do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Findings {
    /// Whether the original made the database, rather than the seeds' SQL.
    original: bool,
    /// The tables and their rows.
    rows: Vec<(&'static str, i64)>,
    /// What is served differently from the rows.
    notes: Vec<String>,
    /// What cannot be carried over: with any of it, nothing is done.
    pub obstacles: Vec<String>,
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let maker = if self.original {
            "the original"
        } else {
            "the seeds' SQL"
        };
        write!(f, "a database made by {maker}: ")?;
        let rows: Vec<_> = self
            .rows
            .iter()
            .map(|(table, rows)| format!("{table} {rows}"))
            .collect();
        f.write_str(&rows.join(", "))?;
        self.notes.iter().try_for_each(|note| write!(f, "\n{note}"))
    }
}

pub(super) async fn findings(
    client: &impl GenericClient,
    shape: &Shape,
) -> Result<Findings, Error> {
    let obstacles = obstacles::find(client, shape).await?;
    let mut rows = Vec::new();
    for table in shape.tables() {
        let count = format!("SELECT count(*) FROM {table}");
        rows.push((table, client.query_one(&count, &[]).await?.try_get(0)?));
    }
    let readable = shape.oddities().is_empty();
    let notes = if readable && shape.column(VERSIONS, "enabled") {
        notes(client).await?
    } else {
        Vec::new()
    };
    Ok(Findings {
        original: shape.is_original(),
        rows,
        notes,
        obstacles,
    })
}

async fn notes(client: &impl GenericClient) -> Result<Vec<String>, Error> {
    let (mut off, mut on, mut narrow) = (Vec::new(), Vec::new(), Vec::new());
    for row in client.query(VERSION_ROWS, &[]).await? {
        let name: String = row.try_get(0)?;
        match (row.try_get(1)?, row.try_get(2)?, row.try_get(3)?) {
            (false, true, false) => off.push(name),
            (true, false, _) => on.push(name),
            (true, true, true) => narrow.push(name),
            _ => {}
        }
    }
    let notes = [(off, OFF), (on, ON), (narrow, NARROW)].into_iter();
    let told = notes.filter(|(names, _)| !names.is_empty());
    Ok(told
        .map(|(names, what)| format!("{what}: {}", list(&names)))
        .collect())
}

fn list(names: &[String]) -> String {
    let shown: Vec<_> = names.iter().take(NAMED).map(|name| quoted(name)).collect();
    match names.len().saturating_sub(NAMED) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

//! Rows read as a set: one that cannot be used affects only itself.

use std::error::Error;

use tokio_postgres::Row;

use super::PostgresHealth;
use crate::domain::ids::NameError;
use crate::domain::quarantine::Fault;
use crate::domain::quote::quoted;
use crate::service::observe::Observation;
use crate::service::skipped::Reading;

/// Why a row cannot be used, in words for operators.
pub(super) type Unusable = Box<dyn Error + Send + Sync>;

/// Names the column that breaks a rule.
pub(super) fn named(column: &'static str) -> impl Fn(NameError) -> Unusable {
    move |rule| format!("`{column}` {rule}").into()
}

/// A table, and the columns of a reading of it that name a row.
#[derive(Debug, Clone, Copy)]
pub(super) struct Table(pub(super) &'static str, pub(super) &'static [usize]);

impl PostgresHealth {
    /// What the rows hold. Rows that cannot be used are skipped, named in `stats`, and reported
    /// when they are new.
    pub(super) fn each<T>(
        &self,
        table: Table,
        reading: Reading,
        rows: &[Row],
        read: fn(&Row) -> Result<T, Unusable>,
    ) -> Vec<T> {
        let (mut values, mut faults) = (Vec::with_capacity(rows.len()), Vec::new());
        for row in rows {
            match read(row) {
                Ok(value) => values.push(value),
                Err(reason) => faults.push(Fault {
                    origin: table.origin(row),
                    reason: quoted(&reason.to_string()),
                    extension: None,
                }),
            }
        }
        for Fault { origin, reason, .. } in self.skipped.note(table.0, reading, faults) {
            let news = Observation::Quarantined { origin, reason };
            self.observers.observe(&news);
        }
        values
    }

    /// Nothing of `table` is read any more, so nothing of it is skipped.
    pub(super) fn none(&self, table: Table) {
        self.skipped.note(table.0, Reading::Whole, Vec::new());
    }
}

impl Table {
    /// `circuit_overrides/normalize_text/v1`.
    fn origin(self, row: &Row) -> String {
        let Self(name, keys) = self;
        let mut origin = name.to_owned();
        for column in keys {
            let key: Option<&str> = row.try_get(*column).ok().flatten();
            origin += "/";
            origin += &quoted(key.unwrap_or("?"));
        }
        origin
    }
}

//! What the fleet shares besides definitions: health, overrides, automatic switching, claims.
//!
//! What must be decided under a lock is a function of the schema (`migrations/functions/`), so each
//! call is one transaction, sent whole: no lock is held across the network, and a sidecar that
//! dies in the middle leaves nothing behind.

mod call;
mod circuits;
mod claims;
mod reports;
mod rollouts;
mod switch;

use std::error::Error;
use std::sync::Arc;

use tokio_postgres::Row;

use super::pool::Pool;
use crate::domain::ids::NameError;
use crate::domain::quarantine::Fault;
use crate::domain::quote::quoted;
use crate::service::observe::{Observation, Observers};
use crate::service::skipped::{Reading, Skipped};

/// Why a row cannot be used, in words for operators.
type Unusable = Box<dyn Error + Send + Sync>;

/// Names the column that breaks a rule.
fn named(column: &'static str) -> impl Fn(NameError) -> Unusable {
    move |rule| format!("`{column}` {rule}").into()
}

/// A table, and the columns of a reading of it that name a row.
#[derive(Debug, Clone, Copy)]
struct Table(&'static str, &'static [usize]);

/// The ports of [`crate::service::health_store`] over a pool.
#[derive(Debug)]
pub struct PostgresHealth {
    pool: Arc<Pool>,
    instance_id: Box<str>,
    skipped: Arc<Skipped>,
    observers: Observers,
}

impl PostgresHealth {
    /// The store as the sidecar `instance_id` uses it. Rows that cannot be used go to `skipped`,
    /// and `observers` hear of each once.
    pub fn new(
        pool: Arc<Pool>,
        instance_id: &str,
        skipped: Arc<Skipped>,
        observers: Observers,
    ) -> Self {
        Self {
            pool,
            instance_id: instance_id.into(),
            skipped,
            observers,
        }
    }

    /// What the rows of a set hold. One that cannot be used affects only itself: it is skipped, named
    /// in `stats`, and reported when it is new.
    fn each<T>(
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
    fn none(&self, table: Table) {
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

//! Reading a row.

use std::time::SystemTime;

use tokio_postgres::types::FromSql;
use tokio_postgres::{Error, Row};

use super::stamp::Stamp;

/// A row's columns, taken from left to right.
pub(super) struct Columns<'r> {
    row: &'r Row,
    next: usize,
}

impl<'r> Columns<'r> {
    pub(super) fn of(row: &'r Row) -> Self {
        Self { row, next: 0 }
    }

    /// Without the next `columns`.
    pub(super) fn skip(self, columns: usize) -> Self {
        let next = self.next + columns;
        Self { next, ..self }
    }

    pub(super) fn take<T: FromSql<'r>>(&mut self) -> Result<T, Error> {
        let column = self.next;
        self.next += 1;
        self.row.try_get(column)
    }

    /// What [`Columns::take`] would take.
    pub(super) fn peek<T: FromSql<'r>>(&self) -> Result<T, Error> {
        self.row.try_get(self.next)
    }

    pub(super) fn time(&mut self) -> Result<Option<SystemTime>, Error> {
        Ok(self.take::<Option<Stamp>>()?.and_then(Stamp::moment))
    }

    pub(super) fn name(&mut self) -> Result<Option<Box<str>>, Error> {
        Ok(self.take::<Option<&str>>()?.map(Box::from))
    }
}

/// A count as the database has it; below zero is none.
pub(super) fn count(bigint: i64) -> u64 {
    u64::try_from(bigint).unwrap_or(0)
}

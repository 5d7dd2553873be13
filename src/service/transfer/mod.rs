//! Definitions between files and the database: all of them or none.
//!
//! [`import`] makes the database match the files, [`export`] the files match the database. Both go
//! through ports: [`Store`] for the database's side of an import, [`Folder`] for files that are
//! written.

mod alike;
mod compare;
mod export;
mod import;
mod portions;
mod ports;
mod verify;
mod wanted;

pub use compare::{Changed, Comparison};
pub use export::{ExportError, export};
pub use import::{Import, Outcome, Refusal, Report, Tally, import};
pub use ports::{Folder, FolderError, Store, StoreError, Stored, Transaction, WriteError, Written};
pub use wanted::Wanted;

#[cfg(test)]
mod tests;

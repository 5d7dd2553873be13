//! Definitions from files to the database: all of them or none.
//!
//! [`import`] makes the database match the files, through the port [`Transaction`].

mod alike;
mod compare;
mod import;
mod portions;
mod ports;
mod verify;
mod wanted;

pub use compare::{Report, Tally};
pub use import::{Import, Outcome, Refusal, import};
pub use ports::{StoreError, Stored, Transaction};
pub use wanted::Wanted;

#[cfg(test)]
mod tests;

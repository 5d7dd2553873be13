//! What an operator may do to a definition, decided without a database.
//!
//! [`plan`] takes the record as it is stored and a [`Command`], and answers the [`Step`]s that carry
//! it out, or the rule that the command breaks. Whoever stores definitions reads the record, carries
//! out the steps and commits, all under one lock; nothing is decided there.

mod columns;
mod command;
mod plan;
mod promote;
mod size;
mod stored;
mod whole;

pub use columns::ExtensionColumns;
pub use command::{Command, ExtensionPatch, Patch};
pub use plan::{EditError, Plan, Step, plan};
pub use stored::{ExtensionFields, InstanceFields, StoredRecord, VersionFields};
pub use whole::record_faults;

#[cfg(test)]
mod tests;

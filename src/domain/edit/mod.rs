//! What an operator may do to a definition, decided without a database.
//!
//! [`plan`] takes the record as it is stored and a [`Command`], and answers the [`Step`]s that carry
//! it out, or the rule that the command breaks. The code that stores definitions reads the record,
//! carries out the steps and commits, all under one lock; nothing is decided there.

mod command;
mod plan;
mod promote;

pub use command::{Command, Share};
pub use plan::{EditError, Plan, Step, Stored, plan};

#[cfg(test)]
mod tests;

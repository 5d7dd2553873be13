//! The postgres adapter.

pub mod migrate;
pub mod schema;

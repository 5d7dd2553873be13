//! The registry's own terms. Nothing here does I/O, awaits, reads a clock or knows a wire format.

pub mod catalog;
pub mod context;
pub mod draft;
pub mod entry;
pub mod extension;
pub mod ids;
pub mod json;
pub mod listing;
pub mod policy;
pub mod source;
pub mod quarantine;
pub mod reconcile;
pub mod rollout;
pub mod routing;
pub mod rules;
pub mod subject;
pub mod version_order;

#[cfg(test)]
pub(crate) mod testing;

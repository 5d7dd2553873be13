//! Changes are told once per fleet, whoever made them and however many sidecars follow:
//!
//! - [`once`]: one event for each change, by one sidecar, with the names of the fields only,
//! - [`bulk`]: a revision with many changes is told of as a whole.

pub(crate) mod bulk;
mod once;

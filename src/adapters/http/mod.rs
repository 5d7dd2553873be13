//! The http adapter.

//! The integration tests: one binary, real servers, real processes. See [`harness`].
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test that cannot go on should stop right there, and say why"
)]

mod harness;
mod harness_smoke;
mod health_store;
mod postgres_source;
mod schema;

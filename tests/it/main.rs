//! The integration tests: one binary, real servers, real processes. See [`harness`].
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test that cannot go on should stop right there, and say why"
)]

mod access;
mod admin;
mod api_tools;
mod auto;
mod change_events;
mod check;
mod cli;
mod clocks;
mod dashboards;
mod dev;
mod discovery;
mod docs;
mod erlang;
mod errors;
mod events;
mod events_seen;
mod examples;
mod fuzz;
mod gate;
mod golden;
mod harness;
mod harness_smoke;
mod invoke;
mod health;
mod http_admin;
mod lifecycle;
mod link;
mod lookups;
mod no_miss;
mod played;
mod calls;
mod fleet;
mod health_store;
mod odd_rows;
mod operator;
mod postgres_source;
mod quarantine;
mod reads;
mod reload;
mod requests;
mod rig;
mod rollouts;
mod schema;
mod site;
mod source_modes;
mod status_page;
#[cfg(feature = "otlp")]
mod spans;
mod subjects;
mod transfer;
mod troubles;
mod upgrade;
mod visibility;
mod writers;

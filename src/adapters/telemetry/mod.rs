//! The log and the metrics: two readers of what the process observes.

pub mod log;
pub mod metrics;

mod collector;
mod extensions;
mod page;
mod panics;
mod repeats;
mod writer;
mod text;

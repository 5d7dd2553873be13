//! The log and the metrics: two readers of what the process observes. No request waits for
//! a reader.
//!
//! Of the [`log`]: [`repeats`], [`panics`], and the [`writer`]. Of the [`metrics`]: what is read at
//! each scrape ([`collector`], [`extensions`]), and the [`page`] that it becomes.

pub mod log;
pub mod metrics;

mod collector;
mod extensions;
mod page;
mod panics;
mod repeats;
mod writer;
mod text;

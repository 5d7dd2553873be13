//! Adapters: each speaks to one outside thing; none imports another.

pub mod fixtures;
pub mod http;
pub mod nats;
pub mod postgres;
pub mod telemetry;

//! Adapters: each speaks to one outside thing; none imports another.

pub mod fixtures;
pub mod http;
pub mod nats;
#[cfg(feature = "otlp")]
pub mod otlp;
pub mod postgres;
pub mod telemetry;

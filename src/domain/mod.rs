//! The registry's own terms. Nothing here does I/O, awaits, reads a clock or knows a wire format.

pub mod balancer;
pub mod breaker;
pub mod catalog;
pub mod context;
pub mod draft;
pub mod ejection;
pub mod entry;
pub mod envelope;
pub mod extension;
pub mod health;
pub mod ids;
pub mod json;
pub mod latency;
pub mod listing;
pub mod outcome;
pub mod policy;
pub mod source;
pub mod quarantine;
pub mod reconcile;
pub mod reply;
pub mod retry;
pub mod rollout;
pub mod routing;
pub mod rules;
pub mod subject;
pub mod traceparent;
pub mod version_order;

#[cfg(test)]
pub(crate) mod testing;

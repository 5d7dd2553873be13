//! The registry's own terms. Nothing here does I/O, awaits, reads a clock or speaks to a driver.
//!
//! JSON is here only where it is the subject itself: settings of an extension, rules, and what
//! goes to and comes from one.

pub mod ids;
pub mod actor;
pub mod subject;
pub mod quote;
pub mod words;
pub mod lock;
pub mod text;
pub mod line;
pub mod moment;
pub mod decimal;
pub mod whole;
pub mod json;
pub mod extension;
pub mod policy;
pub mod metadata;
pub mod call_rules;
pub mod record;
pub mod edit;
pub mod context;
pub mod rules;
pub mod rollout;
pub mod version_order;
pub mod routing;
pub mod entry;
pub mod source;
pub mod distinct;
pub mod quarantine;
pub mod selector;
pub mod listing;
pub mod catalog;
pub mod reconcile;
pub mod breaker;
pub mod balancer;
pub mod ejection;
pub mod load;
pub mod rest;
pub mod retry;
pub mod shares;
pub mod latency;
pub mod health;
pub mod failures;
pub mod halting;
pub mod envelope;
pub mod traceparent;
pub mod header;
pub mod reply;
pub mod acknowledgement;
pub mod push_back;
pub mod outcome;
pub mod overload;
pub mod call_id;
pub mod probe;

#[cfg(test)]
pub(crate) mod testing;

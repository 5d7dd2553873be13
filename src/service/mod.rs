//! Use cases. Nothing here knows a driver, a socket or a wire format; what they need from outside
//! comes in through traits: of [`source`], [`caller`], [`health_store`], [`definitions`], [`spans`]
//! and [`observe`], and of [`invoke`], [`fleet`] and [`transfer`] for what these alone need.

pub mod error;
pub mod observe;
pub mod boundary;
pub mod budget;
pub mod source;
pub mod spans;
pub mod caller;
pub mod health_store;
pub mod status;
pub mod progress;
pub mod readiness;
pub mod reload;
pub mod meter;
pub mod clock;
pub mod patience;
pub mod pauses;
pub mod circuits;
pub mod selection;
pub mod lookup;
pub mod read;
pub mod invoke;
pub mod fleet;
pub mod definitions;
pub mod administration;
pub mod health;
pub mod circuit_control;
pub mod skipped;
pub mod stats;
pub mod live;
pub mod transfer;
pub mod trouble;

#[cfg(test)]
pub(crate) mod testing;

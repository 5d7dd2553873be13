//! This sidecar as one of many: what the others counted, and what holds for all.

pub mod changes;
mod figures;
pub mod link;
pub mod openings;
pub mod probe;
mod retry;
pub mod switch;

pub use figures::FleetFigures;

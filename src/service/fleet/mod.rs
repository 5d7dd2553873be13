//! This sidecar as one of many: what the others counted, and what holds for all.

mod figures;

pub use figures::FleetFigures;

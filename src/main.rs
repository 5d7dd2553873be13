//! The process: see [`beamline_registry::cli`].

fn main() {}

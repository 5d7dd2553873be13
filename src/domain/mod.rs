//! The registry's own terms. Nothing here does I/O, awaits, reads a clock or knows a wire format.

pub mod subject;

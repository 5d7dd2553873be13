//! Administration: reads and writes under `/admin`.

mod change;
pub(super) mod reads;
pub(super) mod writes;

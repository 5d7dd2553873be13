//! Administration: reads and writes under `/admin`.

pub(super) mod reads;

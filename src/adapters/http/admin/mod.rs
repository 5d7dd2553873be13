//! Administration: [`reads`] and [`writes`] under `/admin`. Nothing here decides anything: a
//! request is taken apart and handed to the desk.

mod change;
pub(super) mod reads;
pub(super) mod writes;

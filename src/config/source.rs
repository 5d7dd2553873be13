//! Where the extensions come from, and how often the source is checked without a hint.

use super::reader::Reader;
use super::variables::{CACHE_TYPE, DB_ENABLED, SOURCE, SourceSettings};
pub use crate::domain::source::SourceMode;

pub(super) const CACHES: [&str; 2] = ["ets", "mnesia"];

/// Whether a database is enabled says `database`. A folder of fixtures may be missing: the source
/// reports that, at every reload.
pub(super) fn check(values: &SourceSettings, database: bool, reader: &mut Reader<'_>) {
    if values.mode == SourceMode::Database && !database {
        let why = match reader.is_set(&DB_ENABLED) {
            true => "DB_ENABLED is false",
            false => "neither DB_URL nor DB_HOST is set",
        };
        reader.fault(&SOURCE, format!("is `database`, but {why}"));
    }
    if reader.is_set(&CACHE_TYPE) {
        let why = "every sidecar holds all data and follows the database";
        let origin = reader.origin(&CACHE_TYPE);
        reader.warn(format!("{origin} has no effect: {why}"));
    }
}

//! Where the extensions come from, and how often that is looked at without a hint.

use std::path::PathBuf;
use std::time::Duration;

use super::parse::{text, word};
use super::reader::Reader;
use super::variables::{CACHE_TYPE, FIXTURES_DIR, SOURCE, SYNC_INTERVAL_SECONDS};
pub use crate::domain::source::SourceMode;

/// Settings of the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceSettings {
    /// Which source serves.
    pub mode: SourceMode,
    /// Folder of the fixtures. It may be missing: the source reports that, at every reload.
    pub fixtures_dir: PathBuf,
    /// Time between safety syncs.
    pub sync_interval: Duration,
}

const MODES: [(&str, SourceMode); 3] = [
    ("database", SourceMode::Database),
    ("fixtures", SourceMode::Fixtures),
    ("auto", SourceMode::Auto),
];

/// `no_database` says why there is none; `None` when there is one.
pub(super) fn read(reader: &mut Reader<'_>, no_database: Option<&str>) -> Option<SourceSettings> {
    let mode = reader.value(&SOURCE, word(&MODES))?;
    if let (SourceMode::Database, Some(why)) = (mode, no_database) {
        reader.fault(&SOURCE, format!("is `database`, but {why}"));
    }
    let cache_type = reader.optional(&CACHE_TYPE, word(&[("ets", ()), ("mnesia", ())]));
    if cache_type.is_some() && reader.is_set(&CACHE_TYPE) {
        let why = "every sidecar holds all data and follows the database";
        reader.warn(format!(
            "{} has no effect: {why}",
            reader.origin(&CACHE_TYPE)
        ));
    }
    Some(SourceSettings {
        mode,
        fixtures_dir: reader.value(&FIXTURES_DIR, text)?.into(),
        sync_interval: reader.duration(&SYNC_INTERVAL_SECONDS, 0.05..=86_400.0)?,
    })
}

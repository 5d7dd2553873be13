//! Where the extensions come from, and how often that is looked at without being told.

use std::path::PathBuf;
use std::time::Duration;

use super::database::NoDatabase;
use super::fault::Warning;
use super::parse;
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

/// `no_database` says why there is none; `None` when there is one, or a fault hides the answer.
pub(super) fn read(
    reader: &mut Reader<'_>,
    no_database: Option<NoDatabase>,
) -> Option<SourceSettings> {
    let mode = reader.value(&SOURCE, |text| {
        parse::word(
            text,
            &[
                ("database", SourceMode::Database),
                ("fixtures", SourceMode::Fixtures),
                ("auto", SourceMode::Auto),
            ],
        )
    });
    if let (Some(SourceMode::Database), Some(why)) = (mode, no_database) {
        reader.fault(&SOURCE, format!("is `database`, but {why}"));
    }
    let fixtures_dir = reader.value(&FIXTURES_DIR, parse::text);
    let sync_interval = reader.duration(
        &SYNC_INTERVAL_SECONDS,
        Duration::from_millis(50)..=Duration::from_secs(86_400),
    );
    let cache_type = reader.value(&CACHE_TYPE, |text| {
        parse::word(text, &[("ets", ()), ("mnesia", ())])
    });
    if cache_type.is_some() && reader.is_set(&CACHE_TYPE) {
        reader.warn(Warning::NoEffect {
            origin: reader.origin(&CACHE_TYPE),
            reason: "every sidecar holds all data and follows the database",
        });
    }
    Some(SourceSettings {
        mode: mode?,
        fixtures_dir: fixtures_dir?.into(),
        sync_interval: sync_interval?,
    })
}

//! The fixtures: whether they can be read, and each fault that they have.

use super::line::{Advice, Line};
use crate::adapters::fixtures::FixturesSource;
use crate::app::policy;
use crate::config::Settings;
use crate::service::source::Fixtures;

const FOLDER: Advice = (
    "set EXTENSION_REGISTRY_FIXTURES_DIR, and let the daemon read it",
    "docs/troubleshooting.md#a-file-is-not-read",
);
const FAULT: Advice = (
    "correct the entry; the others are served",
    "docs/troubleshooting.md#a-record-is-quarantined",
);

pub(super) async fn lines(settings: &Settings) -> Vec<Line> {
    let folder = &settings.source.fixtures_dir;
    let source = FixturesSource::new(folder.clone(), policy(settings));
    let folder = folder.display();
    let everything = match source.read().await {
        Ok(everything) => everything,
        Err(error) => {
            let what = format!("{folder} can be read");
            return vec![Line::bad(what, error.to_string(), FOLDER)];
        }
    };
    let count = everything.extensions.len();
    let mut lines = vec![Line::good(format!("{folder} has {count} extensions"))];
    lines.extend(everything.faults.iter().map(|fault| {
        let what = format!("{} is sound", fault.origin);
        Line::bad(what, fault.reason.to_string(), FAULT)
    }));
    lines
}

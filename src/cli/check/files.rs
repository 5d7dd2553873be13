//! The fixtures: whether they can be read, and each fault that they have.

use super::line::{Advice, Line};
use crate::adapters::fixtures::FixturesSource;
use crate::app::{policy, uses_database};
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
            let (what, problem) = (format!("{folder} can be read"), error.to_string());
            // Beside a database, files serve only until it answers.
            return vec![match uses_database(settings) {
                Some(_) => Line::doubtful(what, problem, FOLDER),
                None => Line::bad(what, problem, FOLDER),
            }];
        }
    };
    let count = everything.extensions.len();
    let mut lines = vec![Line::good(format!("{folder} has {count} extensions"))];
    // A folder ships with the daemon: who runs this before it does must be stopped.
    lines.extend(everything.faults.iter().map(|fault| {
        let what = format!("{} is sound", fault.origin);
        Line::bad(what, fault.reason.to_string(), FAULT)
    }));
    lines
}

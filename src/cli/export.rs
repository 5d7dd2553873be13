//! `export`: the database to fixtures.

use std::sync::Arc;

use clap::ArgMatches;

use super::arguments::folder;
use super::import::without_limits;
use super::{Ended, err, failure, harmless, out, pool};
use crate::adapters::fixtures::{WriteError, export};
use crate::adapters::postgres::PostgresSource;
use crate::app;
use crate::config::Settings;
use crate::domain::quarantine::Fault;

/// The most names of files that are printed.
const MAX_NAMED: usize = 10;

/// Exports; 0 when the files match the database.
pub(super) async fn run(settings: &Settings, arguments: &ArgMatches) -> Ended {
    let policy = without_limits(app::policy(settings));
    let database = PostgresSource::new(pool(settings)?, Arc::new(policy));
    let nothing = |why: String| failure(&format!("{why}; nothing was exported"));
    let read = database.everything().await;
    let mut read = read.map_err(|error| nothing(error.to_string()))?;
    if !read.faults.is_empty() {
        return Err(nothing(quarantined(&read.faults)));
    }
    read.extensions.sort_unstable_by(|a, b| a.id.cmp(&b.id));
    let (path, count) = (folder(arguments), read.extensions.len());
    let exporting = export(path.clone(), arguments.get_flag("force"), read.extensions);
    let written = exporting.await.map_err(|error| match error {
        WriteError::Untouched(_) => nothing(error.to_string()),
        WriteError::Partly(_) => failure(&format!(
            "{error}; some files are replaced or removed already: export again with --force"
        )),
    })?;
    let done = format!("exported {count} extensions to {}", path.display());
    out(&harmless(&done));
    if !written.removed.is_empty() {
        out(&harmless(&removed(&written.removed)));
    }
    if let Some(reason) = written.not_synced {
        let warning = format!("warning: a power cut may undo this: {reason}");
        err(&harmless(&warning));
    }
    Ok(())
}

fn removed(names: &[String]) -> String {
    let named = names.iter().take(MAX_NAMED).map(String::as_str);
    let named: Vec<_> = named
        .chain((names.len() > MAX_NAMED).then_some("..."))
        .collect();
    let (count, named) = (names.len(), named.join(", "));
    format!("removed {count} files of an earlier export: {named}")
}

/// No file can express these rows: an export without them would lose them.
fn quarantined(faults: &[Fault]) -> String {
    let lines = faults.iter();
    let lines: String = lines
        .map(|fault| format!("{}: {}\n", fault.origin, fault.reason))
        .collect();
    let count = faults.len();
    format!(
        "{lines}{count} rows are in quarantine: an export would lose them; fix or delete them first"
    )
}

//! `export`: the database to fixtures.

use std::sync::Arc;

use clap::ArgMatches;

use super::arguments::folder;
use super::import::without_limits;
use super::{Ended, err, failure, harmless, out, pool};
use crate::adapters::fixtures::ExportFolder;
use crate::adapters::postgres::PostgresSource;
use crate::app;
use crate::config::Settings;
use crate::service::transfer::{self, ExportError, WriteError};

/// The most names of files that are printed.
const MAX_NAMED: usize = 10;

/// Exports; 0 when the files match the database.
pub(super) async fn run(settings: &Settings, arguments: &ArgMatches) -> Ended {
    let policy = without_limits(app::policy(settings));
    let database = PostgresSource::new(pool(settings)?, Arc::new(policy));
    let path = folder(arguments);
    let folder = ExportFolder::new(path.clone(), arguments.get_flag("force"));
    let exported = transfer::export(&database, &folder).await;
    let (count, written) = exported.map_err(|error| failure(&reason(&error)))?;
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

fn reason(error: &ExportError) -> String {
    match error {
        ExportError::Folder(WriteError::Partly(_)) => format!(
            "{error}; some files are replaced or removed already: export again with --force"
        ),
        ExportError::Quarantined(faults) => {
            let faults = faults.iter();
            let faults: String = faults
                .map(|fault| format!("{}: {}\n", fault.origin, fault.reason))
                .collect();
            format!(
                "{faults}{error}: an export would lose them; fix or delete them first; nothing was \
                 exported"
            )
        }
        _ => format!("{error}; nothing was exported"),
    }
}

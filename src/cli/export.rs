//! `export`: the database to fixtures.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use super::import::without_limits;
use super::{chain, err, out};
use crate::adapters::fixtures::ExportFolder;
use crate::adapters::postgres::{Pool, PostgresSource};
use crate::app;
use crate::config::Settings;
use crate::service::transfer::{self, ExportError, WriteError};

/// More names of files than anyone reads.
const MAX_NAMED: usize = 10;

/// Where to export to, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Export {
    /// The folder for fixtures.
    pub folder: PathBuf,
    /// Replace what an earlier export wrote there.
    pub force: bool,
}

/// Exports; 0 when the files say what the database holds.
pub(super) async fn run(settings: &Settings, what: &Export) -> ExitCode {
    let Some(database) = &settings.database else {
        return super::no_database();
    };
    let pool = match Pool::new(database, &settings.identity.instance_id) {
        Ok(pool) => Arc::new(pool),
        Err(error) => {
            err(&chain(&error));
            return ExitCode::FAILURE;
        }
    };
    let policy = without_limits(app::policy(settings));
    let database = PostgresSource::new(pool, Arc::new(policy));
    let folder = ExportFolder::new(what.folder.clone(), what.force);
    match transfer::export(&database, &folder).await {
        Ok((count, written)) => {
            let folder = what.folder.display();
            out(&format!("exported {count} extensions to {folder}"));
            if !written.removed.is_empty() {
                out(&removed(&written.removed));
            }
            if let Some(reason) = written.not_synced {
                err(&format!("warning: a power cut may undo this: {reason}"));
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            err(&reason(&error));
            ExitCode::FAILURE
        }
    }
}

fn removed(names: &[String]) -> String {
    let named: Vec<_> = names.iter().take(MAX_NAMED).map(String::as_str).collect();
    let more = if names.len() > MAX_NAMED { ", ..." } else { "" };
    let (count, named) = (names.len(), named.join(", "));
    format!("removed {count} files of an earlier export: {named}{more}")
}

fn reason(error: &ExportError) -> String {
    match error {
        ExportError::Folder(WriteError::Partly(_)) => format!(
            "{error}; some files are replaced or removed already: export again with --force"
        ),
        ExportError::Quarantined(faults) => {
            let faults = faults.iter();
            let mut lines: Vec<_> = faults
                .map(|fault| format!("{}: {}", fault.origin, fault.reason))
                .collect();
            lines.push(format!(
                "{error}: an export would lose them; mend or delete them first; nothing was exported"
            ));
            lines.join("\n")
        }
        _ => format!("{error}; nothing was exported"),
    }
}

//! `import`: fixtures to the database, all or nothing.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use super::import_progress::Progress;
use super::import_report::{self, Done};
use super::{chain, err, out};
use crate::adapters::fixtures::FixturesSource;
use crate::adapters::postgres::{Pool, PostgresStore};
use crate::app;
use crate::config::Settings;
use crate::domain::policy::Policy;
use crate::service::source::Fixtures;
use crate::service::transfer::{self, Outcome, Refusal};

/// The longest name of a user in the audit, as long as an actor's.
const MAX_USER: usize = 128;

/// What to import, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    /// The folder with fixtures.
    pub folder: PathBuf,
    /// Do everything but commit.
    pub dry_run: bool,
    /// Replace extensions that are there in another shape.
    pub overwrite: bool,
}

/// Imports, and prints what was found and done; 0 when the database holds what the files say.
pub(super) async fn run(settings: &Settings, what: &Import) -> ExitCode {
    let Some(database) = &settings.database else {
        return super::no_database();
    };
    let policy = app::policy(settings);
    let pool = match Pool::new(database, &settings.identity.instance_id) {
        Ok(pool) => Arc::new(pool),
        Err(error) => return failure(&chain(&error)),
    };
    let files = FixturesSource::new(what.folder.clone(), policy.clone());
    let store = PostgresStore::new(pool, Arc::new(without_limits(policy)));
    let progress = Progress::new();
    let files = match files.read().await {
        Ok(files) => files,
        Err(error) => {
            drop(progress);
            return failure(&error.to_string());
        }
    };
    let how = transfer::Import {
        changed_by: &format!("import:{}", user()),
        overwrite: what.overwrite,
        dry_run: what.dry_run,
        progress: &|step| progress.show(step),
    };
    let imported = transfer::import(&store, files, &how).await;
    drop(progress);
    let (report, outcome) = match imported {
        Ok(imported) => imported,
        Err(error) => return failure(&error.to_string()),
    };
    let done = match outcome {
        Outcome::Refused(_) => Done::Refused,
        Outcome::Imported(_) if what.dry_run => Done::Tried,
        Outcome::Imported(_) => Done::Written,
    };
    if !matches!(outcome, Outcome::Refused(Refusal::Faults(_))) {
        out(&import_report::tables(&report, done));
    }
    match outcome {
        Outcome::Imported(revision) => {
            out(&import_report::success(&report, revision, done));
            ExitCode::SUCCESS
        }
        Outcome::Refused(refusal) => failure(&import_report::refusal(&refusal)),
    }
}

/// Rows are compared as they are stored, not as this deployment cuts them.
pub(super) fn without_limits(policy: Policy) -> Policy {
    Policy {
        max_timeout_ms: u32::MAX,
        max_retries: u32::MAX,
        ..policy
    }
}

fn failure(what: &str) -> ExitCode {
    err(what);
    ExitCode::FAILURE
}

/// The user of this process, spelled as actors are.
fn user() -> String {
    let name = whoami::username().unwrap_or_else(|_| "unknown".to_owned());
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_@=+-".contains(c);
    let spelled = name.chars().map(|c| if allowed(c) { c } else { '-' });
    spelled.take(MAX_USER).collect()
}

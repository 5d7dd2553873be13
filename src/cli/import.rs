//! `import`: fixtures to the database, all or nothing.

use std::sync::Arc;

use clap::ArgMatches;

use super::arguments::folder;
use super::import_report;
use super::screen::Screen;
use super::{Ended, failure, out, pool};
use crate::adapters::fixtures::FixturesSource;
use crate::adapters::postgres::PostgresSource;
use crate::app;
use crate::config::Settings;
use crate::domain::policy::Policy;
use crate::service::source::Fixtures;
use crate::service::transfer::{self, Outcome, Refusal};

/// The longest name of a user in the audit, as long as an actor's.
const MAX_USER: usize = 128;

/// Imports, and prints what was found and done; 0 when the database matches the files.
pub(super) async fn run(settings: &Settings, arguments: &ArgMatches, screen: &Screen) -> Ended {
    let policy = app::policy(settings);
    let limits = Arc::new(without_limits(policy.clone()));
    let store = PostgresSource::new(pool(settings)?, limits);
    let how = transfer::Import {
        overwrite: arguments.get_flag("overwrite"),
        dry_run: arguments.get_flag("dry-run"),
    };
    let files = FixturesSource::new(folder(arguments), policy);
    let files = files.read().await;
    let files = files.map_err(|error| failure(&error.to_string()))?;
    let changed_by = format!("import:{}", user());
    let imported = transfer::import(store.import(&changed_by), files, &how).await;
    let (report, outcome) = imported.map_err(|error| failure(&error.to_string()))?;
    if !matches!(outcome, Outcome::Refused(Refusal::Faults(_))) {
        out(&import_report::tables(&report, &outcome, screen));
    }
    let result = import_report::result(&report, &outcome);
    match outcome {
        Outcome::Refused(_) => Err(failure(&result)),
        Outcome::Tried | Outcome::Imported(_) => {
            out(&result);
            Ok(())
        }
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

/// The user of this process, spelled as actors are.
fn user() -> String {
    let name = whoami::username().unwrap_or_else(|_| "unknown".to_owned());
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_@=+-".contains(c);
    let spelled = name.chars().map(|c| if allowed(c) { c } else { '-' });
    spelled.take(MAX_USER).collect()
}

//! `check`: tries what the daemon will need, in groups, with a hint for each failure.
//!
//! Every reason why a daemon can start and then not work has a line, in the manner of `linkerd
//! check`. Faults of the configuration itself are reported, all at once, before any command runs.

mod configuration;
mod database;
mod files;
mod fleet;
mod line;
mod nats;

use std::io::ErrorKind;
use std::process::ExitCode;

use clap::Command;

use self::line::Mark;
use super::operator::switch;
use super::{Ended, Invocation, failure};
use crate::app::uses_database;
use crate::domain::source::SourceMode;

/// The command and its arguments.
pub(super) fn command() -> Command {
    Command::new("check")
        .about("Check the configuration and the connections, with hints for what fails")
        .arg(switch(
            "settings",
            "Print the effective settings, and where each came from",
        ))
        .arg(switch(
            "fleet",
            "Compare the sidecars that are running, too",
        ))
        .arg(switch("json", "Print JSON"))
        .after_help(
            "Examples:\n  beamline-registry check --config deploy/config/prod.toml\n  \
             beamline-registry check --fleet\n\nExits with 1 when a line fails.",
        )
}

/// Tries everything that applies; 0 when no line fails.
pub(super) async fn run(invocation: &Invocation) -> Ended {
    let (settings, arguments) = (&invocation.settings, &invocation.arguments);
    let is_set = |name| arguments.get_flag(name);
    if is_set("settings") {
        let text = configuration::effective(invocation, is_set("json"));
        return print(invocation, &text);
    }
    let mut groups = vec![
        ("configuration", configuration::lines(invocation).await),
        ("NATS", nats::lines(settings).await),
    ];
    if let Some(database) = uses_database(settings) {
        groups.push(("database", database::lines(settings, database).await));
    }
    if settings.source.mode != SourceMode::Database {
        groups.push(("files", files::lines(settings).await));
    }
    if is_set("fleet") {
        groups.push(("fleet", fleet::lines(settings).await));
    }
    let text = match is_set("json") {
        true => line::json(&groups),
        false => line::text(&groups, &invocation.screen),
    };
    print(invocation, &text)?;
    let mut lines = groups.iter().flat_map(|(_, lines)| lines);
    match lines.any(|line| line.mark == Mark::Bad) {
        true => Err(ExitCode::FAILURE),
        false => Ok(()),
    }
}

/// Prints the answer. A reader that has closed the pipe, as `head` does, has read enough.
fn print(invocation: &Invocation, text: &str) -> Ended {
    match invocation.screen.line(text) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(failure(&format!("cannot write the answer: {error}")))
        }
        _ => Ok(()),
    }
}

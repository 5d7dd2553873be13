//! The command line for people: each command is a request over NATS, and its answer a table.
//!
//! [`commands`] is the table of what can be asked; [`arguments`] and [`field`] make the command
//! line from it, [`session`] and [`pages`] ask, [`view`] shows. A document goes to standard output
//! and whatever else there is to say to standard error, so that scripts can rely on either.

mod arguments;
mod commands;
mod failure;
mod field;
mod json;
mod pages;
mod screen;
mod session;
mod table;
mod text;
mod view;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::process::ExitCode;

use clap::ArgMatches;

pub(super) use self::arguments::commands;
use self::commands::Entry;
use self::failure::Failure;
use self::field::Given;
pub use self::screen::Screen;
use self::session::Session;
use crate::config::Settings;

/// What somebody asks for, and where the answer is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    name: String,
    matches: ArgMatches,
    screen: Screen,
}

/// What the arguments of the command `name` ask for; none where it is not a command of people.
pub(super) fn asked(
    name: &str,
    matches: &ArgMatches,
    env: &BTreeMap<OsString, OsString>,
) -> Option<Asked> {
    let known = commands::ALL.iter().any(|entry| entry.name == name);
    known.then(|| Asked {
        name: name.to_owned(),
        matches: matches.clone(),
        screen: Screen::of_process(env),
    })
}

/// Asks, shows the answer, and says with which code to leave.
pub(super) async fn run(settings: &Settings, asked: &Asked) -> ExitCode {
    let matches = &asked.matches;
    let entry = commands::ALL.iter().find(|entry| entry.name == asked.name);
    let outcome = match entry {
        Some(entry) => ask(settings, entry, matches, &asked.screen).await,
        None => Ok(()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.tell(matches.get_flag("json"));
            failure.exit_code()
        }
    }
}

async fn ask(
    settings: &Settings,
    entry: &Entry,
    matches: &ArgMatches,
    screen: &Screen,
) -> Result<(), Failure> {
    let given = given(entry, matches)?;
    let session = Session::open(settings, matches).await?;
    if matches.get_flag("json") {
        return pages::raw(&session, entry, matches, given, screen).await;
    }
    let document = pages::all(&session, session.to(), entry, matches, given).await?;
    Ok(screen.line(&(entry.view)(&document, screen))?)
}

/// The fields of the request.
fn given(entry: &Entry, matches: &ArgMatches) -> Result<Vec<Given>, Failure> {
    let mut given = Vec::new();
    for field in entry.fields {
        given.extend(field.given(matches).map_err(Failure::Usage)?);
    }
    Ok(given)
}

//! The command line for people: each command is a request over NATS, and its answer a table.
//!
//! [`commands`] is the table of what can be asked; [`arguments`] and [`field`] make the command
//! line from it, [`session`] and [`pages`] ask, [`view`] shows. A document goes to standard output
//! and whatever else there is to say to standard error, so that scripts can rely on either.

mod arguments;
mod commands;
mod completion;
mod failure;
mod field;
mod fleet;
mod invoke;
mod json;
mod pages;
mod screen;
mod session;
mod table;
mod text;
mod view;
mod watch;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::process::ExitCode;

use clap::ArgMatches;

pub(super) use self::arguments::commands;
use self::commands::Entry;
use self::failure::Failure;
use self::field::{Field, Given, Place};
use self::screen::Screen;
use self::session::Session;
use crate::config::Settings;

/// What somebody asks for, and where the answer is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    name: String,
    matches: ArgMatches,
    screen: Screen,
}

/// What the arguments of the command `name` ask for.
pub(super) fn asked(name: &str, matches: &ArgMatches, env: &BTreeMap<OsString, OsString>) -> Asked {
    Asked {
        name: name.to_owned(),
        matches: matches.clone(),
        screen: Screen::of_process(env),
    }
}

/// Asks, shows the answer, and says with which code to leave.
pub(super) async fn run(settings: &Settings, asked: &Asked) -> ExitCode {
    let Asked {
        matches, screen, ..
    } = asked;
    let outcome = match asked.name.as_str() {
        completion::NAME => completion::run(matches, screen),
        watch::NAME => watch::run(settings, matches, screen).await,
        invoke::NAME => invoke::run(settings, matches, screen).await,
        name => match commands::all().find(|entry| entry.name == name) {
            Some(entry) => ask(settings, entry, matches, screen).await,
            None => Err(Failure::Usage(format!("`{name}` is no command"))),
        },
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.tell(is_set(matches, "json"));
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
    let given = given(entry.fields, matches)?;
    let session = Session::open(settings, matches).await?;
    if let Some(fleet) = entry.fleet.filter(|_| is_set(matches, "all")) {
        return fleet::run(&session, entry, fleet, matches, given, screen).await;
    }
    if is_set(matches, "json") {
        return pages::raw(&session, entry, matches, given, screen).await;
    }
    let document = pages::all(&session, session.to(), entry, matches, given).await?;
    screen.line(&(entry.view)(&document, screen))?;
    failure::of_parts(&document)
}

/// Whether a switch is set that not every command has.
fn is_set(matches: &ArgMatches, name: &str) -> bool {
    matches!(matches.try_get_one::<bool>(name), Ok(Some(true)))
}

/// The fields of the request, the last one of a name counting.
fn given(fields: &[Field], matches: &ArgMatches) -> Result<Vec<Given>, Failure> {
    let mut given: Vec<Given> = Vec::new();
    for field in fields {
        let fresh = field.given(matches).map_err(Failure::Usage)?;
        let differs = |(name, value): &Given| {
            let other = given.iter().find(|(known, _)| known == name);
            other.is_some_and(|(_, known)| known.get() != value.get())
        };
        // What the change is about is not one of the things that it changes.
        if matches!(field.place, Place::Must) && fresh.iter().any(differs) {
            let fault = format!("`{}` differs from the one in --body", field.name);
            return Err(Failure::Usage(fault));
        }
        given.extend(fresh);
    }
    Ok(given)
}

//! The operator's commands: each is a request over NATS, and its answer a table.
//!
//! [`commands`] is the table of what can be asked; [`arguments`] and [`field`] make the command
//! line from it, [`session`] and [`pages`] ask, [`view`] shows. A document goes to standard output
//! and whatever else there is to say to standard error, so that scripts can rely on either.

mod arguments;
mod commands;
mod completion;
mod document;
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
use self::pages::Answer;
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
    let answer = Answer::of(&session, session.to(), entry, matches, given).await?;
    let document = answer.document(entry);
    screen.line(&(entry.view)(&document, screen))?;
    failure::of_parts(document.get("errors"))
}

/// Whether a switch is set that not every command has.
fn is_set(matches: &ArgMatches, name: &str) -> bool {
    matches!(matches.try_get_one::<bool>(name), Ok(Some(true)))
}

/// The fields of the request. The last one of a name counts, except for what the command itself
/// names: what a change is about is not one of the things that it changes.
fn given(fields: &[Field], matches: &ArgMatches) -> Result<Vec<Given>, Failure> {
    let is_named = |name: &str| {
        let mut named = fields.iter();
        named.any(|field| matches!(field.place, Place::Must) && field.name == name)
    };
    let mut given: Vec<Given> = Vec::new();
    for field in fields {
        let fresh = field.given(matches).map_err(Failure::Usage)?;
        for (name, value) in fresh {
            let differs = |(known, other): &Given| *known == name && other.get() != value.get();
            if is_named(&name) && given.iter().any(differs) {
                let fault = format!("`{name}` differs from the one that the command names");
                return Err(Failure::Usage(fault));
            }
            given.push((name, value));
        }
    }
    Ok(given)
}

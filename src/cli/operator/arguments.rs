//! The arguments of the operator's commands, made from the table.

use std::time::Duration;

use clap::{Arg, ArgAction, Command};

use super::commands::{self, Entry};
use super::field::{Field, duration};
use super::{completion, invoke, watch};
use crate::domain::actor::{Actor, ActorSource};
use crate::domain::subject::is_token;

/// How long a request waits for its answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// All the operator's commands.
pub(in crate::cli) fn commands() -> Vec<Command> {
    let own = [watch::command(), invoke::command(), completion::command()];
    commands::all().map(command).chain(own).collect()
}

fn command(entry: &Entry) -> Command {
    let mut command = Command::new(entry.name)
        .about(entry.about)
        .args(entry.fields.iter().map(Field::arg))
        .args(manner());
    if entry.pages.is_some() {
        command = command.arg(limit(entry));
    }
    if entry.fleet.is_some() {
        command = command.arg(
            switch("all", "Ask every sidecar; a row for each").conflicts_with_all(["as", "local"]),
        );
    }
    command
}

/// What every command takes that asks.
fn manner() -> Vec<Arg> {
    let json = switch(
        "json",
        "Print the documents as they are answered, one per line",
    );
    let mut manner = vec![json];
    manner.extend(whom());
    manner.push(patience());
    manner
}

/// Who is asked, and as whom.
pub(super) fn whom() -> [Arg; 2] {
    [
        Arg::new("as")
            .long("as")
            .value_name("NAME")
            .value_parser(actor)
            .help("Ask as this actor, on the subjects of its own"),
        Arg::new("local")
            .long("local")
            .value_name("INSTANCE")
            .value_parser(instance)
            .conflicts_with("as")
            .help("Ask the sidecar of this instance id"),
    ]
}

/// How patiently.
pub(super) fn patience() -> Arg {
    Arg::new("wait")
        .long("wait")
        .value_name("DURATION")
        .value_parser(duration)
        .help("How long to wait for an answer [default: 5s]")
}

pub(super) fn switch(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name)
        .long(name)
        .action(ArgAction::SetTrue)
        .help(help)
}

fn limit(entry: &Entry) -> Arg {
    let shown = entry.pages.and_then(|pages| pages.shown);
    let shown = shown.map_or_else(|| "all".to_owned(), |shown| shown.to_string());
    Arg::new("limit")
        .long("limit")
        .value_name("N")
        .value_parser(clap::value_parser!(u64).range(1..))
        .help(format!("Show at most so many [default: {shown}]"))
}

fn actor(text: &str) -> Result<String, String> {
    let actor = Actor::parse(text, ActorSource::Subject);
    actor
        .map(|_| text.to_owned())
        .map_err(|rule| rule.to_string())
}

fn instance(text: &str) -> Result<String, String> {
    let rule = || "must be one token of a NATS subject".to_owned();
    is_token(text).then(|| text.to_owned()).ok_or_else(rule)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::cli::arguments;

    const PAGE: &str = include_str!("../../../docs/cli.md");

    /// What the page shows as typed: lines of a shell, and what stands between backticks.
    fn typed() -> Vec<&'static str> {
        let mut typed = Vec::new();
        for line in PAGE.lines().filter(|line| !line.starts_with("```")) {
            match line.strip_prefix("$ ") {
                Some(command) => typed.push(command),
                None => typed.extend(line.split('`').skip(1).step_by(2)),
            }
        }
        let program = |text: &'static str| text.strip_prefix("beamline-registry ").unwrap_or(text);
        typed.into_iter().map(program).collect()
    }

    fn flags(text: &str) -> impl Iterator<Item = &str> {
        let words = text.split(|c: char| !(c.is_ascii_lowercase() || c == '-'));
        words.filter_map(|word| word.strip_prefix("--"))
    }

    #[test]
    fn the_page_names_every_command_and_no_flag_that_there_is_not() {
        let mut program = arguments::command();
        program.build();
        let known = |command: &Command| -> BTreeSet<String> {
            let flags = command.get_arguments().filter_map(Arg::get_long);
            flags.map(str::to_owned).collect()
        };
        let anywhere: BTreeSet<String> = program.get_subcommands().flat_map(known).collect();
        let (mut named, mut checked) = (BTreeSet::new(), 0);
        for text in typed() {
            let name = text.split(' ').next().unwrap();
            let known = match program.find_subcommand(name) {
                Some(command) => known(command),
                None => anywhere.clone(),
            };
            named.insert(name);
            for flag in flags(text) {
                assert!(known.contains(flag), "no --{flag}: {text}");
                checked += 1;
            }
        }
        for command in commands() {
            assert!(named.contains(command.get_name()), "{}", command.get_name());
        }
        assert!(checked > 30, "only {checked} flags were found");
        let shown = PAGE
            .lines()
            .filter_map(|line| line.strip_prefix("$ beamline-registry "));
        for line in shown {
            let name = line.split(' ').next().unwrap();
            assert!(program.find_subcommand(name).is_some(), "{line}");
        }
    }
}

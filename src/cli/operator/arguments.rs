//! The arguments of the operator's commands, made from the table.

use std::time::Duration;

use clap::builder::StyledStr;
use clap::{Arg, ArgAction, Command};

use super::commands;
use super::field::{Field, duration};
use super::{completion, invoke, watch};
use crate::adapters::nats::verb::Verb;
use crate::domain::actor::{Actor, ActorSource};
use crate::domain::subject::is_token;

/// How long a request waits for its answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
/// The same for a change. It may take the registry 15 s: 5 until it is committed, 5 until the
/// sidecar that answers serves it, 5 for the circuits of what is enabled.
const PATIENCE_WITH_CHANGES: Duration = Duration::from_secs(20);
/// The page that has the fields of a record.
const FIELDS: &str = "docs/nats-administration.md";

/// All the operator's commands.
pub(in crate::cli) fn subcommands() -> Vec<Command> {
    let own = [watch::command(), invoke::command(), completion::command()];
    let all = commands::all().map(command).chain(own);
    all.map(|command| command.mut_args(completion::suggested))
        .collect()
}

fn command(verb: Verb) -> Command {
    let all =
        switch("all", "Ask every sidecar; a row for each").conflicts_with_all(["as", "local"]);
    Command::new(commands::name(verb))
        .about(commands::about(verb))
        .args(commands::fields(verb).iter().map(Field::arg))
        .args(output())
        .args(recipient())
        .arg(patience(patience_with(verb)))
        .args(commands::pages(verb).map(|pages| limit(pages.shown)))
        .args(commands::fleet(verb).map(|_| all))
        .args((verb == Verb::Audit).then(|| switch("diff", "Show each value before and after")))
        .after_help(after(verb))
}

/// The text below the arguments: the fields of a record, where it takes some, and two examples.
fn after(verb: Verb) -> String {
    let names: Vec<_> = verb.said().map(|field| field.name).collect();
    let fields = match names.is_empty() {
        true => String::new(),
        false => format!("Fields ({FIELDS}): {}\n", names.join(" ")),
    };
    let examples = commands::examples(verb).lines();
    let examples = examples.map(|line| format!("  beamline-registry {line}"));
    let examples = examples.collect::<Vec<_>>();
    format!("{fields}Examples:\n{}", examples.join("\n"))
}

/// In which form the answer is printed.
fn output() -> [Arg; 2] {
    let json = switch("json", "The same as -o json").hide(true);
    let forms = ["wide", "json", "name"];
    let form = option("output", "FORM", "How to print: wide, json or name").short('o');
    let form = form.value_parser(forms).hide_possible_values(true);
    [json, form.conflicts_with("json")]
}

/// Which sidecar is asked, and the actor.
pub(super) fn recipient() -> [Arg; 2] {
    let local = option("local", "INSTANCE", "Ask this sidecar");
    let local = local.value_parser(instance).conflicts_with("as");
    let send = option("as", "NAME", "Send as this actor, on <prefix>.as.NAME.*");
    [send.value_parser(actor), local]
}

/// How patiently, if nobody says so.
pub(super) const fn patience_with(verb: Verb) -> Duration {
    match verb.mutates() {
        true => PATIENCE_WITH_CHANGES,
        false => PATIENCE,
    }
}

/// How patiently.
pub(super) fn patience(default: Duration) -> Arg {
    let default = humantime::format_duration(default);
    let help = format!("How long to wait for an answer [default: {default}]");
    option("wait", "DURATION", help).value_parser(duration)
}

fn option(name: &'static str, value: &'static str, help: impl Into<StyledStr>) -> Arg {
    let arg = Arg::new(name).long(name);
    arg.value_name(value).help(help)
}

/// A flag that is there or not.
pub(in crate::cli) fn switch(name: &'static str, help: &'static str) -> Arg {
    let arg = Arg::new(name).long(name);
    arg.action(ArgAction::SetTrue).help(help)
}

fn limit(shown: Option<usize>) -> Arg {
    let shown = shown.map_or_else(|| "all".to_owned(), |shown| shown.to_string());
    let help = format!("Show at most N [default: {shown}]");
    option("limit", "N", help).value_parser(clap::value_parser!(u64).range(1..))
}

fn actor(text: &str) -> Result<String, String> {
    let actor = Actor::parse(text, ActorSource::Subject);
    actor.map_err(|rule| rule.to_string())?;
    Ok(text.to_owned())
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

    /// What the page shows as typed: lines of a shell, and what is between backticks.
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
    fn the_page_that_the_help_names_has_every_field() {
        let page = include_str!("../../../docs/nats-administration.md");
        for verb in commands::all() {
            let help = after(verb);
            let Some((_, fields)) = help.split_once(&format!("Fields ({FIELDS}): ")) else {
                assert_eq!(verb.said().count(), 0, "{verb:?}: {help}");
                continue;
            };
            for field in fields.lines().next().unwrap().split(' ') {
                assert!(page.contains(&format!("`{field}`")), "{verb:?}: {field}");
            }
        }
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
        for command in subcommands() {
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

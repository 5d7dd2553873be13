//! Commands and flags for clap, the flags made from the table of variables.
//!
//! clap sees texts only: what a value must look like is checked together with environment and
//! file, so that all faults are found at once.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Arg, ArgMatches, Command, value_parser};

use super::operator::{self, switch};
use super::{check, dev};
use crate::config::variables::{self, CONFIG, Variable};

/// The least age of what is pruned.
const LEAST_AGE: Duration = Duration::from_secs(3600);

/// The whole command line.
pub(super) fn command() -> Command {
    command_of(commands())
}

/// The command line without the commands that `args` (the program's name first) cannot mean: clap
/// copies every setting to each, some 3 MB, which the heap of a daemon would keep.
pub(super) fn command_for(args: &[OsString]) -> Command {
    let mut commands = commands();
    match args.get(1) {
        None => commands.clear(),
        Some(first) if commands.iter().any(|it| first == it.get_name()) => {
            commands.retain(|it| first == it.get_name());
        }
        // A setting, help, or a mistake: clap finds out.
        Some(_) => {}
    }
    command_of(commands)
}

fn command_of(commands: Vec<Command>) -> Command {
    Command::new("beamline-registry")
        .version(env!("CARGO_PKG_VERSION"))
        .about("The extension registry of a message router, over NATS")
        .term_width(80)
        .after_help(
            "Each setting is a flag, an environment variable (EXTENSION_REGISTRY_...) or a key in \
             the --config file; the first of these wins. List all: `serve --help`.",
        )
        .subcommands(commands)
        .args(settings())
        .args(files())
}

fn commands() -> Vec<Command> {
    let what = Arg::new("what").required(true);
    let what = what.value_parser(["live", "ready"]);
    let mut commands = vec![
        Command::new("serve")
            .about("Run the daemon (the default)")
            .args(settings().into_iter().map(|setting| setting.hide(false))),
        Command::new("demo")
            .about("Try it out: a private nats-server, sample extensions and a tour")
            .arg(switch("once", "Exit after the tour")),
        dev::command(),
        Command::new("migrate")
            .about("Bring the database's schema up to date")
            .arg(switch("seed", "Add the six seed extensions"))
            .arg(
                switch("check", "Change nothing; exit 1 when the schema is behind")
                    .conflicts_with_all(["seed", "new-epoch", "prune-audit"]),
            )
            .arg(switch("new-epoch", "Begin a new epoch, after a restore"))
            .arg(
                Arg::new("prune-audit")
                    .long("prune-audit")
                    .value_name("AGE")
                    .value_parser(age)
                    .help("Delete audit entries older than this, such as 90d, and published"),
            ),
        Command::new("import")
            .about("Write fixtures into the database, all or nothing")
            .arg(folder_argument("Folder with fixtures"))
            .arg(switch("dry-run", "Do everything but commit"))
            .arg(switch("overwrite", "Replace extensions that differ")),
        Command::new("export")
            .about("Write the database's definitions as fixtures")
            .arg(folder_argument("Folder for fixtures, empty or new"))
            .arg(switch("force", "Replace what an earlier export wrote")),
        check::command(),
        Command::new("probe")
            .about("Ask whether the local daemon is live or ready")
            .arg(what.help("Exit 0 when the daemon is live, or ready")),
    ];
    commands.extend(operator::subcommands());
    commands
}

pub(super) fn folder_argument(help: &'static str) -> Arg {
    let arg = Arg::new("folder").value_name("DIR").required(true);
    arg.value_parser(value_parser!(PathBuf)).help(help)
}

/// The folder that a command was given.
pub(super) fn folder(matches: &ArgMatches) -> PathBuf {
    let given = matches.get_one::<PathBuf>("folder");
    given.cloned().unwrap_or_default()
}

/// The settings that `matches` holds, by key.
pub(super) fn given(matches: &ArgMatches) -> BTreeMap<String, String> {
    let keys = variables::keys().chain([CONFIG.to_owned()]);
    let given = keys.filter_map(|key| {
        let text = matches.get_one::<String>(&key)?.clone();
        Some((key, text))
    });
    given.collect()
}

fn settings() -> Vec<Arg> {
    let config = setting(CONFIG.to_owned(), "PATH").help("TOML file with further settings");
    let mut args = vec![config.hide(true)];
    for variable in variables::ALL {
        let arg = setting(variable.name.to_owned(), variable.kind.0);
        // Every command takes it, and only the help of `serve` shows it, so that the help of a verb
        // fits a screen.
        let arg = arg.hide(true).hide_short_help(true);
        args.push(arg.help_heading(variable.section).help(help(variable)));
    }
    args
}

/// The `_FILE` forms: named in the help of the variable itself; a line of their own would only be
/// noise.
fn files() -> impl Iterator<Item = Arg> {
    let variables = variables::ALL.iter();
    let keys = variables.filter_map(|variable| variable.file_key());
    keys.map(|key| setting(key, "PATH").hide(true))
}

/// An age at least as old as entries that operators still look for.
fn age(text: &str) -> Result<Duration, String> {
    let age = humantime::parse_duration(text).ok();
    let age = age.filter(|age| *age >= LEAST_AGE);
    age.ok_or_else(|| "must be a time of at least 1h, such as 90d".to_owned())
}

fn setting(key: String, placeholder: &'static str) -> Arg {
    let long = variables::flag(&key).trim_start_matches('-').to_owned();
    let arg = Arg::new(key).long(long);
    arg.value_name(placeholder).global(true)
}

fn help(variable: &Variable) -> String {
    let (default, file) = (variable.default, variable.file_key());
    let default = default.map(|default| format!(" [default: {default}]"));
    let file = file.map(|key| format!(" [or {}]", variables::flag(&key)));
    let (default, file) = (default.unwrap_or_default(), file.unwrap_or_default());
    format!("{}{default}{file}", variable.doc)
}

#[cfg(test)]
mod tests {
    /// Twenty-four lines of eighty characters.
    #[test]
    fn the_help_of_every_verb_fits_a_screen() {
        for command in super::operator::subcommands() {
            let mut command = command.term_width(80);
            let help = command.render_help().to_string();
            let name = command.get_name().to_owned();
            assert!(help.lines().count() <= 24, "{name}: {help}");
            let widest = help.lines().map(|line| line.chars().count()).max();
            assert!(widest <= Some(80), "{name}: {help}");
        }
    }

    #[test]
    fn clap_finds_no_fault_with_the_command_line() {
        super::command().debug_assert();
    }

    #[test]
    fn a_daemon_is_not_burdened_with_other_commands() {
        let all = super::commands();
        let found = |line: &str| {
            let args = std::iter::once("beamline-registry").chain(line.split_whitespace());
            let args: Vec<_> = args.map(super::OsString::from).collect();
            let command = super::command_for(&args);
            let names = command.get_subcommands().map(|it| it.get_name().to_owned());
            names.collect::<Vec<_>>()
        };
        assert!(found("").is_empty());
        for command in &all {
            let name = command.get_name();
            assert_eq!(found(&format!("{name} --help")), [name]);
        }
        for line in ["--help", "help serve", "--queue-group serve", "sevre"] {
            assert_eq!(found(line).len(), all.len(), "{line}");
        }
    }
}

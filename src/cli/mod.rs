//! The command line: the command, and the settings it runs with.

mod arguments;
mod check;
mod demo;
mod dev;
mod document;
mod export;
mod import;
mod import_report;
mod migrate;
mod operator;
mod output;
mod private_server;
mod probe;
mod screen;
mod serve;
mod table;

use std::error::Error;
use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;

use clap::ArgMatches;

pub use output::{err, out};

use self::screen::Screen;
use crate::adapters::nats::ask::Reply;
use crate::adapters::postgres::Pool;
use crate::adapters::telemetry::log::{self, Log};
use crate::config::variables::Variable;
use crate::config::{DatabaseSettings, Entry, LogSettings, Settings, Surroundings};

/// Bad usage or configuration, as sysexits.h names it.
pub const EX_USAGE: u8 = 64;
/// Service unavailable, as sysexits.h names it.
pub const EX_UNAVAILABLE: u8 = 69;

/// A command line understood.
#[derive(Debug, Clone)]
pub struct Invocation {
    /// The command.
    pub command: String,
    /// Its arguments.
    pub arguments: ArgMatches,
    /// Under which settings.
    pub settings: Settings,
    /// Warnings to print first.
    pub warnings: Vec<String>,
    /// The settings, fit to be shown.
    pub effective: Vec<Entry>,
    screen: Screen,
}

impl Invocation {
    /// Whether `variable` is set.
    fn is_set(&self, variable: &Variable) -> bool {
        let (name, mut entries) = (variable.env_name(), self.effective.iter());
        entries.any(|entry| entry.name == name && entry.origin.layer != "default")
    }
}

/// Does what was asked for, on a runtime of its own.
pub fn run(invocation: Invocation) -> ExitCode {
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return failure(&format!("cannot start the runtime: {error}")),
    };
    let (settings, arguments) = (&invocation.settings, &invocation.arguments);
    let (command, screen) = (invocation.command.as_str(), &invocation.screen);
    // Of the others, `serve` logs them and `check` has a line for each; what is typed all day, or run
    // by a probe, is spared them.
    if ["demo", "dev", "migrate", "import", "export"].contains(&command) {
        let warnings = invocation.warnings.iter();
        warnings.for_each(|warning| err(&harmless(&format!("warning: {warning}"))));
    }
    let ended = runtime.block_on(async {
        match command {
            "serve" => serve::run(settings.clone(), &invocation.warnings).await,
            "demo" => demo::run(settings, arguments.get_flag("once"), screen).await,
            "dev" => dev::run(&invocation).await,
            "migrate" => migrate::run(settings, arguments).await,
            "import" => import::run(settings, arguments, screen).await,
            "export" => export::run(settings, arguments).await,
            "check" => check::run(&invocation).await,
            "probe" => probe::run(settings, arguments).await,
            _ => operator::run(&invocation).await,
        }
    });
    // Whatever blocks a thread now is not worth waiting for.
    runtime.shutdown_background();
    ended.err().unwrap_or(ExitCode::SUCCESS)
}

/// The result of a command: nothing more to print, or the exit code when all is printed.
type Ended = Result<(), ExitCode>;

/// The database of a command that needs one, and a pool of connections to it; else with which code
/// to leave.
fn database(settings: &Settings) -> Result<&DatabaseSettings, ExitCode> {
    settings.database.as_ref().ok_or_else(|| {
        err("no database is configured: set EXTENSION_REGISTRY_DB_URL or EXTENSION_REGISTRY_DB_HOST");
        ExitCode::from(EX_USAGE)
    })
}

/// A pool of connections to that database.
fn pool(settings: &Settings) -> Result<Arc<Pool>, ExitCode> {
    let pool = Pool::new(database(settings)?, &settings.identity.instance_id);
    pool.map(Arc::new).map_err(|error| failure(&chain(&error)))
}

/// Sets up the process's log, or prints why not and returns the exit code.
fn start_log(settings: &LogSettings) -> Result<Log, ExitCode> {
    let log = log::init(&settings.filter, settings.format);
    log.map_err(|error| failure(&chain(&error)))
}

/// Prints what went wrong, and returns the exit code.
fn failure(what: &str) -> ExitCode {
    err(&harmless(what));
    ExitCode::FAILURE
}

/// Lines without what a terminal would obey: paths, names and what servers answer can hold anything.
fn harmless(text: &str) -> String {
    let lines: Vec<_> = text.lines().map(operator::clean).collect();
    lines.join("\n")
}

/// The headers of a reply, in the order of their names.
fn headers_of(reply: &Reply) -> Vec<String> {
    let mut lines = Vec::new();
    for (name, values) in reply.headers.iter() {
        lines.extend(values.iter().map(|value| format!("{name}: {value}")));
    }
    lines.sort_unstable();
    lines
}

/// An error and its causes in one line.
fn chain(error: &dyn Error) -> String {
    let causes = std::iter::successors(Some(error), |&error| error.source());
    let causes: Vec<_> = causes.map(ToString::to_string).collect();
    causes.join(": ")
}

/// Whether a shell asked how a line of ours goes on, and has its answer.
pub fn completed() -> bool {
    operator::completed()
}

/// Understands `args`, the program's name first.
///
/// # Errors
/// The exit code, when all is printed: help and version, an unknown argument, or all faults of
/// the configuration. An unknown argument is reported alone: what follows from the rest would be
/// guesswork.
pub fn parse(
    args: impl IntoIterator<Item = OsString>,
    surroundings: &Surroundings<'_>,
) -> Result<Invocation, u8> {
    let args: Vec<_> = args.into_iter().collect();
    let matches = arguments::command_for(&args).try_get_matches_from(args);
    let matches = matches.map_err(|error| {
        // clap knows the colours; a closed pipe does not matter any more.
        drop(error.print());
        if error.use_stderr() { EX_USAGE } else { 0 }
    })?;
    let (command, arguments) = matches.subcommand().unwrap_or(("serve", &matches));
    let mut surroundings = surroundings.clone();
    surroundings.reads_everything &= command != "probe";
    let loaded = Settings::load(arguments::given(&matches), &surroundings);
    let (settings, warnings, effective) = loaded.map_err(|faults| {
        err(&harmless(&faults.to_string()));
        EX_USAGE
    })?;
    Ok(Invocation {
        command: command.to_owned(),
        arguments: arguments.clone(),
        settings,
        warnings,
        effective,
        screen: Screen::of_process(&surroundings.env),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io;

    use super::*;

    fn parse_line(line: &str) -> Result<Invocation, u8> {
        let surroundings = Surroundings {
            env: BTreeMap::new(),
            read_file: &|_| Err(io::Error::from(io::ErrorKind::NotFound).into()),
            host_name: "host".to_owned(),
            memory_limit: None,
            terminal: false,
            reads_everything: true,
        };
        let args = ["beamline-registry"]
            .into_iter()
            .chain(line.split_whitespace());
        parse(args.map(OsString::from), &surroundings)
    }

    #[test]
    fn commands_parse() {
        for (line, command, flags) in [
            ("", "serve", &[][..]),
            ("serve", "serve", &[]),
            ("demo", "demo", &[]),
            ("demo --once", "demo", &["once"]),
            ("migrate", "migrate", &[]),
            (
                "migrate --seed --new-epoch",
                "migrate",
                &["seed", "new-epoch"],
            ),
            ("import dir --overwrite", "import", &["overwrite"]),
            ("export --force dir", "export", &["force"]),
            ("check", "check", &[]),
            ("probe live", "probe", &[]),
            ("list --json", "list", &["json"]),
        ] {
            let parsed = parse_line(line).unwrap();
            assert_eq!(parsed.command, command, "{line}");
            for flag in flags {
                assert!(parsed.arguments.get_flag(flag), "{line}");
            }
        }
        let parsed = parse_line("import dir").unwrap();
        assert_eq!(
            arguments::folder(&parsed.arguments),
            std::path::Path::new("dir")
        );
    }

    #[test]
    fn settings_stand_before_and_after_the_command() {
        for line in [
            "--queue-group q",
            "--queue-group q serve",
            "serve --queue-group q",
            "migrate --check --queue-group=q",
        ] {
            let settings = parse_line(line).unwrap().settings;
            assert_eq!(settings.subjects.queue_group, "q", "{line}");
        }
    }

    #[test]
    fn bad_usage_exits_64_and_help_exits_0() {
        for line in [
            "--bogus 1",
            "bogus",
            "probe",
            "probe bogus",
            "migrate --check --seed",
            "migrate --prune-audit 10m",
            "import",
            "export a b",
            "--queue-group",
            "--source nowhere",
            "--config missing.toml",
        ] {
            assert_eq!(parse_line(line).unwrap_err(), EX_USAGE, "{line}");
        }
        for line in ["--help", "-h", "--version", "migrate --help"] {
            assert_eq!(parse_line(line).unwrap_err(), 0, "{line}");
        }
    }
}

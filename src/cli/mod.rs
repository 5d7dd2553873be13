//! The command line: what was asked for, with the settings it is asked under.

mod arguments;
mod check;
mod demo;
mod export;
mod import;
mod import_progress;
mod import_report;
mod log;
mod migrate;
mod output;
mod operator;
mod probe;
mod reach;
mod serve;

use std::error::Error;
use std::ffi::OsString;
use std::process::ExitCode;

use clap::ArgMatches;
use thiserror::Error;

pub use check::table;
pub use export::Export;
pub use import::Import;
pub use output::{err, out};

use crate::config::{Effective, Faults, Settings, Surroundings, Warning};

/// Bad usage or configuration, as sysexits.h names it.
pub const EX_USAGE: u8 = 64;
/// Nobody answers, as sysexits.h names it.
pub const EX_UNAVAILABLE: u8 = 69;

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// The daemon.
    Serve,
    /// The one-command trial.
    Demo {
        /// Exit after the tour.
        once: bool,
    },
    /// Apply the migrations.
    Migrate(Migrate),
    /// Fixtures to the database.
    Import(Import),
    /// The database to fixtures.
    Export(Export),
    /// Validate configuration and reachability.
    Check,
    /// Ask the local daemon how it is.
    Probe(Probe),
    /// Ask a registry, and show the answer.
    Operator(Box<operator::Asked>),
}

/// What a migration does besides migrating.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Migrate {
    /// Add the six seed extensions.
    pub seed: bool,
    /// Only say whether the schema is behind.
    pub check: bool,
    /// Begin a new epoch, after a restore.
    pub new_epoch: bool,
}

/// What a probe asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probe {
    /// Is the process alive?
    Live,
    /// Does it serve?
    Ready,
}

/// A command line understood.
#[derive(Debug, Clone)]
pub struct Invocation {
    /// What to do.
    pub command: Command,
    /// Under which settings.
    pub settings: Settings,
    /// What to say about them first.
    pub warnings: Vec<Warning>,
    /// The settings, fit to be shown.
    pub effective: Effective,
}

/// Why there is nothing to do but to print something and leave.
#[derive(Debug, Error)]
pub enum UsageError {
    /// An argument nobody knows, or `--help` and `--version`.
    #[error(transparent)]
    Arguments(#[from] clap::Error),
    /// Faults in the configuration, one per line.
    #[error(transparent)]
    Configuration(#[from] Faults),
}

impl UsageError {
    /// 0 for help and version, else [`EX_USAGE`].
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Arguments(error) if !error.use_stderr() => 0,
            Self::Arguments(_) | Self::Configuration(_) => EX_USAGE,
        }
    }

    /// Prints help to standard output and faults to standard error.
    pub fn print(&self) {
        match self {
            // clap knows the colours; a closed pipe is nobody's concern any more.
            Self::Arguments(error) => drop(error.print()),
            Self::Configuration(faults) => err(&faults.to_string()),
        }
    }
}

/// Does what was asked for, on a runtime of its own.
pub fn run(invocation: Invocation) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            err(&format!("cannot start the runtime: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(async {
        match invocation.command.clone() {
            Command::Serve => serve::run(invocation).await,
            Command::Demo { once } => demo::run(invocation.settings, once).await,
            Command::Migrate(what) => migrate::run(&invocation.settings, what).await,
            Command::Import(what) => import::run(&invocation.settings, &what).await,
            Command::Export(what) => export::run(&invocation.settings, &what).await,
            Command::Check => reach::run(&invocation).await,
            Command::Probe(which) => probe::run(&invocation.settings, which).await,
            Command::Operator(asked) => operator::run(&invocation.settings, &asked).await,
        }
    });
    // Whatever blocks a thread now is not worth waiting for.
    runtime.shutdown_background();
    code
}

/// Says that a command needs a database, and with which code to leave.
fn no_database() -> ExitCode {
    err("no database is configured: set EXTENSION_REGISTRY_DB_URL or EXTENSION_REGISTRY_DB_HOST");
    ExitCode::from(EX_USAGE)
}

/// An error and its causes in one line.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// Understands `args`, the program's name first.
///
/// # Errors
/// An unknown argument or a request for help; else all faults of the configuration. An unknown
/// argument is told alone: what follows from the rest would be guesswork.
pub fn parse(
    args: impl IntoIterator<Item = OsString>,
    surroundings: &Surroundings<'_>,
) -> Result<Invocation, UsageError> {
    let matches = arguments::command().try_get_matches_from(args)?;
    let command = command(&matches, surroundings);
    let (settings, warnings, effective) = Settings::load(arguments::given(&matches), surroundings)?;
    Ok(Invocation {
        command,
        settings,
        warnings,
        effective,
    })
}

fn command(matches: &ArgMatches, surroundings: &Surroundings<'_>) -> Command {
    match matches.subcommand() {
        Some(("demo", demo)) => Command::Demo {
            once: demo.get_flag("once"),
        },
        Some(("migrate", migrate)) => Command::Migrate(Migrate {
            seed: migrate.get_flag("seed"),
            check: migrate.get_flag("check"),
            new_epoch: migrate.get_flag("new-epoch"),
        }),
        Some(("import", import)) => Command::Import(Import {
            folder: arguments::folder(import),
            dry_run: import.get_flag("dry-run"),
            overwrite: import.get_flag("overwrite"),
        }),
        Some(("export", export)) => Command::Export(Export {
            folder: arguments::folder(export),
            force: export.get_flag("force"),
        }),
        Some(("check", _)) => Command::Check,
        Some(("probe", probe)) => Command::Probe(match probe.subcommand_name() {
            Some("live") => Probe::Live,
            _ => Probe::Ready,
        }),
        Some(("serve", _)) | None => Command::Serve,
        Some((name, matches)) => {
            Command::Operator(Box::new(operator::asked(name, matches, &surroundings.env)))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io;

    use super::*;

    fn parse_line(line: &str) -> Result<Invocation, UsageError> {
        let surroundings = Surroundings {
            env: BTreeMap::new(),
            read_file: &|_| Err(io::ErrorKind::NotFound.into()),
            host_name: "host".to_owned(),
            terminal: false,
        };
        let args = ["beamline-registry"]
            .into_iter()
            .chain(line.split_whitespace());
        parse(args.map(OsString::from), &surroundings)
    }

    #[test]
    fn commands_parse() {
        for (line, command) in [
            ("", Command::Serve),
            ("serve", Command::Serve),
            ("demo", Command::Demo { once: false }),
            ("demo --once", Command::Demo { once: true }),
            ("migrate", Command::Migrate(Migrate::default())),
            (
                "migrate --seed --new-epoch",
                Command::Migrate(Migrate {
                    seed: true,
                    check: false,
                    new_epoch: true,
                }),
            ),
            (
                "import dir --overwrite",
                Command::Import(Import {
                    folder: "dir".into(),
                    dry_run: false,
                    overwrite: true,
                }),
            ),
            (
                "export --force dir",
                Command::Export(Export {
                    folder: "dir".into(),
                    force: true,
                }),
            ),
            ("check", Command::Check),
            ("probe live", Command::Probe(Probe::Live)),
            ("probe ready", Command::Probe(Probe::Ready)),
        ] {
            assert_eq!(parse_line(line).unwrap().command, command, "{line}");
        }
    }

    #[test]
    fn settings_stand_before_and_after_the_command() {
        for line in [
            "--queue-group q",
            "--queue-group q serve",
            "serve --queue-group q",
            "probe live --queue-group=q",
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
            "import",
            "export a b",
            "--queue-group",
            "--source nowhere",
            "--config missing.toml",
        ] {
            assert_eq!(
                parse_line(line).unwrap_err().exit_code(),
                EX_USAGE,
                "{line}"
            );
        }
        for line in ["--help", "-h", "--version", "migrate --help"] {
            assert_eq!(parse_line(line).unwrap_err().exit_code(), 0, "{line}");
        }
    }

    #[test]
    fn faults_are_listed_one_per_line_as_they_were_written() {
        let error = parse_line("--source nowhere --max-retries 1000 serve").unwrap_err();
        assert_eq!(
            error.to_string(),
            "--source must be one of `database`, `fixtures`, `auto`\n\
             --max-retries must be a number between 0 and 100"
        );
    }
}

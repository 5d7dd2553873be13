//! The command line: `just bench [--quick] [--rounds N] [--seconds S] [--only PART,...]`.

use std::time::Duration;

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use super::echo::Echo;
use super::load::Job;

/// What this process is.
#[derive(Debug)]
pub(crate) enum Role {
    /// Starts everything and measures.
    Conduct(Options),
    /// The bare responder.
    Echo(Echo),
    /// The sample extensions; the server's URL.
    Extensions(String),
    /// The generator of load.
    Load(Box<Job>),
}

/// What to run and for how long.
#[derive(Debug)]
pub(crate) struct Options {
    /// Times that each thing is measured; reported are medians.
    pub(crate) rounds: usize,
    /// Length of one measurement of throughput.
    pub(crate) step: Duration,
    /// Shorter by an order of magnitude, to see whether everything works.
    pub(crate) quick: bool,
    only: Vec<String>,
}

/// One thing to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// From the start of the process to ready.
    Startup,
    /// Resident memory without load.
    Memory,
    /// Lookups side by side with an echo and other stores.
    Throughput,
    /// Reads of the catalog itself.
    InProcess,
    /// From a commit to the lookup that shows it.
    Visibility,
    /// A constant rate while rows change.
    Steady,
    /// Lookups while everything is reloaded.
    Reloads,
    /// Reading everything from Postgres.
    Sync,
    /// Invocations side by side with direct calls.
    Invoke,
    /// Calls and lookups beside calls of an extension that never answers.
    Isolation,
    /// Memory after invocations that time out.
    Timeouts,
}

impl Part {
    const ALL: [Self; 11] = [
        Self::Startup,
        Self::Memory,
        Self::Throughput,
        Self::InProcess,
        Self::Visibility,
        Self::Steady,
        Self::Reloads,
        Self::Sync,
        Self::Invoke,
        Self::Isolation,
        Self::Timeouts,
    ];

    /// Its name on the command line.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Startup => "startup",
            Self::Memory => "memory",
            Self::Throughput => "throughput",
            Self::InProcess => "in-process",
            Self::Visibility => "visibility",
            Self::Steady => "steady",
            Self::Reloads => "reloads",
            Self::Sync => "sync",
            Self::Invoke => "invoke",
            Self::Isolation => "isolation",
            Self::Timeouts => "timeouts",
        }
    }
}

impl Options {
    /// What to measure, in order.
    pub(crate) fn parts(&self) -> impl Iterator<Item = Part> {
        let wanted =
            |part: &Part| self.only.is_empty() || self.only.iter().any(|o| o == part.name());
        Part::ALL.into_iter().filter(wanted)
    }

    /// `full`, or `quick` in a quick run.
    pub(crate) fn or_quick<T>(&self, full: T, quick: T) -> T {
        if self.quick { quick } else { full }
    }

    fn of(matches: &ArgMatches) -> Self {
        let quick = matches.get_flag("quick");
        let rounds = matches.get_one("rounds").copied();
        let seconds = matches.get_one("seconds").copied();
        Self {
            rounds: rounds.unwrap_or(if quick { 2 } else { 5 }),
            step: Duration::from_secs_f64(seconds.unwrap_or(if quick { 0.5 } else { 3.0 })),
            quick,
            only: matches
                .get_many("only")
                .into_iter()
                .flatten()
                .cloned()
                .collect(),
        }
    }
}

/// Reads the command line.
pub(crate) fn role() -> Role {
    let matches = command().get_matches();
    match matches.subcommand() {
        Some(("echo", echo)) => Role::Echo(Echo {
            url: echo.get_one::<String>("url").unwrap().clone(),
            bytes: *echo.get_one("bytes").unwrap(),
        }),
        Some(("extensions", extensions)) => {
            Role::Extensions(extensions.get_one::<String>("url").unwrap().clone())
        }
        Some(("load", load)) => {
            let job = load.get_one::<String>("job").unwrap();
            Role::Load(serde_json::from_str(job).unwrap())
        }
        _ => Role::Conduct(Options::of(&matches)),
    }
}

fn command() -> Command {
    let parts = PossibleValuesParser::new(Part::ALL.map(Part::name));
    Command::new("bench")
        .about("What the registry costs, measured on this machine")
        .arg(
            Arg::new("quick")
                .long("quick")
                .action(ArgAction::SetTrue)
                .help("A run of a minute"),
        )
        .arg(
            Arg::new("rounds")
                .long("rounds")
                .value_parser(value_parser!(usize)),
        )
        .arg(
            Arg::new("seconds")
                .long("seconds")
                .value_parser(value_parser!(f64)),
        )
        .arg(
            Arg::new("only")
                .long("only")
                .value_delimiter(',')
                .value_parser(parts),
        )
        // Cargo adds it.
        .arg(
            Arg::new("bench")
                .long("bench")
                .action(ArgAction::SetTrue)
                .hide(true),
        )
        .subcommand(
            Command::new("echo")
                .hide(true)
                .arg(Arg::new("url").required(true))
                .arg(
                    Arg::new("bytes")
                        .required(true)
                        .value_parser(value_parser!(usize)),
                ),
        )
        .subcommand(
            Command::new("extensions")
                .hide(true)
                .arg(Arg::new("url").required(true)),
        )
        .subcommand(
            Command::new("load")
                .hide(true)
                .arg(Arg::new("job").required(true)),
        )
}

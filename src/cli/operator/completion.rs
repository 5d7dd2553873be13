//! `completion`: what a shell needs to complete our commands.

use clap::{ArgMatches, Command, value_parser};
use clap_complete::{Generator, Shell};

use super::failure::Failure;
use super::screen::Screen;
use crate::cli::arguments;

pub(super) const NAME: &str = "completion";

pub(super) fn command() -> Command {
    Command::new(NAME)
        .about("Print the completion script of a shell")
        .arg(
            clap::Arg::new("shell")
                .required(true)
                .value_parser(value_parser!(Shell))
                .help("The shell"),
        )
}

/// Prints the script.
pub(super) fn run(matches: &ArgMatches, screen: &Screen) -> Result<(), Failure> {
    let mut script = Vec::new();
    if let Some(shell) = matches.get_one::<Shell>("shell") {
        let mut command = arguments::command();
        command.set_bin_name("beamline-registry");
        command.build();
        shell.try_generate(&command, &mut script)?;
    }
    Ok(screen.bytes(&script, false)?)
}

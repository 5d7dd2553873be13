//! `completion`: what a shell needs to complete our commands.

use clap::{Command, value_parser};
use clap_complete::{Generator, Shell};

use super::failure::Outcome;
use crate::cli::{Invocation, arguments};

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
pub(super) fn run(invocation: &Invocation) -> Outcome<()> {
    let mut script = Vec::new();
    if let Some(shell) = invocation.arguments.get_one::<Shell>("shell") {
        let mut command = arguments::command();
        command.set_bin_name("beamline-registry");
        command.build();
        shell.try_generate(&command, &mut script)?;
    }
    Ok(invocation.screen.bytes(&script, false)?)
}

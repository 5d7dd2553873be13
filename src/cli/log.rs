//! The log of a command that has one.

use std::process::ExitCode;

use super::{chain, failure};
use crate::adapters::telemetry::log::{self, Format, Log};
use crate::config::{LogFormat, LogSettings};

/// Sets up the process's log, or prints why not and returns the exit code.
pub(super) fn start_log(settings: &LogSettings) -> Result<Log, ExitCode> {
    let format = match settings.format {
        LogFormat::Json => Format::Json,
        LogFormat::Pretty => Format::Pretty,
    };
    log::init(&settings.filter, format).map_err(|error| failure(&chain(&error)))
}

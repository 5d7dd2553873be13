//! The one place that prints. The log goes elsewhere: see the telemetry adapter.

use std::io::{self, Write};

/// Prints a line to standard output. A reader that closed the pipe is not our fault.
pub fn out(text: &str) {
    drop(writeln!(io::stdout().lock(), "{text}"));
}

/// Prints a line to standard error.
pub fn err(text: &str) {
    drop(writeln!(io::stderr().lock(), "{text}"));
}

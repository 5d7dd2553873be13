//! The process: parse the command, run it, exit with a code.

use std::process::ExitCode;

use beamline_registry::cli;
use beamline_registry::config::Surroundings;

/// musl's own allocator is several times slower under threads. Elsewhere the system's serves: after
/// a load it gives back what mimalloc keeps, some 30 MB with 10,000 extensions.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    if cli::completed() {
        return ExitCode::SUCCESS;
    }
    match cli::parse(std::env::args_os(), &Surroundings::of_process()) {
        Ok(invocation) => cli::run(invocation),
        Err(code) => ExitCode::from(code),
    }
}

//! The process: understand what is asked, do it, leave with a code.

use std::process::ExitCode;

use beamline_registry::cli;
use beamline_registry::config::Surroundings;

/// glibc gives little back after a large load, and musl's allocator is slow under threads.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match cli::parse(std::env::args_os(), &Surroundings::of_process()) {
        Ok(invocation) => cli::run(invocation),
        Err(error) => {
            error.print();
            ExitCode::from(error.exit_code())
        }
    }
}

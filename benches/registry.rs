//! `just bench`: what the registry costs, against what a router would do without it.
//!
//! This one program plays every part but the daemon, each in a process of its own: the conductor
//! starts the servers and measures; run again by it with the name of a role, the program is the
//! bare responder that the registry is held against, or the generator of load. See [`bench`].
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a benchmark that cannot go on should stop right there, and say why"
)]

use std::process::ExitCode;

mod bench;
#[path = "../tests/it/harness/mod.rs"]
mod harness;

fn main() -> ExitCode {
    bench::main()
}

//! How the programs of a language are run, and whether they can be.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::session::Session;
use super::wait_line;
use crate::docs::file;
use crate::harness::Process;

/// A language with a folder in `examples/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Language {
    Python,
    JavaScript,
    Go,
    Erlang,
    Rust,
}

impl Language {
    fn name(self) -> &'static str {
        match self {
            Self::Python => "python",
            Self::JavaScript => "javascript",
            Self::Go => "go",
            Self::Erlang => "erlang",
            Self::Rust => "rust",
        }
    }

    /// Whether its programs can be run. Says so where they cannot; a fault where they have to.
    pub(super) fn is_here(self) -> bool {
        let here = match self {
            // Built by `cargo test`, but not by `cargo test --test it`.
            Self::Rust => built("extension").exists() && built("client").exists(),
            _ => {
                let mut has = Command::new(file("scripts/examples"));
                has.args(["has", self.name()]).status().unwrap().success()
            }
        };
        #[expect(
            clippy::disallowed_methods,
            reason = "a setting of the tests, not of the daemon"
        )]
        let mode = std::env::var("BEAMLINE_EXAMPLES");
        let is_required = mode.is_ok_and(|mode| mode == "required");
        assert!(here || !is_required, "examples of {self:?} cannot be run");
        if !here {
            eprintln!("examples of {self:?} are not tested (see scripts/examples)");
        }
        here
    }

    /// The program of this name with its arguments.
    fn program(self, name: &str) -> (PathBuf, Vec<String>) {
        match self {
            Self::Rust => (built(name), Vec::new()),
            _ => (
                file("scripts/examples"),
                ["run", self.name(), name].map(str::to_owned).into(),
            ),
        }
    }

    /// Its extension, ready.
    pub(super) async fn extension(self, url: &str) -> Process {
        let (program, arguments) = self.program("extension");
        let mut command = Process::command(&program, "KILL", None);
        command.args(arguments).env("NATS_URL", url);
        let name = format!("the extension in {self:?}");
        let extension = Process::spawn(&name, command).await;
        wait_line(&extension, "ready").await;
        extension
    }

    /// Its client, in the pod of `pod-1`.
    pub(super) async fn client(self, url: &str, settings: &[(&str, &str)]) -> Session {
        let (program, arguments) = self.program("client");
        let mut command = Command::new(program);
        command.args(arguments).env("NATS_URL", url);
        command.env("INSTANCE_ID", "pod-1");
        command.envs(settings.iter().copied());
        Session::start(command).await
    }
}

fn built(example: &str) -> PathBuf {
    let binary = Path::new(env!("CARGO_BIN_EXE_beamline-registry"));
    binary.parent().unwrap().join("examples").join(example)
}

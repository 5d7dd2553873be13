//! Where the servers come from: `BEAMLINE_TEST_SERVERS` = `native`, `containers` or `auto`.
//!
//! `auto`, the default, takes what is installed (as `just test` sees to), else containers.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

/// Where to start the servers of this run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Processes of programs found on this machine or in `.tools/`.
    Native,
    /// Containers, through the Docker API.
    Containers,
}

const HOW_TO_GET_THEM: &str = "no servers to test with. Either of these helps:\n  \
     - `./justw test`, which installs a nats-server and a Postgres into .tools/\n  \
     - a Docker engine, with BEAMLINE_TEST_SERVERS=containers";

/// The mode of this run; found out once.
pub(crate) fn mode() -> Mode {
    static MODE: OnceLock<Mode> = OnceLock::new();
    *MODE.get_or_init(|| {
        #[expect(
            clippy::disallowed_methods,
            reason = "a setting of the tests, not of the daemon"
        )]
        let wanted = std::env::var("BEAMLINE_TEST_SERVERS");
        match wanted.as_deref().unwrap_or("auto") {
            "native" => Mode::Native,
            "containers" => Mode::Containers,
            "auto" if find("nats").is_some() && find("postgres").is_some() => Mode::Native,
            "auto" if docker_answers() => Mode::Containers,
            "auto" => panic!("{HOW_TO_GET_THEM}"),
            other => panic!("BEAMLINE_TEST_SERVERS={other} is not native, containers or auto"),
        }
    })
}

/// The `nats-server` to run in native mode.
pub(crate) fn nats_server() -> PathBuf {
    find("nats").unwrap_or_else(|| panic!("{HOW_TO_GET_THEM}"))
}

/// The folder with Postgres's programs, in native mode.
pub(crate) fn postgres_programs() -> PathBuf {
    find("postgres").unwrap_or_else(|| panic!("{HOW_TO_GET_THEM}"))
}

/// Asks the script that also decides what has to be installed, so that both agree.
fn find(server: &str) -> Option<PathBuf> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/server-path");
    let output = Command::new(script).arg(server).output().unwrap();
    let path = String::from_utf8(output.stdout).unwrap();
    output.status.success().then(|| path.trim().into())
}

fn docker_answers() -> bool {
    Command::new("docker")
        .arg("info")
        .output()
        .is_ok_and(|output| output.status.success())
}

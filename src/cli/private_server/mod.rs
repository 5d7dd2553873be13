//! A nats-server of our own, for commands that need nothing set up: on a port of its own choice, in
//! a folder that is gone afterwards.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;
use std::{env, fs, process};

use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

/// How long the server may take to say where it listens.
const PATIENCE: Duration = Duration::from_secs(10);

/// A running server, which ends when this is dropped.
#[derive(Debug)]
pub(super) struct PrivateServer {
    /// Where clients connect.
    pub(super) url: String,
    /// Its folder, for whatever else should be gone afterwards.
    pub(super) folder: PathBuf,
    process: Child,
}

impl PrivateServer {
    /// Starts a server for the command `name`, reachable from this machine only.
    ///
    /// # Errors
    /// Why there is none, in one sentence.
    pub(super) async fn start(name: &str) -> Result<Self, String> {
        let folder = env::temp_dir().join(format!("beamline-{name}-{}", process::id()));
        let prepared = fs::create_dir_all(&folder);
        prepared.map_err(|error| format!("cannot prepare {}: {error}", folder.display()))?;
        let process = Command::new("nats-server")
            .args(["--addr", "127.0.0.1", "--port", "-1", "--ports_file_dir"])
            .arg(&folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn();
        let process = process.map_err(|error| {
            drop(fs::remove_dir_all(&folder));
            format!("cannot start nats-server: {error}; `./justw demo` gets one")
        })?;
        let mut server = Self {
            url: String::new(),
            folder,
            process,
        };
        let deadline = Instant::now() + PATIENCE;
        while server.url.is_empty() {
            if Instant::now() > deadline {
                return Err("nats-server did not say where it listens".to_owned());
            }
            sleep(Duration::from_millis(10)).await;
            server.url = server.announced().unwrap_or_default();
        }
        Ok(server)
    }

    /// What `--ports_file_dir` has made it write.
    fn announced(&self) -> Option<String> {
        let file = format!("nats-server_{}.ports", self.process.id()?);
        let text = fs::read(self.folder.join(file)).ok()?;
        let ports: serde_json::Value = serde_json::from_slice(&text).ok()?;
        Some(ports.pointer("/nats/0")?.as_str()?.to_owned())
    }
}

impl Drop for PrivateServer {
    fn drop(&mut self) {
        drop(self.process.start_kill());
        drop(fs::remove_dir_all(&self.folder));
    }
}

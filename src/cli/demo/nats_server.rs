//! A private nats-server on a port of its own choice.

use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use thiserror::Error;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

/// How long the server may take to say where it listens.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why there is no server.
#[derive(Debug, Error)]
pub(super) enum StartError {
    #[error("there is no `nats-server` on the PATH; `./justw demo` gets one")]
    Missing(#[source] io::Error),
    #[error("it did not say where it listens")]
    Silent,
}

/// What `--ports_file_dir` makes the server write.
#[derive(Deserialize)]
struct Ports {
    nats: Vec<String>,
}

/// A running server, killed when dropped.
#[derive(Debug)]
pub(super) struct NatsServer {
    url: String,
    _process: Child,
}

impl NatsServer {
    /// Starts a server that is reachable from this machine only.
    pub(super) async fn start(folder: &Path) -> Result<Self, StartError> {
        let process = Command::new("nats-server")
            .args(["--addr", "127.0.0.1", "--port", "-1", "--ports_file_dir"])
            .arg(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(StartError::Missing)?;
        let pid = process.id().ok_or(StartError::Silent)?;
        let file = folder.join(format!("nats-server_{pid}.ports"));
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(url) = first_url(&file).await {
                return Ok(Self {
                    url,
                    _process: process,
                });
            }
            sleep(Duration::from_millis(10)).await;
        }
        Err(StartError::Silent)
    }

    /// Where clients connect.
    pub(super) fn url(&self) -> &str {
        &self.url
    }
}

async fn first_url(file: &Path) -> Option<String> {
    let text = tokio::fs::read(file).await.ok()?;
    let ports: Ports = serde_json::from_slice(&text).ok()?;
    ports.nats.into_iter().next()
}

//! A nats-server of our own, for commands that need nothing set up: on a port of its own choice, in
//! a folder that is gone afterwards.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

use crate::config::{LogFormat, NatsAddress, NatsAuth, NatsSettings, Settings};
use crate::domain::source::SourceMode;

/// How long the server may take to report its address.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long it may take to end.
const LAST_WORK: Duration = Duration::from_secs(1);
/// As the command is called.
const PROGRAM: &str = "nats-server";

/// A running server, which is killed when this is dropped.
#[derive(Debug)]
pub(super) struct PrivateServer {
    /// Where clients connect.
    pub(super) url: String,
    /// Before its folder: it is dropped, and so killed, first.
    process: Child,
    /// Its folder, for whatever else should be gone afterwards. Its name cannot be guessed or
    /// prepared, and no other user may look into it.
    pub(super) folder: TempDir,
}

impl PrivateServer {
    /// Starts a server for the command `name`, reachable from this machine only.
    ///
    /// # Errors
    /// Why there is none, in one sentence.
    pub(super) async fn start(name: &str) -> Result<Self, String> {
        let folder = tempfile::Builder::new()
            .prefix(&format!("beamline-{name}-"))
            .tempdir();
        let folder = folder.map_err(|error| format!("cannot make a temporary folder: {error}"))?;
        let process = Command::new(PROGRAM)
            .args(["--addr", "127.0.0.1", "--port", "-1", "--ports_file_dir"])
            .arg(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Ctrl-C goes to all of the terminal's group, and would end it before the daemon has
            // drained.
            .process_group(0)
            .kill_on_drop(true)
            .spawn();
        let process = process.map_err(|error| {
            format!("cannot start nats-server: {error}; `./justw demo` gets one")
        })?;
        let mut server = Self {
            url: String::new(),
            process,
            folder,
        };
        let deadline = Instant::now() + PATIENCE;
        while server.url.is_empty() {
            if Instant::now() > deadline {
                return Err("nats-server did not report its address".to_owned());
            }
            sleep(Duration::from_millis(10)).await;
            server.url = server.announced().unwrap_or_default();
        }
        Ok(server)
    }

    /// Points a daemon here: it needs no login, and nothing leaves this host.
    pub(super) fn point(&self, nats: &mut NatsSettings) {
        nats.servers = NatsAddress::parse(&self.url).into_iter().collect();
        nats.auth = NatsAuth::None;
        nats.tls_ca = None;
        nats.client_certificate = None;
    }

    /// Ends it as a signal does: it delivers first what it has accepted, such as a last reply.
    pub(super) async fn stop(mut self) {
        let Some(pid) = self.process.id() else { return };
        let mut asked = Command::new(PROGRAM);
        let asked = asked.arg("--signal").arg(format!("term={pid}"));
        let asked = asked.stdout(Stdio::null()).stderr(Stdio::null());
        let ended = async {
            if asked.status().await.is_ok_and(|status| status.success()) {
                let _status = self.process.wait().await;
            }
        };
        let _late = timeout(LAST_WORK, ended).await;
    }

    /// What `--ports_file_dir` has made it write.
    fn announced(&self) -> Option<String> {
        let file = format!("nats-server_{}.ports", self.process.id()?);
        let text = fs::read(self.folder.path().join(file)).ok()?;
        let ports: serde_json::Value = serde_json::from_slice(&text).ok()?;
        Some(ports.pointer("/nats/0")?.as_str()?.to_owned())
    }
}

/// The files of `folder` and nothing else, with a log to be read.
pub(super) async fn alone(settings: &mut Settings, folder: PathBuf) {
    settings.source.mode = SourceMode::Fixtures;
    settings.source.fixtures_dir = folder;
    settings.database = None;
    settings.logging.format = LogFormat::Pretty;
    if let Some(addr) = settings.http.addr {
        settings.http.addr = Some(free(addr).await);
    }
}

/// The usual address, or another port if it is taken.
async fn free(addr: SocketAddr) -> SocketAddr {
    if TcpListener::bind(addr).await.is_ok() {
        return addr;
    }
    let other = TcpListener::bind((addr.ip(), 0)).await;
    other.and_then(|other| other.local_addr()).unwrap_or(addr)
}

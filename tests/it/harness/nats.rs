//! A nats-server of one's own.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;
use testcontainers::ImageExt;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use super::container::Container;
use super::ports;
use super::process::Process;
use super::servers::{self, Mode};
use super::wait::{DEADLINE, eventually};

const IMAGE: (&str, &str) = ("nats", "2.12-alpine");
const PORT_IN_CONTAINER: u16 = 4222;
const CONFIG_IN_CONTAINER: &str = "/beamline.conf";

/// Stands in a configuration for the folder of [`Builder::file`].
pub(crate) const FILES: &str = "@FILES@";

/// A nats-server on a port of its own, with its state in a temporary folder; gone on drop.
pub(crate) struct NatsServer {
    port: u16,
    builder: Builder,
    runner: Runner,
}

enum Runner {
    /// In the order of their drop.
    Native {
        process: Option<Process>,
        folder: TempDir,
    },
    Container(Container),
}

type Environment = Vec<(String, String)>;

/// What to start; see [`NatsServer::builder`].
#[derive(Default, Clone)]
pub(crate) struct Builder {
    jetstream: bool,
    max_payload: Option<usize>,
    config: String,
    files: Vec<(String, String)>,
    environment: Environment,
}

impl Builder {
    /// With JetStream, its storage in the server's folder; it survives a restart.
    pub(crate) fn jetstream(mut self) -> Self {
        self.jetstream = true;
        self
    }

    /// The largest message accepted, in bytes (the server's default is 1 MiB).
    pub(crate) fn max_payload(mut self, bytes: usize) -> Self {
        self.max_payload = Some(bytes);
        self
    }

    /// More lines of server configuration: users, permissions, limits...
    pub(crate) fn config(mut self, lines: &str) -> Self {
        self.config.push_str(lines);
        self.config.push('\n');
        self
    }

    /// A file for the configuration to name, as `@FILES@/<name>`.
    pub(crate) fn file(mut self, name: &str, text: &str) -> Self {
        self.files.push((name.to_owned(), text.to_owned()));
        self
    }

    /// A variable of its environment.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Starts it, and returns when it accepts clients.
    pub(crate) async fn start(self) -> NatsServer {
        match servers::mode() {
            Mode::Native => self.start_native().await,
            Mode::Containers => self.start_container().await,
        }
    }

    async fn start_native(self) -> NatsServer {
        let folder = tempfile::Builder::new()
            .prefix("beamline-nats-")
            .tempdir()
            .unwrap();
        let mut attempts = 0;
        loop {
            attempts += 1;
            let port = ports::free_port();
            self.write_native(folder.path(), port);
            match run(folder.path(), &self.environment).await {
                Ok(process) => {
                    let process = Some(process);
                    return NatsServer {
                        port,
                        builder: self,
                        runner: Runner::Native { process, folder },
                    };
                }
                Err(log) if attempts < 10 && ports::is_taken(&log) => {}
                Err(log) => panic!("{log}"),
            }
        }
    }

    fn write_native(&self, folder: &Path, port: u16) {
        for (name, text) in &self.files {
            std::fs::write(folder.join(name), text).unwrap();
        }
        let listen = format!("127.0.0.1:{port}");
        let config = self.text(&listen, &folder.join("jetstream"), folder);
        std::fs::write(config_file(folder), config).unwrap();
    }

    fn text_in_container(&self) -> String {
        let listen = format!("0.0.0.0:{PORT_IN_CONTAINER}");
        self.text(&listen, Path::new("/tmp/jetstream"), Path::new(""))
    }

    async fn start_container(self) -> NatsServer {
        let config = self.text_in_container();
        let (container, port) = Container::start(IMAGE, PORT_IN_CONTAINER, |request| {
            let mut request = request
                .with_copy_to(CONFIG_IN_CONTAINER, config.clone().into_bytes())
                .with_cmd(["-c", CONFIG_IN_CONTAINER]);
            for (name, text) in &self.files {
                request = request.with_copy_to(format!("/{name}"), text.clone().into_bytes());
            }
            for (name, value) in &self.environment {
                request = request.with_env_var(name, value);
            }
            request
        })
        .await;
        let server = NatsServer {
            port,
            builder: self,
            runner: Runner::Container(container),
        };
        server.wait_greeting().await;
        server
    }

    fn text(&self, listen: &str, storage: &Path, files: &Path) -> String {
        let mut file = format!("listen: \"{listen}\"\n");
        if let Some(bytes) = self.max_payload {
            file.push_str(&format!("max_payload: {bytes}\n"));
        }
        if self.jetstream {
            file.push_str(&format!(
                "jetstream {{ store_dir: \"{}\" }}\n",
                storage.display()
            ));
        }
        file + &self.config.replace(FILES, &files.display().to_string())
    }
}

impl NatsServer {
    /// A plain server: no authentication, no JetStream.
    pub(crate) async fn start() -> Self {
        Self::builder().start().await
    }

    /// A server with options.
    pub(crate) fn builder() -> Builder {
        Builder::default()
    }

    /// `nats://127.0.0.1:<port>`.
    pub(crate) fn url(&self) -> String {
        format!("nats://{}", self.addr())
    }

    /// `127.0.0.1:<port>`, as a fault proxy wants it; the same after a restart.
    pub(crate) fn addr(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The process, in native mode and while it runs: its log, its id, `STOP` and `CONT`.
    pub(crate) fn process(&self) -> Option<&Process> {
        match &self.runner {
            Runner::Native { process, .. } => process.as_ref(),
            Runner::Container(_) => None,
        }
    }

    /// Shuts it down in good order.
    pub(crate) async fn stop(&mut self) {
        self.end("TERM").await;
    }

    /// Kills it, as a crash would.
    pub(crate) async fn kill(&mut self) {
        self.end("KILL").await;
    }

    async fn end(&mut self, signal: &str) {
        match &mut self.runner {
            Runner::Native { process, .. } => {
                if let Some(process) = process.take() {
                    process.signal(signal);
                    process.wait_exit(DEADLINE).await;
                }
            }
            Runner::Container(container) => {
                container.stop(if signal == "KILL" { 0 } else { 10 }).await;
            }
        }
    }

    /// Starts it again after [`stop`](Self::stop) or [`kill`](Self::kill), on the same port.
    pub(crate) async fn start_again(&mut self) {
        match &mut self.runner {
            Runner::Native { process, folder } => {
                let (folder, environment) = (folder.path(), &self.builder.environment);
                *process = Some(
                    eventually("nats-server runs again", DEADLINE, async || {
                        run(folder, environment).await
                    })
                    .await,
                );
            }
            Runner::Container(container) => {
                container.start_again().await;
                self.wait_greeting().await;
            }
        }
    }

    /// Gives the server another configuration, and files, for its next start or reload.
    pub(crate) fn configure(&mut self, builder: Builder) {
        self.builder = builder;
        match &self.runner {
            Runner::Native { folder, .. } => self.builder.write_native(folder.path(), self.port),
            Runner::Container(container) => {
                for (name, text) in &self.builder.files {
                    container.write(&format!("/{name}"), text);
                }
                container.write(CONFIG_IN_CONTAINER, &self.builder.text_in_container());
            }
        }
    }

    /// Makes it read its configuration again; whoever is no longer allowed is disconnected.
    pub(crate) fn reload(&self) {
        match &self.runner {
            Runner::Native { process, .. } => process.as_ref().expect("it runs").signal("HUP"),
            Runner::Container(container) => container.signal("HUP"),
        }
    }

    /// The engine accepts connections on the mapped port before the server does: only the server's
    /// own first bytes prove that it is there.
    async fn wait_greeting(&self) {
        let addr = self.addr();
        eventually("nats-server greets", Duration::from_secs(60), async || {
            let mut greeting = [0; 5];
            let mut stream = TcpStream::connect(&addr).await?;
            stream.read_exact(&mut greeting).await?;
            std::io::Result::Ok(())
        })
        .await;
    }
}

async fn run(folder: &Path, environment: &Environment) -> Result<Process, String> {
    let mut command = Process::command(&servers::nats_server(), "KILL", Some(folder));
    command.arg("-c").arg(config_file(folder));
    command.envs(environment.iter().map(|(name, value)| (name, value)));
    let process = Process::spawn("nats-server", command).await;
    process
        .wait_line("its start", DEADLINE, |line| {
            line.contains("Server is ready").then_some(())
        })
        .await?;
    Ok(process)
}

fn config_file(folder: &Path) -> PathBuf {
    folder.join("nats.conf")
}

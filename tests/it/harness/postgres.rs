//! A Postgres server: one shared by the whole run, or one of a test's own.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;
use testcontainers::ImageExt;
use tokio::sync::OnceCell;

use super::container::Container;
use super::ports;
use super::process::Process;
use super::servers::{self, Mode};
use super::wait::{DEADLINE, eventually};

mod installation;

use installation::Installation;

const IMAGE: (&str, &str) = ("postgres", "17-alpine");
const PORT_IN_CONTAINER: u16 = 5432;

/// The superuser, and its password where one is asked for.
pub(crate) const USER: &str = "postgres";
const PASSWORD: &str = "postgres";

/// Speed over durability, but for an orderly restart; room for many tests at a time.
const SETTINGS: &[&str] = &[
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "max_connections=1500",
    "shared_buffers=64MB",
    "jit=off",
];

/// A running or stopped server; gone on drop.
pub(crate) struct Postgres {
    port: u16,
    runner: Runner,
}

enum Runner {
    /// In the order of their drop.
    Native {
        process: Option<Process>,
        installation: Installation,
        folder: TempDir,
    },
    Container(Container),
}

impl Postgres {
    /// The server of this run, started by whoever asks first. Tests share it through databases of
    /// their own ([`TestDatabase`](super::TestDatabase)) and never stop it.
    pub(crate) async fn shared() -> &'static Self {
        static SHARED: OnceCell<Postgres> = OnceCell::const_new();
        SHARED.get_or_init(Self::private).await
    }

    /// A server of one's own, to stop, kill and start again.
    pub(crate) async fn private() -> Self {
        match servers::mode() {
            Mode::Native => Self::start_native().await,
            Mode::Containers => Self::start_container().await,
        }
    }

    async fn start_native() -> Self {
        let folder = tempfile::Builder::new()
            .prefix("beamline-pg-")
            .tempdir()
            .unwrap();
        let installation = Installation::find(folder.path());
        installation
            .initdb(folder.path(), &data(folder.path()), USER)
            .await;
        let mut attempts = 0;
        loop {
            attempts += 1;
            let port = ports::free_port();
            match run(&installation, folder.path(), port).await {
                Ok(process) => {
                    let process = Some(process);
                    let runner = Runner::Native {
                        process,
                        installation,
                        folder,
                    };
                    return Self { port, runner };
                }
                Err(log) if attempts < 10 && ports::is_taken(&log) => {}
                Err(log) => panic!("{log}"),
            }
        }
    }

    async fn start_container() -> Self {
        let (container, port) = Container::start(IMAGE, PORT_IN_CONTAINER, |request| {
            let settings = SETTINGS.iter().flat_map(|setting| ["-c", *setting]);
            request
                .with_env_var("POSTGRES_USER", USER)
                .with_env_var("POSTGRES_PASSWORD", PASSWORD)
                .with_cmd(std::iter::once("postgres").chain(settings))
        })
        .await;
        let server = Self {
            port,
            runner: Runner::Container(container),
        };
        server.wait_answer().await;
        server
    }

    /// `postgres://...` for a database of this server.
    pub(crate) fn url(&self, database: &str) -> String {
        Self::url_at(&self.addr(), database)
    }

    /// The same through another address, such as a fault proxy's.
    pub(crate) fn url_at(addr: &str, database: &str) -> String {
        format!("postgres://{USER}:{PASSWORD}@{addr}/{database}?sslmode=disable")
    }

    /// `127.0.0.1:<port>`, as a fault proxy wants it; the same after a restart.
    pub(crate) fn addr(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// A connection to `database`, or why there is none.
    pub(crate) async fn connect(
        &self,
        database: &str,
    ) -> Result<tokio_postgres::Client, tokio_postgres::Error> {
        connect(&self.url(database)).await
    }

    /// The postmaster, in native mode and while it runs: its log, its id, `STOP` and `CONT`.
    pub(crate) fn process(&self) -> Option<&Process> {
        match &self.runner {
            Runner::Native { process, .. } => process.as_ref(),
            Runner::Container(_) => None,
        }
    }

    /// Shuts it down in good order, ending all sessions.
    pub(crate) async fn stop(&mut self) {
        self.end("INT").await;
    }

    /// Ends it at once, without a checkpoint; the next start recovers, as after a crash.
    pub(crate) async fn kill(&mut self) {
        self.end("QUIT").await;
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
                container.stop(if signal == "QUIT" { 0 } else { 10 }).await;
            }
        }
    }

    /// Starts it again after [`stop`](Self::stop) or [`kill`](Self::kill), on the same port and
    /// with its data.
    pub(crate) async fn start_again(&mut self) {
        let port = self.port;
        match &mut self.runner {
            Runner::Native {
                process,
                installation,
                folder,
            } => {
                let folder = folder.path();
                let start = async || run(installation, folder, port).await;
                *process = Some(eventually("Postgres runs again", DEADLINE, start).await);
            }
            Runner::Container(container) => {
                container.start_again().await;
                self.wait_answer().await;
            }
        }
    }

    /// Only an answer proves that it is there: the engine accepts connections on the mapped port
    /// before the server does, and the image starts a first server on a local socket only.
    async fn wait_answer(&self) {
        eventually("Postgres answers", Duration::from_secs(60), async || {
            self.connect("postgres")
                .await?
                .simple_query("SELECT 1")
                .await
        })
        .await;
    }
}

/// Connects and drives the connection in a task of the current runtime.
pub(crate) async fn connect(url: &str) -> Result<tokio_postgres::Client, tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await?;
    tokio::spawn(async move {
        // Its end shows in the client, as an error of the next query.
        let _ended = connection.await;
    });
    Ok(client)
}

/// Runs a file in psql, with nobody's own settings; what it said where it failed.
pub(crate) async fn psql(url: &str, file: &Path) -> Result<(), String> {
    let program = match servers::mode() {
        Mode::Native => servers::postgres_programs().join("psql"),
        Mode::Containers => PathBuf::from("psql"),
    };
    let mut psql = tokio::process::Command::new(&program);
    psql.args(["--no-psqlrc", "--quiet", url, "--file"]);
    psql.arg(file).kill_on_drop(true);
    let run = tokio::time::timeout(DEADLINE, psql.output());
    let run = run.await.expect("an end of psql");
    let run = run.unwrap_or_else(|error| panic!("{program:?}: {error}"));
    match run.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&run.stderr).into_owned()),
    }
}

fn data(folder: &Path) -> PathBuf {
    folder.join("data")
}

async fn run(installation: &Installation, folder: &Path, port: u16) -> Result<Process, String> {
    let mut command = installation.command("postgres", folder);
    command
        .arg("-D")
        .arg(data(folder))
        .args(["-p", &port.to_string()]);
    command.args([
        "-c",
        "listen_addresses=127.0.0.1",
        "-c",
        "unix_socket_directories=",
    ]);
    for setting in SETTINGS {
        command.args(["-c", setting]);
    }
    let process = Process::spawn("postgres", command).await;
    process
        .wait_line("its start", DEADLINE, |line| {
            line.contains("ready to accept connections").then_some(())
        })
        .await?;
    Ok(process)
}

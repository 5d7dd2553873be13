//! The real binary, as a process.

use std::io::{Seek, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use super::http::{self, HttpReply};
use super::process::Process;
use super::wait::{DEADLINE, eventually};

const BINARY: &str = env!("CARGO_BIN_EXE_beamline-registry");

/// What the daemon may inherit: where to find programs and temporary folders, where the coverage
/// tools want their data. Nothing that configures it.
const INHERITED: &[&str] = &["PATH", "HOME", "TMPDIR", "LLVM_PROFILE_FILE"];

/// A running daemon with JSON logs and HTTP on a free port; killed on drop.
pub(crate) struct Daemon {
    process: Process,
}

/// How to start it; see [`Daemon::builder`].
#[derive(Default, Clone)]
pub(crate) struct Builder {
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    input: Vec<u8>,
    shell: Option<String>,
    unprivileged: bool,
}

/// `nobody`, who owns nothing.
const NOBODY: u32 = 65534;

impl Builder {
    /// The NATS server's URL.
    pub(crate) fn nats(self, url: &str) -> Self {
        self.setting("NATS_URL", url)
    }

    /// The database's URL.
    pub(crate) fn database(self, url: &str) -> Self {
        self.setting("DB_URL", url)
    }

    /// The folder with fixtures.
    pub(crate) fn fixtures(self, folder: &Path) -> Self {
        self.setting("FIXTURES_DIR", folder.display())
    }

    /// A setting by its name in the contract, without the prefix `EXTENSION_REGISTRY_`.
    pub(crate) fn setting(self, name: &str, value: impl ToString) -> Self {
        self.env(&format!("EXTENSION_REGISTRY_{name}"), value)
    }

    /// A variable of the environment, by its whole name.
    pub(crate) fn env(mut self, name: &str, value: impl ToString) -> Self {
        self.environment.push((name.to_owned(), value.to_string()));
        self
    }

    /// An argument; without any, the daemon serves.
    pub(crate) fn arg(mut self, argument: impl ToString) -> Self {
        self.arguments.push(argument.to_string());
        self
    }

    /// Runs it as somebody whom permissions bind, also where the tests run as root.
    pub(crate) fn unprivileged(mut self) -> Self {
        self.unprivileged = true;
        self
    }

    /// What it finds on standard input, for those that are run to their end.
    pub(crate) fn input(mut self, input: &str) -> Self {
        self.input = input.into();
        self
    }

    /// Started by a shell, whose `script` sets its surroundings and then does `exec "$@"`.
    pub(crate) fn shell(mut self, script: &str) -> Self {
        self.shell = Some(script.to_owned());
        self
    }

    /// Starts it. It may not listen yet, nor ever.
    pub(crate) async fn spawn(self) -> Daemon {
        let mut command = match &self.shell {
            None => Process::command(Path::new(BINARY), "KILL", None),
            Some(script) => {
                let mut command = Process::command(Path::new("/bin/sh"), "KILL", None);
                command.args(["-c", script, "sh", BINARY]);
                command
            }
        };
        self.prepare(&mut command);
        Daemon {
            process: Process::spawn("beamline-registry", command).await,
        }
    }

    /// Runs it to its end, for the subcommands that have one: exit code, standard output, errors.
    pub(crate) async fn run(self) -> (i32, String, String) {
        let mut command = Command::new(BINARY);
        self.prepare(&mut command);
        let mut input = tempfile::tempfile().unwrap();
        input.write_all(&self.input).unwrap();
        input.rewind().unwrap();
        let mut command = tokio::process::Command::from(command);
        let run = command.stdin(input).kill_on_drop(true).output();
        let output = tokio::time::timeout(DEADLINE * 3, run)
            .await
            .expect("an end")
            .unwrap();
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        (
            output.status.code().unwrap_or(-1),
            text(&output.stdout),
            text(&output.stderr),
        )
    }

    fn prepare(&self, command: &mut Command) {
        command.env_clear();
        for name in INHERITED {
            #[expect(clippy::disallowed_methods, reason = "passed on as it is")]
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        let we_are_root = || tempfile::tempfile().unwrap().metadata().unwrap().uid() == 0;
        if self.unprivileged && we_are_root() {
            command.uid(NOBODY).gid(NOBODY).current_dir("/");
        }
        command.env("EXTENSION_REGISTRY_HTTP_ADDR", "127.0.0.1:0");
        command.env("EXTENSION_REGISTRY_LOG_FORMAT", "json");
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.args(&self.arguments);
    }
}

impl Daemon {
    /// A daemon with no setting but HTTP on a free port and JSON logs.
    pub(crate) fn builder() -> Builder {
        Builder::default()
    }

    /// Where its HTTP server listens; waits until it does.
    pub(crate) async fn http_addr(&self) -> String {
        self.wait_log("where it listens", |entry| {
            (message(entry)? == "http listening")
                .then(|| field(entry, "addr")?.as_str())?
                .map(str::to_owned)
        })
        .await
    }

    /// `GET path` from its HTTP server.
    pub(crate) async fn get(&self, path: &str) -> HttpReply {
        http::get(&self.http_addr().await, path).await.unwrap()
    }

    /// Waits until `/readyz` says 200.
    pub(crate) async fn wait_ready(&self) {
        let addr = self.http_addr().await;
        eventually("the daemon is ready", DEADLINE, async || {
            match self.exit_code() {
                Some(code) => panic!("exit code {code} before ready: {:#?}", self.log()),
                None => match http::get(&addr, "/readyz").await {
                    Ok(reply) if reply.status == 200 => Ok(()),
                    other => Err(other),
                },
            }
        })
        .await;
    }

    /// The first thing that `pick` finds in a log entry, past or to come. Panics at the deadline.
    pub(crate) async fn wait_log<T>(
        &self,
        what: &str,
        mut pick: impl FnMut(&Value) -> Option<T>,
    ) -> T {
        let found = self
            .process
            .wait_line(what, DEADLINE, |line| {
                pick(&serde_json::from_str(line).ok()?)
            })
            .await;
        found.unwrap_or_else(|error| panic!("{error}"))
    }

    /// The first thing that `pick` finds in a line, past or to come. Panics at the deadline.
    pub(crate) async fn wait_line<T>(&self, what: &str, pick: impl FnMut(&str) -> Option<T>) -> T {
        let found = self.process.wait_line(what, DEADLINE, pick).await;
        found.unwrap_or_else(|error| panic!("{error}"))
    }

    /// Every line logged so far, by whatever writes to standard output or error.
    pub(crate) fn log(&self) -> Vec<String> {
        self.process.log()
    }

    /// Its process id, to look at its memory or to stop it (`signal("STOP")`).
    pub(crate) fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// The most bytes of memory that it had so far.
    pub(crate) fn peak_memory(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = peak.unwrap().trim().trim_end_matches(" kB");
        kib.parse::<usize>().unwrap() * 1024
    }

    /// Sends a signal, named as for `kill -s`.
    pub(crate) fn signal(&self, signal: &str) {
        self.process.signal(signal);
    }

    /// Asks it to drain and end.
    pub(crate) fn sigterm(&self) {
        self.signal("TERM");
    }

    /// Ends it at once.
    pub(crate) fn sigkill(&self) {
        self.signal("KILL");
    }

    /// The exit code, if it has ended.
    pub(crate) fn exit_code(&self) -> Option<i32> {
        self.process.exit_code()
    }

    /// Waits for the end and returns the exit code (137 after `KILL`).
    pub(crate) async fn wait_exit(&self, deadline: Duration) -> i32 {
        self.process.wait_exit(deadline).await
    }
}

/// The message of a log entry.
pub(crate) fn message(entry: &Value) -> Option<&str> {
    field(entry, "message")?.as_str()
}

/// A field of a log entry, which the formatter may have put under `fields`.
pub(crate) fn field<'a>(entry: &'a Value, name: &str) -> Option<&'a Value> {
    entry.get(name).or_else(|| entry.get("fields")?.get(name))
}

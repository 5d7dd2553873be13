//! A child process whose log is kept and which cannot outlive the test run.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::watch;

const WATCHDOG: &str = include_str!("watchdog.sh");

/// A running program. Dropping it ends the program and waits for the end.
///
/// It works with threads, not with tasks, so that it may outlive the runtime of the test that
/// started it.
pub(crate) struct Process {
    name: String,
    pid: u32,
    log: Arc<Mutex<Vec<String>>>,
    state: watch::Receiver<State>,
    /// Its closing is what tells the watchdog that nobody needs the program any more.
    pipe: Option<ChildStdin>,
    waiter: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct State {
    lines: usize,
    exit_code: Option<i32>,
}

impl Process {
    /// The command that runs `program` under the watchdog; add arguments, environment and user.
    ///
    /// `signal` (as `kill -s` takes it) ends it on drop, and `folder` is removed then.
    pub(crate) fn command(program: &Path, signal: &str, folder: Option<&Path>) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", WATCHDOG, "watchdog", signal]);
        command.arg(folder.unwrap_or(Path::new(""))).arg(program);
        command
    }

    /// Starts a command made by [`Process::command`].
    pub(crate) async fn spawn(name: &str, mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {name}: {error}"));
        let (changed, state) = watch::channel(State::default());
        let log = Arc::new(Mutex::new(Vec::new()));
        let pipe = child.stdin.take();
        let readers = [
            keep_lines(child.stdout.take().unwrap(), &log, &changed),
            keep_lines(child.stderr.take().unwrap(), &log, &changed),
        ];
        let waiter = std::thread::spawn(move || {
            let status = child.wait().unwrap();
            // The last lines come before the news of the end.
            for reader in readers {
                reader.join().unwrap();
            }
            changed.send_modify(|state| state.exit_code = Some(status.code().unwrap_or(-1)));
        });
        let mut process = Self {
            name: name.to_owned(),
            pid: 0,
            log,
            state,
            pipe,
            waiter: Some(waiter),
        };
        process.pid = process
            .wait_line("its process id", super::DEADLINE, |line| {
                line.strip_prefix("watchdog: pid ")?.parse().ok()
            })
            .await
            .unwrap_or_else(|error| panic!("{error}"));
        process
    }

    /// The program's own process id, not that of its watchdog.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Every line written so far to standard output and standard error.
    pub(crate) fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    /// Sends a signal, named as for `kill -s`: `TERM`, `KILL`, `STOP`, `CONT`...
    pub(crate) fn signal(&self, signal: &str) {
        if self.exit_code().is_none() {
            let _gone_meanwhile = Command::new("kill")
                .args(["-s", signal, &self.pid.to_string()])
                .stderr(Stdio::null())
                .status();
        }
    }

    /// The exit code, if it has ended: 128 + n for signal n.
    pub(crate) fn exit_code(&self) -> Option<i32> {
        self.state.borrow().exit_code
    }

    /// Waits for the end and returns the exit code.
    pub(crate) async fn wait_exit(&self, deadline: Duration) -> i32 {
        let mut state = self.state.clone();
        let ended = state.wait_for(|state| state.exit_code.is_some());
        match tokio::time::timeout(deadline, ended).await {
            Ok(state) => state.unwrap().exit_code.unwrap(),
            Err(_) => panic!("{} still runs after {deadline:?}{}", self.name, self.tail()),
        }
    }

    /// The first thing that `pick` finds in a line, past or to come; or why there is none: the
    /// process ended, or the deadline passed.
    pub(crate) async fn wait_line<T>(
        &self,
        what: &str,
        deadline: Duration,
        mut pick: impl FnMut(&str) -> Option<T>,
    ) -> Result<T, String> {
        let mut state = self.state.clone();
        let mut seen = 0;
        let search = async {
            loop {
                let ended = state.borrow_and_update().exit_code;
                let fresh = self.log.lock().unwrap()[seen..].to_vec();
                seen += fresh.len();
                if let Some(found) = fresh.iter().find_map(|line| pick(line)) {
                    return Ok(found);
                }
                if let Some(code) = ended {
                    return Err(format!("ended with {code} before {what}"));
                }
                let _sender_ends_after_exit = state.changed().await;
            }
        };
        tokio::time::timeout(deadline, search)
            .await
            .unwrap_or_else(|_| Err(format!("no {what} within {deadline:?}")))
            .map_err(|reason| format!("{}: {reason}{}", self.name, self.tail()))
    }

    fn tail(&self) -> String {
        let log = self.log();
        let last = &log[log.len().saturating_sub(30)..];
        format!("; its last lines:\n  {}", last.join("\n  "))
    }
}

impl Drop for Process {
    #[expect(clippy::print_stdout, reason = "shown with the test's failure")]
    fn drop(&mut self) {
        // Why a test failed is seldom seen where it failed.
        if std::thread::panicking() {
            println!("{}{}", self.name, self.tail());
        }
        // A stopped process (SIGSTOP) would not take another signal before it goes on.
        self.signal("CONT");
        drop(self.pipe.take());
        if let Some(waiter) = self.waiter.take() {
            let _already_panicking = waiter.join();
        }
    }
}

fn keep_lines(
    source: impl Read + Send + 'static,
    log: &Arc<Mutex<Vec<String>>>,
    changed: &watch::Sender<State>,
) -> JoinHandle<()> {
    let (log, changed) = (Arc::clone(log), changed.clone());
    std::thread::spawn(move || {
        for line in BufReader::new(source).split(b'\n') {
            let Ok(line) = line else { return };
            log.lock()
                .unwrap()
                .push(String::from_utf8_lossy(&line).into_owned());
            changed.send_modify(|state| state.lines += 1);
        }
    })
}

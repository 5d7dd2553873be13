//! A Redis of our own, where one is installed.

use std::path::Path;

use crate::harness::{DEADLINE, Process, ports};

/// A running server without persistence.
pub(crate) struct RedisServer {
    _process: Process,
    port: u16,
}

impl RedisServer {
    /// Starts it; `None` where there is no `redis-server`.
    pub(crate) async fn start() -> Option<Self> {
        let installed = std::process::Command::new("redis-server")
            .arg("--version")
            .output();
        installed.ok()?;
        let port = ports::free_port();
        let mut command = Process::command(Path::new("redis-server"), "KILL", None);
        command.args(["--bind", "127.0.0.1", "--port", &port.to_string()]);
        command.args(["--save", "", "--appendonly", "no"]);
        let process = Process::spawn("redis-server", command).await;
        let accepts = |line: &str| line.contains("eady to accept connections").then_some(());
        process
            .wait_line("its start", DEADLINE, accepts)
            .await
            .unwrap();
        Some(Self {
            _process: process,
            port,
        })
    }

    /// `redis://127.0.0.1:<port>`.
    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }
}

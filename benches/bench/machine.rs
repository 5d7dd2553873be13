//! The machine and the versions that the figures belong to.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::stage::Stage;
use crate::harness::servers;

/// Describes this machine, and the servers where they run as processes.
pub(crate) async fn describe(stage: &Stage) -> Value {
    let database = stage.database.connect().await;
    let row = database
        .query_one("SHOW server_version", &[])
        .await
        .unwrap();
    json!({
        "cpu": cpu(),
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
        "memory": memory(),
        "kernel": output("uname", &["-srm"]),
        "registry": env!("CARGO_PKG_VERSION"),
        "commit": output("git", &["-C", env!("CARGO_MANIFEST_DIR"), "rev-parse", "--short", "HEAD"]),
        "rustc": output("rustc", &["--version"]),
        "nats-server": nats_version(stage),
        "postgres": row.get::<_, String>(0),
        "redis": output("redis-server", &["--version"]),
        "date": output("date", &["-u", "+%Y-%m-%d"]),
    })
}

fn nats_version(stage: &Stage) -> Option<String> {
    stage.nats.process()?;
    output(servers::nats_server(), &["--version"])
}

fn cpu() -> Option<String> {
    proc_value("/proc/cpuinfo", "model name")
        .or_else(|| output("sysctl", &["-n", "machdep.cpu.brand_string"]))
}

fn memory() -> Option<String> {
    proc_value("/proc/meminfo", "MemTotal").or_else(|| output("sysctl", &["-n", "hw.memsize"]))
}

/// The first value of `name` in one of Linux's tables of `name: value` lines.
fn proc_value(path: &str, name: &str) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// What a program prints; `None` where it is missing or fails.
fn output(program: impl AsRef<Path>, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program.as_ref())
        .args(arguments)
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}

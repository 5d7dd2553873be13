//! Python tools that look at what we publish: schemathesis, validators of OpenAPI and JSON Schema.
//! `just api-test`; they come by `scripts/pip-tool`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::process::Command;

use crate::docs::file;

/// Long enough for a loaded machine; a run takes a fraction of it.
const DEADLINE: Duration = Duration::from_secs(300);

/// The folder of the tools, installed where they are missing.
async fn tools() -> PathBuf {
    let script = file("scripts/pip-tool");
    let installed = Command::new(&script)
        .args(["install", "api-tools"])
        .status()
        .await;
    assert!(installed.unwrap().success());
    let folder = Command::new(&script)
        .args(["where", "api-tools"])
        .output()
        .await
        .unwrap();
    String::from_utf8(folder.stdout).unwrap().trim().into()
}

/// Runs Python with the tools to its end, in `folder`, where it may leave files: whether it was
/// content, and what it printed.
pub(crate) async fn run(folder: &Path, arguments: &[&str]) -> (bool, String) {
    let mut command = Command::new("python3");
    command.current_dir(folder);
    command.env("PYTHONPATH", tools().await).args(arguments);
    let run = command.kill_on_drop(true).output();
    let output = tokio::time::timeout(DEADLINE, run)
        .await
        .expect("an end")
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&text).into_owned(),
    )
}

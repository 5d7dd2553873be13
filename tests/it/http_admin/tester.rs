//! The document against the daemon: schemathesis makes requests of it, valid and invalid ones, and
//! sees whether the answers are as described. `just api-test`; the tools come by `scripts/pip-tool`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::process::Command;

use super::{ADMIN, Api, plain};

/// Long enough for a loaded machine; a run takes a fraction of it.
const DEADLINE: Duration = Duration::from_secs(300);

/// The folder of the tools, installed where they are missing.
async fn tools() -> PathBuf {
    let root = env!("CARGO_MANIFEST_DIR");
    let script = format!("{root}/scripts/pip-tool");
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

/// Runs a Python module of the tools to its end.
async fn run(folder: &Path, arguments: &[&str]) -> (bool, String) {
    let mut command = Command::new("python3");
    // It leaves files where it runs.
    command.current_dir(folder);
    command
        .env("PYTHONPATH", tools().await)
        .arg("-m")
        .args(arguments);
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

#[tokio::test]
#[ignore = "installs its tools first; `just api-test`"]
async fn the_daemon_keeps_to_its_document() {
    let api = Api::start().await;
    for id in ["mask_pii", "plain"] {
        api.ask("POST /admin/extensions", &plain(id)).await;
    }
    let document = api.daemon.get("/openapi.json").await;
    let folder = api.folder.path();
    let file = folder.join("openapi.json");
    std::fs::write(&file, &document.body).unwrap();
    let (valid, told) = run(folder, &["openapi_spec_validator", file.to_str().unwrap()]).await;
    assert!(valid, "{told}");

    let (url, token) = (
        format!("http://{}/openapi.json", api.addr),
        format!("Authorization: Bearer {ADMIN}"),
    );
    let checks = "not_a_server_error,status_code_conformance,content_type_conformance,\
        response_headers_conformance,response_schema_conformance";
    let (passed, told) = run(
        folder,
        &[
            "schemathesis.cli",
            "run",
            &url,
            "--header",
            &token,
            "--checks",
            checks,
            "--phases",
            "examples,coverage,fuzzing",
            "--max-examples",
            "20",
            "--generation-deterministic",
            "--continue-on-failure",
            "--no-color",
        ],
    )
    .await;
    assert!(passed, "{told}");
    println!("{told}");
    // Whatever was asked, it serves on.
    assert_eq!(api.daemon.get("/readyz").await.status, 200);
}

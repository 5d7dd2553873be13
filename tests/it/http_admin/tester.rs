//! The document against the daemon: schemathesis makes requests of it, valid and invalid ones, and
//! sees whether the answers are as described. `just api-test`.

use super::{ADMIN, Api, plain};
use crate::api_tools::run;

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
    let (valid, told) = run(
        folder,
        &["-m", "openapi_spec_validator", file.to_str().unwrap()],
    )
    .await;
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
            "-m",
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

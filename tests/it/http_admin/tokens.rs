//! The file of tokens.

use super::{ADMIN, Api, READER, send};
use crate::harness::{DEADLINE, Daemon, eventually};

async fn status(addr: &str, token: &str) -> u16 {
    let headers = [("Authorization", format!("Bearer {token}"))];
    send(addr, "GET /admin/stats", &headers, b"").await.status
}

#[tokio::test]
async fn a_faulty_file_is_named_in_all_its_faults_and_no_token_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tokens");
    std::fs::write(
        &file,
        "sesame-open\nsesame-two king\n# fine\nsesame-3 reader a.b\n",
    )
    .unwrap();
    let daemon = Daemon::builder()
        .arg("serve")
        .setting("HTTP_TOKENS_FILE", file.display());
    let (code, out, err) = daemon.run().await;
    assert_eq!(code, 64);
    for line in ["line 1 ", "line 2 ", "line 4 "] {
        assert!(err.contains(line), "{line}: {err}");
    }
    assert_eq!(
        err.matches("EXTENSION_REGISTRY_HTTP_TOKENS_FILE").count(),
        3,
        "{err}"
    );
    assert!(!format!("{out}{err}").contains("sesame"), "{err}");
}

#[tokio::test]
async fn the_file_may_change_under_a_running_daemon() {
    let api = Api::start().await;
    let write = |text: &str| {
        let draft = api.folder.path().join("draft");
        std::fs::write(&draft, text).unwrap();
        std::fs::rename(draft, api.folder.path().join("tokens")).unwrap();
    };
    assert_eq!(status(&api.addr, READER).await, 200);
    write(&format!("new-token-0000000 reader\n{ADMIN} admin\n"));
    eventually("the new token counts", DEADLINE, async || {
        status(&api.addr, "new-token-0000000").await == 200
    })
    .await;
    assert_eq!(status(&api.addr, READER).await, 401, "the old one does not");

    write("new-token-0000000 king\n");
    let told = "http tokens not reloaded; the previous ones stay valid";
    eventually("a fault is told", DEADLINE, async || {
        assert_eq!(
            status(&api.addr, ADMIN).await,
            200,
            "and the old tokens are good"
        );
        api.daemon.log().iter().any(|line| line.contains(told))
    })
    .await;
    assert!(
        !api.daemon.log().concat().contains("new-token"),
        "no token is logged"
    );
}

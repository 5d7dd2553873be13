//! Files that are broken, repaired and replaced under the watch.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::{QUARANTINED, logged, origins};
use crate::harness::daemon::Builder;
use crate::harness::{Client, DEADLINE, Daemon, NatsServer, Reply, eventually};
use crate::rig::{metric, reason};

/// A daemon on a folder, and a client to ask it with.
pub(super) struct Files {
    daemon: Daemon,
    client: Client,
    _nats: NatsServer,
}

impl Files {
    pub(super) async fn serve(folder: &Path) -> Self {
        Self::serve_by(Daemon::builder(), folder).await
    }

    async fn serve_by(daemon: Builder, folder: &Path) -> Self {
        let nats = NatsServer::start().await;
        let daemon = daemon.nats(&nats.url()).fixtures(folder).spawn().await;
        daemon.wait_ready().await;
        let client = Client::connect(&nats.url()).await;
        Self {
            daemon,
            client,
            _nats: nats,
        }
    }

    async fn lookup(&self, id: &str) -> Reply {
        self.client
            .request("beamline.registry.lookup", id.to_owned())
            .await
    }

    pub(super) async fn stats(&self) -> Value {
        self.client
            .request("beamline.registry.stats", "")
            .await
            .ok()
    }

    /// Waits until `id` is served with `timeout_ms`; how long that took.
    pub(super) async fn wait(&self, id: &str, timeout_ms: u64) -> Duration {
        let start = Instant::now();
        eventually("the edit is served", DEADLINE, async || {
            let reply = self.lookup(id).await;
            if reply.json()["timeout_ms"] == timeout_ms {
                Ok(())
            } else {
                Err(reply)
            }
        })
        .await;
        start.elapsed()
    }

    async fn wait_origins(&self, expected: &[&str]) -> Value {
        eventually("the faults are named", DEADLINE, async || {
            let stats = self.stats().await;
            if origins(&stats) == expected {
                Ok(stats)
            } else {
                Err(stats)
            }
        })
        .await
    }
}

pub(super) fn extension(id: &str, timeout_ms: u64) -> Value {
    json!({"id": id, "type": "pre", "subject": format!("beamline.ext.{id}"), "timeout_ms": timeout_ms})
}

/// The promise is about a machine that is not busy with other tests: of a few edits, one must keep
/// it, and all must be served in the end.
fn assert_prompt(delays: &[Duration]) {
    let fastest = delays.iter().min().unwrap();
    assert!(
        *fastest < Duration::from_secs(1),
        "no edit served within a second: {delays:?}"
    );
}

#[tokio::test]
async fn faulty_files_and_entries_are_named_while_the_rest_serves() {
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, text: String| fs::write(folder.path().join(name), text).unwrap();
    put("a_good.json", extension("good", 1).to_string());
    put("b_broken.json", "{\"id\": ".to_owned());
    let bad = json!({"id": "bad", "type": "pre", "subject": "internal.secrets"});
    put(
        "c_list.json",
        json!([extension("listed", 1), bad]).to_string(),
    );
    let map = json!({"mapped": {"type": "post", "subject": "beamline.ext.mapped"},
        "odd": {"type": "nonsense", "subject": "beamline.ext.odd"}});
    put("d_map.json", map.to_string());
    put("e_taken.json", extension("good", 2).to_string());
    let files = Files::serve(folder.path()).await;

    let faulty = [
        "b_broken.json",
        "c_list.json#2",
        "d_map.json#odd",
        "e_taken.json",
    ];
    let stats = files.wait_origins(&faulty).await;
    assert!(
        stats["quarantined"][3]["reason"]
            .as_str()
            .unwrap()
            .contains("a_good.json"),
        "{stats}"
    );
    assert_eq!(metric(&files.daemon, QUARANTINED).await, Some(4.0));
    for origin in faulty {
        logged(&files.daemon, origin).await;
    }
    for id in ["bad", "odd"] {
        assert_eq!(reason(&files.lookup(id).await), "quarantined", "{id}");
    }
    for (id, timeout_ms) in [("good", 1), ("listed", 1), ("mapped", 5000)] {
        assert_eq!(
            files.lookup(id).await.ok()["timeout_ms"],
            timeout_ms,
            "{id}"
        );
    }

    // A file broken by an edit keeps what it held, but for what another one has.
    put("a_good.json", "{\"id\": \"good\", \"ty".to_owned());
    put("d_map.json", "{".to_owned());
    let broken = [
        "a_good.json",
        "b_broken.json",
        "c_list.json#2",
        "d_map.json",
        "d_map.json#odd",
    ];
    let stats = files.wait_origins(&broken).await;
    let is_kept = |fault: usize| {
        let reason = stats["quarantined"][fault]["reason"].as_str().unwrap();
        reason.contains("still served")
    };
    assert!(!is_kept(0) && is_kept(3), "{stats}");
    assert_eq!(files.lookup("good").await.ok()["timeout_ms"], 2);
    assert_eq!(files.lookup("mapped").await.ok()["timeout_ms"], 5000);

    // A repaired one serves what it holds, but for what another one serves by now.
    put("a_good.json", extension("good", 3).to_string());
    put("b_broken.json", extension("mended", 4).to_string());
    put("d_map.json", map.to_string());
    files.wait("mended", 4).await;
    files
        .wait_origins(&["a_good.json", "c_list.json#2", "d_map.json#odd"])
        .await;
    assert_eq!(files.lookup("good").await.ok()["timeout_ms"], 2);

    // An id stays with whoever serves it; when that one goes, the other serves.
    fs::remove_file(folder.path().join("e_taken.json")).unwrap();
    files.wait("good", 3).await;
    files
        .wait_origins(&["c_list.json#2", "d_map.json#odd"])
        .await;
    fs::remove_file(folder.path().join("a_good.json")).unwrap();
    eventually(
        "a deleted file takes its extension along",
        DEADLINE,
        async || files.lookup("good").await.header("Nats-Service-Error-Code") == Some("404"),
    )
    .await;
}

#[tokio::test]
async fn an_edit_is_served_within_a_second() {
    let folder = tempfile::tempdir().unwrap();
    let (file, saved) = (
        folder.path().join("a.json"),
        folder.path().join("a.json.tmp"),
    );
    fs::write(&file, extension("a", 1).to_string()).unwrap();
    let files = Files::serve(folder.path()).await;
    let mut delays = Vec::new();
    for timeout_ms in 2..=7 {
        let text = extension("a", timeout_ms).to_string();
        // As a shell redirects, and as an editor saves.
        if timeout_ms % 2 == 0 {
            fs::write(&file, text).unwrap();
        } else {
            fs::write(&saved, text).unwrap();
            fs::rename(&saved, &file).unwrap();
        }
        delays.push(files.wait("a", timeout_ms).await);
    }
    assert_prompt(&delays);
}

/// What the kubelet does: files are links through `..data`, which it replaces by another link.
#[tokio::test]
async fn a_config_map_is_followed_to_its_next_version() {
    let mount = tempfile::tempdir().unwrap();
    let path = |name: &str| mount.path().join(name);
    let publish = |version: u64| {
        let folder = format!("..2026_{version}");
        fs::create_dir(path(&folder)).unwrap();
        fs::write(
            path(&folder).join("a.json"),
            extension("a", version).to_string(),
        )
        .unwrap();
        symlink(&folder, path("..data_tmp")).unwrap();
        fs::rename(path("..data_tmp"), path("..data")).unwrap();
        if version > 1 {
            fs::remove_dir_all(path(&format!("..2026_{}", version - 1))).unwrap();
        }
    };
    publish(1);
    symlink("..data/a.json", path("a.json")).unwrap();
    let files = Files::serve(mount.path()).await;
    files.wait("a", 1).await;
    let mut delays = Vec::new();
    for version in 2..=5 {
        publish(version);
        delays.push(files.wait("a", version).await);
    }
    assert_prompt(&delays);
    assert_eq!(files.stats().await["quarantined"], json!([]));
}

fn allow(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// CASES.md E1.
#[tokio::test]
async fn a_folder_that_cannot_be_read_costs_itself_only() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let put = |name: &str, id: &str, timeout_ms: u64| {
        fs::write(path(name), extension(id, timeout_ms).to_string()).unwrap();
    };
    allow(folder.path(), 0o755);
    for sub in ["lost+found", "team"] {
        fs::create_dir(path(sub)).unwrap();
    }
    put("a.json", "a", 1);
    put("team/b.json", "b", 1);
    put("secret.json", "c", 1);
    allow(&path("lost+found"), 0);
    allow(&path("secret.json"), 0);
    let files = Files::serve_by(Daemon::builder().unprivileged(), folder.path()).await;
    let stats = files.wait_origins(&["lost+found", "secret.json"]).await;
    for fault in stats["quarantined"].as_array().unwrap() {
        let reason = fault["reason"].as_str().unwrap();
        assert!(
            reason.starts_with("cannot be read: Permission denied"),
            "{reason}"
        );
    }
    files.wait("b", 1).await;

    // While it runs: what the folder held stays, and what is beside it follows.
    allow(&path("team"), 0);
    let stats = files
        .wait_origins(&["lost+found", "secret.json", "team"])
        .await;
    let reason = stats["quarantined"][2]["reason"].as_str().unwrap();
    assert!(
        reason.ends_with("its last good entries are still served"),
        "{reason}"
    );
    put("a.json", "a", 2);
    files.wait("a", 2).await;
    assert_eq!(files.lookup("b").await.ok()["timeout_ms"], 1);
    assert_eq!(files.stats().await["error_count"], 0);

    for found in ["lost+found", "secret.json", "team"] {
        allow(&path(found), 0o755);
    }
    files.wait_origins(&[]).await;
    files.wait("c", 1).await;

    // Only the top folder fails the source, and even then the data is kept.
    allow(folder.path(), 0);
    eventually("the load fails", DEADLINE, async || {
        files.stats().await["error_count"].as_u64() > Some(0)
    })
    .await;
    assert_eq!(files.lookup("b").await.ok()["timeout_ms"], 1);
    allow(folder.path(), 0o755);
    put("a.json", "a", 3);
    files.wait("a", 3).await;
}

/// CASES.md E2.
#[tokio::test]
async fn an_edit_behind_links_is_served_within_a_second() {
    let folder = tempfile::tempdir().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let target = elsewhere.path().join("target");
    let put = |timeout_ms| fs::write(&target, extension("a", timeout_ms).to_string()).unwrap();
    put(1);
    symlink(&target, elsewhere.path().join("link")).unwrap();
    symlink(elsewhere.path().join("link"), folder.path().join("a.json")).unwrap();
    let files = Files::serve(folder.path()).await;
    let mut delays = Vec::new();
    for timeout_ms in 2..=7 {
        put(timeout_ms);
        delays.push(files.wait("a", timeout_ms).await);
    }
    assert_prompt(&delays);
}

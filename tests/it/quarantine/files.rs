//! Files that are broken, repaired and replaced under the watch.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::{QUARANTINED, logged, origins};
use crate::harness::{Client, DEADLINE, Daemon, NatsServer, Reply, eventually};
use crate::rig::{metric, reason};

/// A daemon on a folder, and a client to ask it with.
struct Files {
    daemon: Daemon,
    client: Client,
    _nats: NatsServer,
}

impl Files {
    async fn serve(folder: &Path) -> Self {
        let nats = NatsServer::start().await;
        let daemon = Daemon::builder()
            .nats(&nats.url())
            .fixtures(folder)
            .spawn()
            .await;
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

    async fn stats(&self) -> Value {
        self.client
            .request("beamline.registry.stats", "")
            .await
            .ok()
    }

    /// Waits until `id` is served with `timeout_ms`; how long that took.
    async fn wait(&self, id: &str, timeout_ms: u64) -> Duration {
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

fn extension(id: &str, timeout_ms: u64) -> Value {
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

    // A file broken by an edit keeps what it held; a repaired one serves what it holds.
    put("a_good.json", "{\"id\": \"good\", \"ty".to_owned());
    let stats = files
        .wait_origins(&[
            "a_good.json",
            "b_broken.json",
            "c_list.json#2",
            "d_map.json#odd",
            "e_taken.json",
        ])
        .await;
    assert!(
        stats["quarantined"][0]["reason"]
            .as_str()
            .unwrap()
            .contains("still served"),
        "{stats}"
    );
    assert_eq!(files.lookup("good").await.ok()["timeout_ms"], 1);
    put("a_good.json", extension("good", 3).to_string());
    put("b_broken.json", extension("mended", 4).to_string());
    files.wait("good", 3).await;
    files.wait("mended", 4).await;

    // An id belongs to whoever claims it first; when that one goes, the other serves.
    fs::remove_file(folder.path().join("a_good.json")).unwrap();
    files.wait("good", 2).await;
    files
        .wait_origins(&["c_list.json#2", "d_map.json#odd"])
        .await;
    fs::remove_file(folder.path().join("e_taken.json")).unwrap();
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

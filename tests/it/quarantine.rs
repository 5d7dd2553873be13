//! Faulty input is set aside and named, in `stats`, in the log, by a metric and in the reason of a
//! 404, while everything else serves:
//!
//! - rows: of an extension, of its current version (nothing of it serves), of another version or of
//!   an instance (the rest of it serves); a repaired row serves again at once,
//! - files: one that is no JSON, an entry that breaks a rule, an id that is taken; a file that is
//!   broken by an edit keeps what it held,
//! - an edit is served within a second, also where Kubernetes turns a link to a new folder.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::harness::daemon::{field, message};
use crate::harness::{Client, DEADLINE, Daemon, NatsServer, eventually};
use crate::rig::{Rig, insert, metric, reason};
use crate::schema::{revision, run};

const QUARANTINED: &str = "extension_registry_quarantined";

/// The origins that `stats` names.
fn origins(stats: &Value) -> Vec<&str> {
    let faults = stats["quarantined"].as_array().unwrap();
    faults
        .iter()
        .map(|fault| fault["origin"].as_str().unwrap())
        .collect()
}

/// Waits for the log entry about `origin`, and returns the reason it gives.
async fn logged(daemon: &Daemon, origin: &str) -> String {
    daemon
        .wait_log(&format!("a word on {origin}"), |entry| {
            let about = message(entry)? == "set aside" && field(entry, "origin")? == origin;
            about.then(|| field(entry, "reason")?.as_str().map(str::to_owned))?
        })
        .await
}

#[tokio::test]
async fn faulty_rows_are_named_while_the_rest_serves() {
    let rig = Rig::start().await;
    let good = ["good", "bad_rules", "bad_current", "versioned", "instanced"].map(insert);
    run(
        &rig.sql,
        &format!(
            "{};
             INSERT INTO extensions (id, type, subject) VALUES
                ('bad_subject', 'pre', 'internal.secrets'), ('no id!', 'pre', 'beamline.ext.odd');
             UPDATE extensions SET routing_rules = '[1]' WHERE id = 'bad_rules';
             INSERT INTO extension_versions (id, version, subject, enabled) VALUES
                ('bad_current', 'v1', '$JS.API.x', true),
                ('versioned', 'v2', 'beamline.registry.lookup', true),
                ('versioned', 'v3', 'beamline.ext.versioned.v3', true);
             INSERT INTO extension_instances (extension_id, instance_id, subject) VALUES
                ('instanced', 'bad', 'beamline.ext.*'), ('instanced', 'good', 'beamline.ext.i')",
            good.join(";")
        ),
    )
    .await;
    let daemon = rig.daemon().spawn().await;
    daemon.wait_ready().await;

    let faulty = [
        "extension_instances/instanced/bad",
        "extension_versions/versioned/v2",
        "extensions/bad_current",
        "extensions/bad_rules",
        "extensions/bad_subject",
        "extensions/no id!",
    ];
    let stats = rig.stats().await;
    assert_eq!(origins(&stats), faulty);
    assert_eq!(stats["total_extensions"], 3);
    assert_eq!(metric(&daemon, QUARANTINED).await, Some(6.0));
    for fault in stats["quarantined"].as_array().unwrap() {
        let said = logged(&daemon, fault["origin"].as_str().unwrap()).await;
        assert_eq!(fault["reason"], said, "log and stats agree");
    }
    assert!(
        logged(&daemon, "extensions/bad_subject")
            .await
            .contains("subject")
    );
    assert!(
        logged(&daemon, "extensions/bad_rules")
            .await
            .contains("routing_rules")
    );
    for id in ["bad_subject", "bad_rules", "bad_current"] {
        assert_eq!(reason(&rig.lookup(id).await), "quarantined", "{id}");
        assert_eq!(
            reason(&rig.ask("get", &json!({"id": id})).await),
            "quarantined",
            "{id}"
        );
    }
    rig.lookup("good").await.ok();
    assert_eq!(rig.lookup("versioned").await.ok()["version"], "v3");
    let instances = rig.lookup("instanced").await.ok()["instances"].clone();
    assert_eq!(
        instances,
        json!([{"instance_id": "good", "subject": "beamline.ext.i", "weight": 100}])
    );

    // One by one, by plain SQL: repaired, or gone.
    for (repair, id, left) in [
        (
            "UPDATE extensions SET subject = 'beamline.ext.fine' WHERE id = 'bad_subject'",
            "bad_subject",
            5,
        ),
        (
            "UPDATE extensions SET routing_rules = '{}' WHERE id = 'bad_rules'",
            "bad_rules",
            4,
        ),
        (
            "DELETE FROM extension_versions WHERE id = 'bad_current'",
            "bad_current",
            3,
        ),
        (
            "UPDATE extension_versions SET subject = 'beamline.ext.v2' WHERE version = 'v2'",
            "versioned",
            2,
        ),
        (
            "DELETE FROM extension_instances WHERE instance_id = 'bad'",
            "instanced",
            1,
        ),
        ("DELETE FROM extensions WHERE id = 'no id!'", "good", 0),
    ] {
        run(&rig.sql, repair).await;
        rig.lookup_at(id, revision(&rig.sql).await).await.ok();
        let stats = rig.stats().await;
        assert_eq!(origins(&stats).len(), left, "{repair}: {stats}");
        assert_eq!(
            metric(&daemon, QUARANTINED).await,
            Some(left as f64),
            "{repair}"
        );
    }

    // And the other way: what goes bad stops serving, and says why.
    run(
        &rig.sql,
        "UPDATE extensions SET config = '[]' WHERE id = 'good'",
    )
    .await;
    assert_eq!(
        reason(&rig.lookup_at("good", revision(&rig.sql).await).await),
        "quarantined"
    );
    assert!(logged(&daemon, "extensions/good").await.contains("config"));
}

/// A daemon on a folder, and a client to ask it with.
struct Files {
    _daemon: Daemon,
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
            _daemon: daemon,
            client,
            _nats: nats,
        }
    }

    async fn lookup(&self, id: &str) -> crate::harness::Reply {
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
    assert_eq!(metric(&files._daemon, QUARANTINED).await, Some(4.0));
    for origin in faulty {
        logged(&files._daemon, origin).await;
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

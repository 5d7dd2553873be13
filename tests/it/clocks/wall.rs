use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::daemon::Builder;
use crate::harness::{Behaviour, DEADLINE, Extension, FaultProxy, Reply, eventually};
use crate::rig::{Rig, insert};
use crate::schema::value;
use crate::status_page::feed::Watcher;

/// Stands between a program and the system's wall clock: the first argument of every reading is
/// left alone but for the wall clock's, which is ahead by what a file says, in seconds.
const SHIM: &str = r#"
    #define _GNU_SOURCE
    #include <dlfcn.h>
    #include <fcntl.h>
    #include <stdlib.h>
    #include <time.h>
    #include <unistd.h>
    int clock_gettime(clockid_t id, struct timespec *time) {
        static int (*real)(clockid_t, struct timespec *);
        if (!real) real = (int (*)(clockid_t, struct timespec *)) dlsym(RTLD_NEXT, "clock_gettime");
        int result = real(id, time);
        const char *file = id == CLOCK_REALTIME ? getenv("WALL_AHEAD") : NULL;
        int open_file = file ? open(file, O_RDONLY) : -1;
        if (open_file >= 0) {
            char text[32] = {0};
            if (read(open_file, text, sizeof text - 1) > 0) time->tv_sec += atol(text);
            close(open_file);
        }
        return result;
    }
"#;

/// A wall clock that the test sets.
struct Wall {
    folder: TempDir,
    library: PathBuf,
}

impl Wall {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (source, library) = (folder.path().join("wall.c"), folder.path().join("wall.so"));
        std::fs::write(&source, SHIM).unwrap();
        let mut compiler = Command::new("cc");
        compiler
            .args(["-shared", "-fPIC", "-o"])
            .arg(&library)
            .arg(&source)
            .arg("-ldl");
        assert!(compiler.status().unwrap().success());
        let wall = Self { folder, library };
        wall.set(0);
        wall
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("ahead")
    }

    /// Sets it a number of seconds ahead of the real one, or behind.
    fn set(&self, ahead: i64) {
        let draft: &Path = &self.folder.path().join("draft");
        std::fs::write(draft, ahead.to_string()).unwrap();
        std::fs::rename(draft, self.file()).unwrap();
    }

    /// A daemon that reads this clock.
    fn read_by(&self, daemon: Builder) -> Builder {
        daemon
            .env("LD_PRELOAD", self.library.display())
            .env("WALL_AHEAD", self.file().display())
    }
}

/// How far a moment of a document is ahead of the real time, in seconds.
fn ahead(text: &Value) -> f64 {
    distance(humantime::parse_rfc3339(text.as_str().unwrap()).unwrap())
}

fn distance(moment: SystemTime) -> f64 {
    match moment.duration_since(SystemTime::now()) {
        Ok(ahead) => ahead.as_secs_f64(),
        Err(behind) => -behind.duration().as_secs_f64(),
    }
}

async fn health(rig: &Rig) -> Value {
    rig.ask("health", &json!({"id": "x"})).await.ok()["health"].clone()
}

async fn call(rig: &Rig) -> Reply {
    rig.ask("invoke", &json!({"id": "x", "payload": {}})).await
}

async fn wait_counts(rig: &Rig, wanted: &str) {
    let sql = "SELECT success_count || ' ' || failure_count FROM extension_health";
    eventually(wanted, DEADLINE, async || {
        value(&rig.sql, sql).await == wanted
    })
    .await;
}

/// CASES.md A6.
#[tokio::test]
async fn what_happened_is_dated_by_the_wall_clock_as_it_is_set_now() {
    let rig = Rig::start().await;
    rig.sql.batch_execute(&insert("x")).await.unwrap();
    rig.sql
        .batch_execute("UPDATE extensions SET retry = 0")
        .await
        .unwrap();
    let x = Extension::at(&rig.nats.url(), "beamline.ext.x", Behaviour::Echo).await;
    let wall = Wall::new();
    let daemon = rig
        .daemon()
        .setting("HEALTH_FLUSH_INTERVAL_SECONDS", "100ms");
    let daemon = daemon
        .setting("INSTANCE_ID", "pod-1")
        .setting("CIRCUIT_BREAKER_FAILURE_THRESHOLD", 2);
    let daemon = wall.read_by(daemon).spawn().await;
    daemon.wait_ready().await;
    call(&rig).await.ok();
    wait_counts(&rig, "1 0").await;
    let after = value(&rig.sql, "SELECT now()").await;
    assert!(ahead(&health(&rig).await["last_success"]) <= 0.0);

    x.behave(Behaviour::error(500));
    for (ahead_s, calls, counts) in [(-3600, 1, "1 1"), (3600, 2, "1 2")] {
        wall.set(ahead_s);
        call(&rig).await;
        wait_counts(&rig, counts).await;
        let health = health(&rig).await;
        for field in ["last_success", "last_failure"] {
            let off = ahead(&health[field]) - ahead_s as f64;
            assert!(
                (-30.0..0.5).contains(&off),
                "{calls}: {field} is {off} s ahead"
            );
        }
        let stats = rig.stats().await;
        for field in ["started_at", "last_reload"] {
            let off = ahead(&stats[field]) - ahead_s as f64;
            assert!((-60.0..0.5).contains(&off), "{field} is {off} s ahead");
        }
        let kept = format!(
            "SELECT last_success <= '{after}' AND last_failure >= '{after}'
            AND last_failure <= now() FROM extension_health"
        );
        assert_eq!(
            value(&rig.sql, &kept).await,
            "true",
            "failures are no successes"
        );
    }
    // The circuit has opened meanwhile, for as long as ever.
    let circuits = rig.ask("circuits", &json!({})).await.ok();
    let circuit = &circuits["circuits"][0];
    wall.set(0);
    let again = rig.ask("circuits", &json!({})).await.ok();
    assert_eq!(circuit["state"], "open");
    let (opened, retry) = (ahead(&circuit["opened_at"]), ahead(&circuit["retry_at"]));
    assert!((retry - opened - 60.0).abs() < 1.0, "{circuit}");
    assert!((3540.0..3601.0).contains(&opened), "{circuit}");
    let opened = ahead(&again["circuits"][0]["opened_at"]);
    assert!((-60.0..1.0).contains(&opened), "{again}");
    assert!(daemon.exit_code().is_none());
}

/// CASES.md A6.
#[tokio::test]
async fn an_outage_and_the_notes_of_the_page_are_dated_by_it_too() {
    let rig = Rig::start().await;
    let proxy = FaultProxy::start(rig.database.addr()).await;
    let wall = Wall::new();
    let daemon = rig.daemon_at(&rig.database.url_at(proxy.addr()));
    let daemon = daemon.setting("SYNC_INTERVAL_SECONDS", 1);
    let daemon = wall.read_by(daemon).spawn().await;
    daemon.wait_ready().await;
    proxy.cut().await;
    rig.wait_stats("/database/state", json!("away")).await;
    let (before, _) = Watcher::of(&daemon).await.snapshot().await;
    assert!(before["boot"].is_string(), "{before}");
    for ahead_s in [-3600, 3600] {
        wall.set(ahead_s);
        let stats = rig.stats().await;
        let off = ahead(&stats["database"]["since"]) - ahead_s as f64;
        assert!((-60.0..0.5).contains(&off), "`since` is {off} s ahead");
        let (hello, _) = Watcher::of(&daemon).await.snapshot().await;
        assert_eq!(hello["boot"], before["boot"], "it was not restarted");
        let notes = hello["notes"].as_array().unwrap();
        assert!(!notes.is_empty());
        for note in notes {
            let at = UNIX_EPOCH + Duration::from_millis(note["at"].as_u64().unwrap());
            let off = distance(at) - ahead_s as f64;
            assert!((-60.0..0.5).contains(&off), "{off} s ahead: {note}");
        }
    }
}

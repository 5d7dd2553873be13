//! What an operator asks in the first two minutes, as recorded in `docs/sessions/`: the commands are
//! run as they stand there, and answer the same but for times. `just docs` writes the pages.

use serde_json::json;
use tempfile::TempDir;

use super::said;
use crate::docs::{self, file, writes};
use crate::harness::daemon::Builder;
use crate::harness::{Answer, Behaviour, DEADLINE, Daemon, Extension, eventually};
use crate::rig::Rig;

/// A page in the making.
struct Session {
    rig: Rig,
    _daemon: Daemon,
    folder: TempDir,
    page: String,
}

impl Session {
    async fn start(title: &str) -> Self {
        let rig = Rig::start().await;
        let daemon = rig.daemon().setting("INSTANCE_ID", "pod-1").spawn().await;
        daemon.wait_ready().await;
        Self {
            rig,
            _daemon: daemon,
            folder: tempfile::tempdir().unwrap(),
            page: format!("# {title}\n"),
        }
    }

    fn text(&mut self, text: &str) {
        self.page += &format!("\n{text}\n");
    }

    /// Runs commands that belong together, each with what it prints.
    async fn block(&mut self, lines: &[&str]) -> String {
        let mut block = String::new();
        for line in lines {
            let out = said(&self.rig.nats.url(), line).await;
            block += &format!("$ beamline-registry {line}\n{}\n", out.trim_end());
        }
        self.page += &format!("\n```\n{block}```\n");
        block
    }

    /// The same with commands that work on the database, and a folder called `yesterday`.
    async fn at_database(&mut self, lines: &[&str]) -> String {
        let folder = self.folder.path().join("yesterday");
        let folder = folder.to_str().unwrap();
        let mut block = String::new();
        for line in lines {
            let builder = Daemon::builder().database(&self.rig.database.url());
            let arguments = line.split(' ').map(|argument| match argument {
                "yesterday" => folder,
                other => other,
            });
            let (code, out, err) = arguments.fold(builder, Builder::arg).run().await;
            assert_eq!(code, 0, "{line}: {out}{err}");
            let out = out.replace(folder, "yesterday");
            block += &format!("$ beamline-registry {line}\n{}\n", out.trim_end());
        }
        self.page += &format!("\n```\n{block}```\n");
        block
    }

    /// What is not shown: how it came to be so.
    async fn before(&self, lines: &[&str]) {
        for line in lines {
            said(&self.rig.nats.url(), line).await;
        }
    }

    async fn call(&self, tenant: &str) {
        let context = json!({"tenant_id": tenant});
        let body = json!({"id": "x", "payload": {}, "context": context});
        self.rig.ask("invoke", &body).await;
    }

    /// Compares the page with the one in `docs/sessions/`, or writes it.
    fn settle(self, name: &str) {
        let path = file(&format!("docs/sessions/{name}.md"));
        if writes() {
            std::fs::write(path, self.page).unwrap();
            docs::draw();
            return;
        }
        let recorded = std::fs::read_to_string(path).unwrap_or_default();
        assert_eq!(words(&recorded), words(&self.page), "just docs writes it");
    }
}

/// Waits until a sidecar follows its database: it is ready before that.
async fn listens(rig: &Rig, pod: &str) {
    eventually("the sidecar listens", DEADLINE, async || {
        let stats = rig.ask(&format!("local.{pod}.stats"), &json!({})).await;
        let state = stats.ok()["listener"]["state"].clone();
        if state == "listening" {
            Ok(())
        } else {
            Err(state)
        }
    })
    .await;
}

/// The words of a page, those that are times, ages or latencies left out. How wide a column is depends
/// on them.
fn words(page: &str) -> Vec<&str> {
    let fixed = |word: &&str| {
        let digits = word.trim_end_matches(['s', 'm', 'h', 'd', '%']);
        let number = digits.contains('.') || digits.len() + 1 == word.len();
        let is_latency = number && digits.parse::<f64>().is_ok() && !word.ends_with('%');
        // A call that was slow, unlike the code of an error.
        let is_slow = word.len() > 2 && word.parse::<u32>().is_ok() && *word != "503";
        let is_time = word.len() > 20 && word.ends_with('Z');
        let is_uuid = word.len() == 36 && word.matches('-').count() == 4;
        !is_latency && !is_slow && !is_time && !is_uuid
    };
    // How often data was read depends on when the listener came up; how long it took, on the host; who is
    // counted, on when each wrote its health first.
    let moves = [
        "sidecars",
        "load_count",
        "last_reload",
        "staleness_ms",
        "uptime_ms",
        "started_at",
    ];
    let lines = page.lines();
    let lines = lines.filter(|line| !moves.iter().any(|field| line.starts_with(field)));
    let words = lines.flat_map(|line| {
        let is_sidecar = line.starts_with("pod-");
        let words = line.split_whitespace();
        words.filter(move |word| !is_sidecar || word.parse::<u32>().is_err())
    });
    words.filter(fixed).collect()
}

#[tokio::test]
async fn an_extension_fails() {
    let mut session = Session::start("An extension fails").await;
    session
        .before(&[
            "create x type=pre subject=beamline.ext.x retry=0 owner=search --as alice",
            "put-version x v2 subject=beamline.ext.x.v2 rollout={\"by\":\"tenant_id\",\"percent\":100} --as bob",
        ])
        .await;
    let url = session.rig.nats.url();
    let error = Answer::new(r#"{"error":"model not loaded"}"#);
    let error = error.header("Nats-Service-Error-Code", "503");
    let _canary = Extension::at(&url, "beamline.ext.x.v2", Behaviour::from(error)).await;
    let _current = Extension::at(&url, "beamline.ext.x", Behaviour::Echo).await;
    for tenant in ["acme", "acme", "globex", "acme", "initech"] {
        session.call(tenant).await;
    }
    session.text("Since when, how, and for which tenant: `failing_since` of the version, and the last failures with what the extension said.");
    let health = session.block(&["health x"]).await;
    for told in ["model not loaded", "globex", "open", "failing_since"] {
        assert!(health.contains(told), "{told}: {health}");
    }
    session.text("Who changed it, and what.");
    let audit = session.block(&["audit x"]).await;
    assert!(
        audit.contains("bob") && audit.contains("versions.v2"),
        "{audit}"
    );
    session.settle("an-extension-fails");
}

#[tokio::test]
async fn a_rollout_and_back() {
    let mut session = Session::start("v2 to 10 %, to 100 %, and back").await;
    session
        .before(&[
            "create x type=pre subject=beamline.ext.x retry=0 --as alice",
            "put-version x v2 subject=beamline.ext.x.v2 enabled=false --as alice",
            "update-version x v2 enabled=true rollout={\"by\":\"tenant_id\",\"percent\":0} --as alice",
        ])
        .await;
    session.text("For a tenth of the tenants. With `halt`, the share is set to 0 automatically if the version fails more often than the current one.");
    session
        .block(&["rollout x v2 10 halt={\"min_requests\":50} --as alice"])
        .await;
    session.text("For all.");
    let all = session
        .block(&[
            "rollout x v2 100 --as alice",
            "lookup x --context tenant_id=acme",
        ])
        .await;
    assert!(all.contains("beamline.ext.x.v2"), "{all}");
    session.text("And back.");
    let back = session
        .block(&[
            "rollout x v2 0 --as alice",
            "lookup x --context tenant_id=acme",
        ])
        .await;
    assert!(!back.contains("beamline.ext.x.v2"), "{back}");
    session.settle("a-rollout-and-back");
}

#[tokio::test]
async fn a_tenant_gets_the_wrong_version() {
    let mut session = Session::start("A tenant gets the wrong version").await;
    session
        .before(&[
            "create x type=pre subject=beamline.ext.x --as alice",
            "put-version x v2 subject=beamline.ext.x.v2 routing_rules={\"tenant_id\":[\"acme\"]} --as bob",
        ])
        .await;
    session.text("`acme` is answered by `v2`: which rule chose it, and what it compared.");
    let why = session.block(&["explain x --context tenant_id=acme"]).await;
    assert!(why.contains("tenant_id") && why.contains("v2"), "{why}");
    session.text("Who set the rule, and when.");
    let who = session
        .block(&["audit x --action version_put --diff"])
        .await;
    assert!(who.contains("bob") && who.contains("acme"), "{who}");
    session.settle("a-tenant-gets-the-wrong-version");
}

#[tokio::test]
async fn everything_of_one_team() {
    let mut session = Session::start("Everything of one team, off and on").await;
    session
        .before(&[
            "create a type=pre subject=beamline.ext.a owner=search --as alice",
            "create b type=post subject=beamline.ext.b owner=search --as alice",
            "create c type=post subject=beamline.ext.c owner=billing --as alice",
        ])
        .await;
    session.text("Off: one command, one revision, one line in `watch` and on the page.");
    let off = session
        .block(&["disable --selector owner=search --as alice"])
        .await;
    session.text("And on again.");
    let on = session
        .block(&["enable --selector owner=search --as alice"])
        .await;
    for changed in [off, on] {
        assert!(changed.contains("changed    a, b\n"), "{changed}");
    }
    session.settle("everything-of-one-team");
}

#[tokio::test]
async fn what_changed_lately() {
    let mut session = Session::start("What changed in the last hour").await;
    session
        .before(&[
            "create x type=pre subject=beamline.ext.x --as alice",
            "update x timeout_ms=250 config={\"lang\":\"de\"} --as bob",
        ])
        .await;
    session.text("Everything, by everybody, newest first, with each value before and after.");
    let changed = session.block(&["audit --since 1h --diff"]).await;
    assert!(changed.contains("timeout_ms: 5000 -> 250"), "{changed}");
    session.settle("what-changed-lately");
}

#[tokio::test]
async fn restored_from_yesterday() {
    let mut session = Session::start("Restored from yesterday").await;
    session
        .before(&["create x type=pre subject=beamline.ext.x timeout_ms=800 --as alice"])
        .await;
    session.text("Yesterday, as every day:");
    session.at_database(&["export yesterday"]).await;
    session.before(&["update x timeout_ms=1 --as bob"]).await;
    session.text("Today, after a change that should not have been: look what would come back, and bring it back. Extensions that were made since stay.");
    let back = session
        .at_database(&[
            "import yesterday --overwrite --dry-run",
            "import yesterday --overwrite",
        ])
        .await;
    assert!(back.contains("x"), "{back}");
    session.rig.wait_timeout_ms("x", 800).await;
    session.settle("restored-from-yesterday");
}

#[tokio::test]
async fn one_sidecar_differs() {
    let mut session = Session::start("One sidecar differs").await;
    let mut others = Vec::new();
    for (name, retries) in [("pod-2", 10), ("pod-3", 3)] {
        let daemon = session.rig.daemon().setting("INSTANCE_ID", name);
        let daemon = daemon.setting("MAX_RETRIES", retries).spawn().await;
        daemon.wait_ready().await;
        others.push(daemon);
    }
    for pod in ["pod-1", "pod-2", "pod-3"] {
        listens(&session.rig, pod).await;
    }
    session.text("Which, by the fingerprint of its settings.");
    // A sidecar whose answer is half a second late is left out.
    let all = eventually("a row for each", DEADLINE, async || {
        let page = session.page.clone();
        let all = session.block(&["stats --all"]).await;
        if ["pod-1", "pod-2", "pod-3"]
            .iter()
            .all(|pod| all.contains(pod))
        {
            return Ok(all);
        }
        session.page = page;
        Err(all)
    })
    .await;
    assert!(all.contains("differs"), "{all}");
    session.text("In what: `settings.changed` names what differs from the defaults.");
    let one = session.block(&["stats --local pod-3"]).await;
    assert!(one.contains("MAX_RETRIES"), "{one}");
    session.settle("one-sidecar-differs");
}

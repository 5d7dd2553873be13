//! Whatever becomes of the log's reader costs lines and nothing else.

use std::time::Duration;

use async_nats::HeaderMap;
use serde_json::{Value, json};

use crate::harness::daemon::{Builder, message};
use crate::harness::{
    Behaviour, Client, DEADLINE, Daemon, Extension, Pipe, eventually, flood, http, ports,
};
use crate::site::{Site, extension, subject};

/// Where the script finds the file or pipe for standard error.
const LOG: &str = "LOG_GOES_TO";
const TO_PIPE: &str = r#"exec "$@" 2>"$LOG_GOES_TO""#;

/// A daemon whose log the harness does not see.
struct Unheard {
    daemon: Daemon,
    http: String,
}

impl Unheard {
    /// Started by `script`, and ready.
    async fn start(builder: Builder, script: &str) -> Self {
        let http = format!("127.0.0.1:{}", ports::free_port());
        let builder = builder.setting("HTTP_ADDR", &http).shell(script);
        let daemon = builder.spawn().await;
        let unheard = Self { daemon, http };
        eventually("it is ready", DEADLINE, async || {
            let reply = http::get(&unheard.http, "/readyz").await;
            let ready = reply.is_ok_and(|reply| reply.status == 200);
            assert_eq!(unheard.daemon.exit_code(), None, "before it was ready");
            ready
        })
        .await;
        unheard
    }

    async fn metric(&self, name: &str) -> f64 {
        let page = http::get(&self.http, "/metrics").await.unwrap().body;
        let mut lines = page.lines();
        let value = lines.find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
        value.unwrap_or_else(|| panic!("no {name} in {page}"))
    }

    async fn dropped(&self) -> f64 {
        self.metric("extension_registry_log_lines_dropped_total")
            .await
    }

    async fn alive(&self) {
        for path in ["/livez", "/readyz"] {
            assert_eq!(http::get(&self.http, path).await.unwrap().status, 200);
        }
    }

    async fn leaves(&self) {
        self.daemon.sigterm();
        assert_eq!(self.daemon.wait_exit(DEADLINE).await, 0);
    }
}

fn fixtures(ids: &[&str]) -> Value {
    let record = |id: &&str| {
        let mut record = extension("pre", id);
        record["timeout_ms"] = json!(20_000);
        record["retry"] = json!(0);
        record
    };
    ids.iter().map(record).collect()
}

/// Waits until an edit of the fixtures is served.
async fn follows(site: &Site, id: &str) {
    site.write_fixtures(&fixtures(&["x", "broken", id]));
    eventually("an edit is served", DEADLINE, async || {
        let reply = site.send("lookup", id.to_owned()).await;
        let error = reply.header("Nats-Service-Error-Code").is_some();
        if error { Err(reply) } else { Ok(()) }
    })
    .await;
}

async fn played(site: &Site) -> Extension {
    Extension::at(&site.nats.url(), "beamline.ext.x.v1", Behaviour::Echo).await
}

/// CASES.md A2.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_nobody_reads_costs_lines_and_the_number_is_told_later() {
    let mut site = Site::with(&fixtures(&["x", "broken"])).await;
    let pipe = Pipe::new();
    let mut reader = pipe.open();
    pipe.fill();
    let builder = site.daemon().env(LOG, pipe.path().display());
    let builder = builder.setting("SHUTDOWN_GRACE_SECONDS", 1);
    let daemon = Unheard::start(builder, TO_PIPE).await;
    let x = played(&site).await;

    let (url, none) = (site.nats.url(), HeaderMap::new);
    let lookup = subject("lookup");
    let fine = |_: usize, reply: crate::harness::Reply| drop(reply.ok());
    flood(&url, &lookup, (10_000, 256), |_| (none(), "x".into()), fine).await;
    let call = json!({"id": "x", "payload": {}}).to_string();
    let request = |_: usize| (none(), call.clone().into());
    flood(&url, &subject("invoke"), (1000, 64), request, fine).await;

    for _ in 0..5 {
        let broken = json!({"id": "broken", "payload": {}});
        site.ask("invoke", &broken).await;
    }
    let circuit = site.send("circuits", "").await.ok()["circuits"].clone();
    let open = circuit.as_array().unwrap().iter();
    let mut open = open.filter(|circuit| circuit["state"] == "open");
    assert_eq!(open.next().expect("an open circuit")["id"], "broken");
    follows(&site, "edited").await;

    // More lines than may wait: each of these moves a circuit.
    let forced = |n: usize| {
        let action = if n.is_multiple_of(2) { "open" } else { "close" };
        let order = json!({"id": "x", "action": action});
        (none(), order.to_string().into())
    };
    flood(&url, &subject("circuit"), (6000, 16), forced, fine).await;
    eventually("lines are lost, and counted", DEADLINE, async || {
        daemon.dropped().await > 0.0
    })
    .await;

    drop(x);
    site.nats.stop().await;
    eventually("it notices", DEADLINE, async || {
        daemon.metric("extension_registry_nats_up").await == 0.0
    })
    .await;
    daemon.alive().await;
    site.nats.start_again().await;
    let client = Client::connect(&site.nats.url()).await;
    eventually("it answers after a restart of NATS", DEADLINE, async || {
        let patience = Duration::from_millis(500);
        let reply = client.try_request(&lookup, "edited", patience).await;
        reply.is_some_and(|reply| !reply.is_no_responders())
    })
    .await;
    daemon.alive().await;

    // Lines may be lost again while the first ones are read: then there is more than one gap.
    eventually("the number of lost lines", DEADLINE, async || {
        let lines = reader.lines();
        let parsed = lines.iter().filter(|line| !line.is_empty());
        let parsed = parsed.map(|line| serde_json::from_str::<Value>(line).expect(line));
        let told = parsed.filter_map(|line| {
            let told = message(&line)?.contains("log lines dropped");
            told.then(|| line["lines"].as_f64())?
        });
        let (told, dropped) = (told.sum::<f64>(), daemon.dropped().await);
        if told == dropped {
            Ok(())
        } else {
            Err((told, dropped))
        }
    })
    .await;
    daemon.leaves().await;
    let lines = reader.lines();
    let last: Value = serde_json::from_str(lines.last().unwrap()).unwrap();
    assert_eq!(
        message(&last),
        Some("stopped"),
        "nothing is lost at the end"
    );
}

/// CASES.md A2.
#[tokio::test]
async fn signals_are_heeded_while_nobody_reads_the_log() {
    for twice in [false, true] {
        let site = Site::with(&fixtures(&["x"])).await;
        let pipe = Pipe::new();
        let _reader = pipe.open();
        pipe.fill();
        let builder = site.daemon().env(LOG, pipe.path().display());
        let builder = builder.setting("SHUTDOWN_GRACE_SECONDS", 60);
        let daemon = Unheard::start(builder, TO_PIPE).await;
        if !twice {
            daemon.leaves().await;
            continue;
        }
        let silent = Behaviour::silent();
        let x = Extension::at(&site.nats.url(), "beamline.ext.x.v1", silent).await;
        let subject = subject("invoke");
        let body = json!({"id": "x", "payload": {}}).to_string();
        let call = site.client.try_request(&subject, body, DEADLINE);
        let ends = async {
            x.wait_count(1).await;
            daemon.daemon.sigterm();
            eventually("it drains", DEADLINE, async || {
                http::get(&daemon.http, "/readyz").await.unwrap().status == 503
            })
            .await;
            daemon.daemon.sigterm();
            daemon.daemon.wait_exit(DEADLINE).await
        };
        let code = tokio::select! {
            code = ends => code,
            // Nobody answers it any more.
            _ = async { call.await; std::future::pending::<()>().await } => unreachable!(),
        };
        assert_eq!(code, 1, "not in good order");
    }
}

/// CASES.md A1.
#[tokio::test]
async fn a_reader_that_leaves_is_not_missed_and_the_next_one_is_told() {
    let site = Site::with(&fixtures(&["x"])).await;
    let pipe = Pipe::new();
    let mut reader = pipe.open();
    let builder = site.daemon().env(LOG, pipe.path().display());
    let daemon = Unheard::start(builder, TO_PIPE).await;
    eventually("a first line", DEADLINE, async || {
        !reader.lines().is_empty()
    })
    .await;
    drop(reader);
    follows(&site, "edited").await;
    eventually("a lost line is counted", DEADLINE, async || {
        daemon.dropped().await > 0.0
    })
    .await;
    daemon.alive().await;

    let mut reader = pipe.open();
    follows(&site, "again").await;
    let told = eventually("the number of lost lines", DEADLINE, async || {
        let lines = reader.lines();
        let mut parsed = lines
            .iter()
            .filter_map(|line| serde_json::from_str(line).ok());
        parsed.find_map(|line: Value| line.get("lines")?.as_f64())
    })
    .await;
    assert!(told > 0.0 && told <= daemon.dropped().await);
    drop(reader);
    daemon.leaves().await;
}

/// CASES.md A1: what else standard error may be.
#[tokio::test]
async fn a_log_that_cannot_be_written_ends_nothing() {
    for script in [
        r#"exec "$@" 2>&-"#,
        r#"exec "$@" >&- 2>&-"#,
        r#"exec "$@" 2>/dev/full"#,
        // A file that must not grow: a signal whose default is the end.
        r#"ulimit -f 1; exec "$@" 2>"$LOG_GOES_TO""#,
    ] {
        let site = Site::with(&fixtures(&["x"])).await;
        let log = tempfile::NamedTempFile::new().unwrap();
        let builder = site.daemon().env(LOG, log.path().display());
        let daemon = Unheard::start(builder.setting("LOG", "debug"), script).await;
        for id in ["one", "two", "three"] {
            follows(&site, id).await;
        }
        daemon.alive().await;
        daemon.leaves().await;
    }
}

//! The command line and the log:
//!
//! - all faults of the configuration are listed at once, exit code 64,
//! - `check` shows what holds and where it comes from, without secrets, and reaches the servers,
//! - `probe` asks the local daemon, `demo --once` leaves with 0,
//! - the log is one JSON object per line and holds neither secrets nor payloads.

use serde_json::Value;

use crate::harness::daemon::Builder;
use crate::harness::servers::{self, Mode};
use crate::harness::{DEADLINE, Daemon, NatsServer, eventually};
use crate::schema::migrated;
use crate::site::{Site, extensions};

const SECRET: &str = "hunter2-must-not-be-seen";

#[tokio::test]
async fn all_faults_are_listed_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("faulty.toml");
    std::fs::write(&file, "sync_interval_seconds = 'soon'\nno_such_key = 1\n").unwrap();
    let faulty = Daemon::builder()
        .arg("--config")
        .arg(file.display())
        .arg("--max-retries")
        .arg("many")
        .setting("SOURCE", "postgres")
        .setting("NATS_URL", "http://somewhere")
        .setting("DB_URL", format!("mysql://u:{SECRET}@host/db"))
        .setting("HTTP_ADDR", "localhost")
        .setting("REPLY_PREFIXES", "$JS.");
    for command in [None, Some("serve"), Some("check"), Some("migrate")] {
        let builder = command
            .into_iter()
            .fold(faulty.clone(), |builder, name| builder.arg(name));
        let (code, out, errors) = builder.run().await;
        assert_eq!((code, out.as_str()), (64, ""), "{errors}");
        let lines: Vec<&str> = errors.lines().collect();
        assert_eq!(lines.len(), 8, "one line per fault: {errors}");
        for name in [
            "faulty.toml:sync_interval_seconds",
            "faulty.toml:no_such_key",
            "--max-retries",
            "EXTENSION_REGISTRY_SOURCE",
            "EXTENSION_REGISTRY_NATS_URL",
            "EXTENSION_REGISTRY_DB_URL",
            "EXTENSION_REGISTRY_HTTP_ADDR",
            "EXTENSION_REGISTRY_REPLY_PREFIXES",
        ] {
            let named = lines.iter().filter(|line| line.contains(name)).count();
            assert_eq!(named, 1, "{name}: {errors}");
        }
        assert!(!errors.contains(SECRET), "{errors}");
    }
}

#[tokio::test]
async fn bad_usage_is_64_and_help_is_not() {
    for (arguments, code) in [
        ("--no-such-flag", 64),
        ("serve --no-such-flag", 64),
        ("no-such-command", 64),
        ("probe", 64),
        ("probe unwell", 64),
        ("migrate --check --seed", 64),
        ("--nats-url", 64),
        ("--help", 0),
        ("check --help", 0),
        ("--version", 0),
    ] {
        let builder = Daemon::builder();
        let builder = arguments
            .split(' ')
            .fold(builder, |builder, text| builder.arg(text));
        let (said, out, errors) = builder.run().await;
        assert_eq!(said, code, "{arguments}: {out}{errors}");
        assert_eq!(
            out.is_empty(),
            code != 0,
            "help to standard output: {arguments}"
        );
        assert_eq!(
            errors.is_empty(),
            code == 0,
            "faults to standard error: {arguments}"
        );
    }
    let (_, out, _) = Daemon::builder().arg("--version").run().await;
    assert_eq!(
        out.trim(),
        concat!("beamline-registry ", env!("CARGO_PKG_VERSION"))
    );
}

#[tokio::test]
async fn an_unknown_environment_name_is_a_warning() {
    let site = Site::with(&extensions()).await;
    let daemon = site
        .start(site.daemon().setting("SERVICE_PORT", "tcp://10.0.0.1:80"))
        .await;
    let said = daemon
        .wait_log("the warning", |entry| {
            let text = entry["message"].as_str()?;
            text.contains("EXTENSION_REGISTRY_SERVICE_PORT")
                .then(|| (text.to_owned(), entry["level"].clone()))
        })
        .await;
    assert_eq!(said.1, "WARN", "{said:?}");
    assert!(said.0.contains("nearest"), "{said:?}");
}

/// Contract 2. `serve` logs it, `check` has a line for it, these print it.
#[tokio::test]
async fn an_unknown_environment_name_is_a_warning_of_every_command_that_changes_something() {
    let folder = tempfile::tempdir().unwrap();
    for command in ["migrate", "import", "export"] {
        let builder = Daemon::builder().setting("DB_USERNAME", "x").arg(command);
        let folder = (command != "migrate").then(|| folder.path().display());
        let builder = folder.into_iter().fold(builder, Builder::arg);
        let (code, _, errors) = builder.run().await;
        assert_eq!(code, 64, "no database is configured: {errors}");
        let warning = "warning: EXTENSION_REGISTRY_DB_USERNAME is not known and ignored; the nearest \
                       name is EXTENSION_REGISTRY_DB_";
        assert!(errors.starts_with(warning), "{command}: {errors}");
    }
}

#[tokio::test]
async fn check_shows_what_holds_and_whence() {
    let nats = NatsServer::builder()
        .config(&format!(
            "authorization {{ user: router, password: \"{SECRET}\" }}"
        ))
        .start()
        .await;
    let (database, _sql) = migrated().await;
    let folder = tempfile::tempdir().unwrap();
    let (file, secret) = (
        folder.path().join("some.toml"),
        folder.path().join("secret"),
    );
    std::fs::write(&file, "max_retries = 7\nqueue_group = 'from-file'\n").unwrap();
    std::fs::write(&secret, format!("{SECRET}\n")).unwrap();
    let builder = Daemon::builder()
        .arg("check")
        .arg("--settings")
        .arg("--config")
        .arg(file.display())
        .arg("--sync-interval-seconds=1m 30s")
        .setting("QUEUE_GROUP", "from-environment")
        .setting("NATS_USER", "router")
        .setting("NATS_PASSWORD_FILE", secret.display())
        .fixtures(folder.path())
        .database(&database.url())
        .nats(&nats.url());
    let (code, out, errors) = builder.clone().run().await;
    assert_eq!(code, 0, "{out}{errors}");
    for (name, value, origin) in [
        (
            "MAX_RETRIES",
            "7",
            format!("file {}:max_retries", file.display()),
        ),
        (
            "QUEUE_GROUP",
            "from-environment",
            "environment EXTENSION_REGISTRY_QUEUE_GROUP".to_owned(),
        ),
        (
            "SYNC_INTERVAL_SECONDS",
            "1m 30s",
            "flag --sync-interval-seconds".to_owned(),
        ),
        ("SUBJECT_PREFIX", "beamline.registry", "default".to_owned()),
    ] {
        let mut lines = out.lines().map(str::trim);
        let name = format!("EXTENSION_REGISTRY_{name}");
        let line = lines.find(|line| line.split_whitespace().next() == Some(&name));
        let line = line.unwrap_or_else(|| panic!("no {name}: {out}"));
        assert!(line.contains(value) && line.ends_with(&origin), "{line}");
    }
    assert!(
        !out.contains(SECRET) && !out.contains("postgres:postgres"),
        "{out}"
    );
}

#[tokio::test]
async fn no_setting_reaches_the_terminal_as_a_command() {
    let odd = Daemon::builder().setting("ENVIRONMENT", "a\u{9b}2Jb\u{1b}[2J");
    let (code, out, errors) = odd.arg("check").arg("--settings").run().await;
    assert_eq!(code, 0, "{errors}");
    assert!(!out.contains(['\u{9b}', '\u{1b}']), "{out}");
    assert!(out.contains(r"a\u{9b}2Jb\u{1b}[2J"), "{out}");
    let odd = Daemon::builder().arg("--config").arg("a\u{1b}[2J");
    let (code, _, errors) = odd.arg("check").run().await;
    assert_eq!(code, 64, "{errors}");
    assert!(!errors.contains('\u{1b}'), "{errors}");
}

#[tokio::test]
async fn probes_ask_the_local_daemon() {
    let mut site = Site::with(&extensions()).await;
    site.nats.stop().await;
    let daemon = site.daemon().spawn().await;
    let addr = daemon.http_addr().await;
    let probe = |which: &'static str| {
        let builder = Daemon::builder().arg("probe").arg(which);
        builder.setting("HTTP_ADDR", &addr).run()
    };
    // A daemon that takes 2 s is not well.
    let alive = async || probe("live").await.0 == 0;
    eventually("it is alive", DEADLINE, alive).await;
    let (code, _, errors) = probe("ready").await;
    assert_eq!(code, 1);
    assert!(errors.contains("nats"), "says what is missing: {errors}");
    site.nats.start_again().await;
    daemon.wait_ready().await;
    let ready = async || probe("ready").await.0 == 0;
    eventually("it is ready", DEADLINE, ready).await;
    daemon.sigterm();
    assert_eq!(daemon.wait_exit(DEADLINE).await, 0);
    for which in ["live", "ready"] {
        assert_eq!(probe(which).await.0, 1, "nobody is there");
    }
    let off = Daemon::builder()
        .arg("probe")
        .arg("live")
        .setting("HTTP_ADDR", "off");
    assert_eq!(off.run().await.0, 1);
}

/// The demo runs a nats-server of its own, so there has to be a program: not with containers.
#[tokio::test]
async fn the_demo_leaves_with_success() {
    if servers::mode() == Mode::Containers {
        return;
    }
    let server = servers::nats_server();
    let builder = Daemon::builder().env("PATH", server.parent().unwrap().display());
    let (code, out, errors) = builder.arg("demo").arg("--once").run().await;
    assert_eq!(code, 0, "{out}{errors}");
    let mut rest = out.as_str();
    for landmark in LANDMARKS {
        let found = rest.split_once(landmark);
        rest = found
            .unwrap_or_else(|| panic!("no {landmark} in its place: {out}{errors}"))
            .1;
    }
}

/// What the tour shows, in this order: each chapter with what only its success can print.
const LANDMARKS: &[&str] = &[
    "A private nats-server, five sample extensions and the registry are starting.",
    "event on beamline.registry.events.registry_reloaded",
    "asks who serves it",
    "beamline.registry.lookup normalize_text",
    r#""subject":"beamline.ext.pre.normalize_text.v1""#,
    "A whole policy in one round trip",
    r#""errors":[{"id":"no_such_extension""#,
    "An error has a stable code",
    "Nats-Service-Error-Code: 404",
    "An operator looks around",
    r#""total":4"#,
    r#""reason":"default""#,
    "A change needs no restart",
    "event on beamline.registry.events.registry_reloaded",
    "Tenant acme gets v2",
    r#""version":"v2""#,
    r#""version":"v1""#,
    "The registry calls an extension for a router",
    "Beamline-Extension-Id: normalize_text",
    "Beamline-Version: v1",
    r#""text":"hello there""#,
    "Tenant acme is answered by v2",
    "Beamline-Version: v2",
    r#""text":"Hello THERE""#,
    "A validator accepts or rejects",
    r#"{"status":"ok"}"#,
    r#""status":"reject""#,
    "A post extension rewrites a reply",
    "Write to *** or call ***.",
    "A provider answers by itself",
    "You said: What is NATS?",
    "An answer in pieces",
    "-H Beamline-Accept:stream",
    "Beamline-Seq: 1",
    "Beamline-Stream: chunk",
    "Beamline-Seq: 2",
    "Beamline-Stream: chunk",
    "Beamline-Stream: end",
    "What would be sent?",
    r#""dry_run":true"#,
    r#""body":{"trace_id":"t-1","tenant_id":"acme""#,
    "pii_guard breaks",
    "Nats-Service-Error-Code: 504",
    "extension_timeout",
    "Its circuit is open: calls fail at once",
    "Nats-Service-Error-Code: 503",
    r#""reason":"circuit_open","retry_after_ms":"#,
    "Everybody who looks it up can see it",
    r#""circuit_breaker_state":"open""#,
    "pii_guard is repaired",
    r#"{"status":"ok"}"#,
    "the circuit is closed",
    r#""circuit_breaker_state":"closed""#,
    "story_teller is busy",
    "Beamline-Fallback-From: story_teller",
    "You said: Now?",
    "Until then it rests",
    r#""resting":[{"instance_id":null,"until":"#,
    r#""circuit_breaker_state":"closed""#,
    "Beamline-Extension-Id: story_teller",
    "Once upon a time",
    "story_teller breaks in another way",
    "Beamline-Fallback-From: story_teller",
    "You said: Why?",
    "story_teller is repaired",
    "Beamline-Extension-Id: story_teller",
    "Once upon a time",
    "story_teller tells slowly",
    r#"{"cancelled":1}"#,
    "Nats-Service-Error: cancelled",
    "message on beamline.registry.cancelled.story_teller",
    "This sidecar at a glance",
    r#""total_extensions":7"#,
];

#[tokio::test]
async fn secrets_may_come_from_files() {
    let nats = NatsServer::builder()
        .config(&format!("authorization {{ token: \"{SECRET}\" }}"))
        .start();
    let (nats, (database, _sql)) = tokio::join!(nats, migrated());
    let folder = tempfile::tempdir().unwrap();
    let secret = |name: &str, text: &str| {
        let file = folder.path().join(name);
        std::fs::write(&file, format!("{text}\n")).unwrap();
        file.display().to_string()
    };
    let daemon = Daemon::builder()
        .nats(&nats.url())
        .setting("NATS_TOKEN_FILE", secret("token", SECRET))
        .setting("DB_URL_FILE", secret("url", &database.url()))
        .setting("SOURCE", "database")
        .spawn()
        .await;
    daemon.wait_ready().await;
    let both = Daemon::builder().setting("NATS_TOKEN", SECRET);
    let (code, _, errors) = both
        .setting("NATS_TOKEN_FILE", secret("token", SECRET))
        .run()
        .await;
    assert_eq!(code, 64);
    assert!(
        errors.contains("NATS_TOKEN_FILE") && !errors.contains(SECRET),
        "{errors}"
    );
}

#[tokio::test]
async fn the_log_is_json_without_secrets_and_payloads() {
    let nats = NatsServer::builder()
        .config(&format!("authorization {{ token: \"{SECRET}\" }}"))
        .start()
        .await;
    let (database, _sql) = migrated().await;
    let daemon = Daemon::builder()
        .nats(&nats.url())
        .setting("NATS_TOKEN", SECRET)
        .setting("LOG", "debug,beamline_registry=trace")
        .setting("SOURCE", "database")
        .database(&database.url())
        .spawn()
        .await;
    daemon.wait_ready().await;
    let options = async_nats::ConnectOptions::with_token(SECRET.to_owned());
    let client = options.connect(nats.url()).await.unwrap();
    let client = crate::harness::Client::over(client).await;
    let private = "a-tenant-nobody-should-read-of";
    for verb in ["lookup", "explain", "list", "reload"] {
        let body = serde_json::json!({"id": "plain", "context": {"tenant_id": private}});
        client
            .request_json(&crate::site::subject(verb), &body)
            .await;
    }
    daemon.sigterm();
    assert_eq!(daemon.wait_exit(DEADLINE).await, 0);
    let log = daemon.log();
    for line in log.iter().filter(|line| !line.starts_with("watchdog:")) {
        let entry: Value =
            serde_json::from_str(line).unwrap_or_else(|_| panic!("not JSON: {line}"));
        for field in ["timestamp", "level", "message", "target"] {
            assert!(entry[field].is_string(), "no {field}: {line}");
        }
        for secret in [SECRET, "postgres:postgres", private] {
            assert!(!line.contains(secret), "{line}");
        }
    }
}

/// At a terminal, as Python makes one.
#[tokio::test]
async fn no_color_holds_for_the_log_too() {
    let terminal = r#"exec python3 -c 'import pty, sys; pty.spawn(sys.argv[1:])' "$@""#;
    for (no_color, coloured) in [("", true), ("1", false)] {
        let builder = Daemon::builder().shell(terminal).env("NO_COLOR", no_color);
        let builder = builder.setting("LOG_FORMAT", "pretty");
        let daemon = builder.nats("nats://127.0.0.1:1").spawn().await;
        let starts = |line: &str| line.contains("starting").then(|| line.to_owned());
        let line = daemon.wait_line("its first line", starts).await;
        assert_eq!(line.contains('\u{1b}'), coloured, "{line}");
    }
}

#[tokio::test]
async fn http_can_be_off() {
    let site = Site::with(&extensions()).await;
    let daemon = site.daemon().setting("HTTP_ADDR", "off").spawn().await;
    eventually("it answers all the same", DEADLINE, async || {
        !site.send("ping", "").await.is_no_responders()
    })
    .await;
    daemon.sigterm();
    assert_eq!(daemon.wait_exit(DEADLINE).await, 0);
}

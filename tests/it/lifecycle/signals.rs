//! Which signals drain, and which do nothing. CASES.md A3.

use serde_json::{Value, json};

use crate::harness::daemon::message;
use crate::harness::{Answer, Behaviour, DEADLINE, Daemon, Extension};
use crate::site::{Site, extension};

/// A daemon with a call in flight, which the extension answers when it is told to.
struct InFlight {
    site: Site,
    daemon: Daemon,
    x: Extension,
}

impl InFlight {
    async fn start(script: Option<&str>) -> Self {
        let mut record = extension("pre", "x");
        record["timeout_ms"] = json!(20_000);
        let site = Site::with(&json!([record])).await;
        let mut builder = site.daemon().setting("SHUTDOWN_GRACE_SECONDS", 20);
        if let Some(script) = script {
            builder = builder.shell(script);
        }
        let daemon = site.start(builder).await;
        let held = Behaviour::Held(Answer::new("{}"));
        let x = Extension::at(&site.nats.url(), "beamline.ext.x.v1", held).await;
        Self { site, daemon, x }
    }

    /// Sends `signals` while the call is in flight; `drains` says what they are for. The call has to
    /// get its answer, and the daemon to end well.
    async fn survives(self, signals: &[&str], drains: bool) {
        let Self { site, daemon, x } = self;
        let ends = async {
            x.wait_count(1).await;
            for signal in signals {
                daemon.signal(signal);
            }
            if !drains {
                site.send("lookup", "x").await.ok();
                assert_eq!(daemon.get("/readyz").await.status, 200, "{signals:?}");
                daemon.sigterm();
            }
            let draining = |entry: &Value| (message(entry)? == "draining").then_some(());
            daemon.wait_log("that it drains", draining).await;
            x.behave(Behaviour::Echo);
        };
        let call = json!({"id": "x", "payload": {}});
        let (reply, ()) = tokio::join!(site.ask("invoke", &call), ends);
        reply.ok();
        assert_eq!(daemon.wait_exit(DEADLINE).await, 0, "{signals:?}");
    }
}

#[tokio::test]
async fn a_signal_that_asks_for_the_end_drains() {
    for signal in ["HUP", "QUIT", "INT", "TERM"] {
        if signal == "HUP" && hang_ups_are_ignored() {
            continue;
        }
        InFlight::start(None).await.survives(&[signal], true).await;
    }
}

/// Whether these tests were started by `nohup`: the daemon inherits it, and does not drain then.
fn hang_ups_are_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mut masks = status
        .lines()
        .filter_map(|line| line.strip_prefix("SigIgn:"));
    masks.any(|mask| u64::from_str_radix(mask.trim(), 16).is_ok_and(|mask| mask & 1 == 1))
}

#[tokio::test]
async fn a_signal_that_means_nothing_does_nothing() {
    let signals = [
        "USR1", "USR2", "ALRM", "VTALRM", "PROF", "IO", "PIPE", "USR1",
    ];
    InFlight::start(None).await.survives(&signals, false).await;
}

#[tokio::test]
async fn a_hang_up_that_was_ignored_at_the_start_stays_ignored() {
    let script = r#"trap '' HUP; exec "$@""#;
    let daemon = InFlight::start(Some(script)).await;
    daemon.survives(&["HUP", "HUP"], false).await;
}

//! Resident memory: idle after the start, and again after load.

use std::process::Command;
use std::time::Duration;

use super::load::{self, Check, Form, Job, Pace, Target};
use super::options::Options;
use super::records;
use super::report::{Asked, Report};
use super::stage::{PREFIX, Stage};
use crate::harness::Daemon;

/// Time without a request before idle memory is read.
const IDLE: Duration = Duration::from_secs(5);

/// Starts a daemon and looks at it.
pub(crate) async fn measure(stage: &Stage, options: &Options, report: &mut Report) {
    let daemon = stage.ready_daemon().await;
    tokio::time::sleep(IDLE).await;
    let what = format!("resident memory idle, {} extensions", records::CATALOG);
    report.line(what, Asked::AtMost(30.0), resident_mb(&daemon), "MB");

    let target = Target::Nats {
        url: stage.nats.url(),
        prefix: PREFIX.to_owned(),
        form: Form::Json,
        check: Check::Record,
    };
    let job = Job {
        target,
        pace: Pace::InFlight(256),
        warm_up: Duration::ZERO,
        duration: options.step,
        extensions: records::CATALOG,
    };
    load::run(&job)
        .await
        .assert_right(report, "lookups before memory is read");
    report.line(
        "resident memory after load",
        Asked::Nothing,
        resident_mb(&daemon),
        "MB",
    );
}

/// In millions of bytes, as `ps` knows it on Linux and macOS.
pub(crate) fn resident_mb(daemon: &Daemon) -> f64 {
    let pid = daemon.pid().to_string();
    let output = Command::new("ps")
        .args(["-o", "rss=", "-p", &pid])
        .output()
        .unwrap();
    let kib: f64 = String::from_utf8(output.stdout)
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    kib * 1024.0 / 1e6
}

//! The status page and the stream behind it.
//!
//! The tests in a browser need Chromium: `just browser-test` sees to it and runs them.

mod assets;
pub(crate) mod feed;
mod look;
mod many;
mod page;

use serde_json::{Value, json};

use crate::harness::{Behaviour, Browser, Daemon, Extension};
use crate::site::{Site, extension};

/// Opens the page of a daemon, and waits until it is complete.
pub(crate) async fn open(browser: &Browser, daemon: &Daemon) {
    let addr = daemon.http_addr().await;
    browser.open(&format!("http://{addr}/")).await;
    live(browser).await;
}

/// Waits until the page says that it is live.
async fn live(browser: &Browser) {
    let script = "return document.getElementById('link').textContent === 'live'";
    browser.wait("the page is live", script).await;
}

/// The ids of the rows that are shown, from top to bottom.
const SHOWN: &str =
    "return [...document.querySelectorAll('tbody .name')].map((name) => name.textContent)";

/// Extensions of each kind of name that has to be shown, the longest one included.
fn fixtures() -> Value {
    let steady = |kind, id| {
        let mut fields = extension(kind, id);
        fields["retry"] = json!(0);
        fields
    };
    let mut guarded = steady("validator", "guard");
    guarded["circuit_breaker"] = json!({"failure_threshold": 3, "timeout_seconds": 600});
    guarded["versions"] = json!([
        {"version": "v2", "subject": "beamline.ext.guard.v2",
         "rollout": {"by": "tenant_id", "percent": 10}},
    ]);
    guarded["instances"] = json!([
        {"instance_id": "blue", "subject": "beamline.ext.guard.v1", "weight": 70},
    ]);
    let mut off = steady("post", "off");
    off["enabled"] = json!(false);
    let longest = "x".repeat(128);
    json!([
        steady("pre", "normalize"),
        guarded,
        off,
        steady("provider", &longest),
        {"id": "faulty", "type": "pre", "subject": "elsewhere.not.allowed"},
    ])
}

/// A daemon that serves [`fixtures`], and `guard` as it behaves.
async fn served(behaviour: Behaviour) -> (Site, Daemon, Extension) {
    let (site, daemon) = Site::serving(&fixtures()).await;
    let guard = Extension::at(&site.nats.url(), "beamline.ext.guard.v1", behaviour).await;
    (site, daemon, guard)
}

/// Calls an extension so many times.
async fn call(site: &Site, id: &str, times: usize) {
    for _ in 0..times {
        site.ask(&format!("invoke.{id}"), &json!({"payload": {}}))
            .await;
    }
}

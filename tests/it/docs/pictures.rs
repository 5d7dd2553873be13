//! `docs/images/status-page*.png`: the page over five minutes of traffic in which something is wrong.

use std::time::Duration;

use serde_json::{Value, json};

use super::file;
use crate::harness::{Answer, Behaviour, Browser, Client, Extension};
use crate::site::{Site, subject};
use crate::status_page::open;

/// An extension as it is played: its type, its id, how long it takes, and out of how many calls one fails.
type Role = (&'static str, &'static str, u64, usize);

const ROLES: &[Role] = &[
    ("pre", "normalize_text", 4, 0),
    ("pre", "detect_language", 7, 90),
    ("validator", "pii_guard", 10, 0),
    ("validator", "toxicity_filter", 16, 14),
    ("post", "mask_pii", 6, 0),
    ("post", "translate_reply", 60, 0),
    ("provider", "small_model", 110, 0),
];

/// A canary, out of how many calls of which one fails.
const CANARY: (&str, u64, usize) = ("beamline.ext.support_rag.v2", 45, 2);

fn record(kind: &str, id: &str) -> Value {
    json!({"id": id, "type": kind, "subject": format!("beamline.ext.{id}.v1"), "retry": 0})
}

fn records() -> Value {
    let mut records: Vec<Value> = ROLES.iter().map(|role| record(role.0, role.1)).collect();
    let mut rag = record("provider", "support_rag");
    rag["owner"] = json!("support");
    rag["versions"] = json!([
        {"version": "v2", "subject": CANARY.0, "rollout": {"by": "user_id", "percent": 50}},
    ]);
    let mut large = record("provider", "large_model");
    large["fallback"] = json!(["small_model"]);
    let mut off = record("pre", "legacy_router");
    off["enabled"] = json!(false);
    records.extend([rag, large, record("provider", "crm_lookup"), off]);
    records.into()
}

/// Takes between a half and one and a half of `pause`, and fails now and then.
fn played(pause: u64, one_fails_of: usize) -> Behaviour {
    Behaviour::each(move |number, _| {
        let spread = u64::try_from(number * 37 % 101).unwrap();
        let taken = Duration::from_millis(pause / 2 + pause * spread / 100);
        let failed = one_fails_of > 0 && number % one_fails_of == one_fails_of - 1;
        let answer = if failed {
            Answer::new(r#"{"error":"model not loaded"}"#)
                .header("Nats-Service-Error-Code", "500")
                .header("Nats-Service-Error", "model not loaded")
        } else {
            Answer::new("{}")
        };
        Behaviour::Slow(taken, answer)
    })
}

/// Says that it is busy, for a minute.
fn busy() -> Behaviour {
    Answer::error(429).header("Retry-After", "60").into()
}

/// Calls an extension again and again, now more, now less often.
async fn calls(url: String, id: String, every: Duration) {
    let client = Client::connect(&url).await;
    for number in 0_u64.. {
        let context = json!({"user_id": format!("u-{number}"), "tenant_id": "acme"});
        let call = json!({"context": context, "payload": {}});
        client.request(&subject(&format!("lookup.{id}")), "").await;
        client
            .request_json(&subject(&format!("invoke.{id}")), &call)
            .await;
        tokio::time::sleep(every * u32::try_from(1 + number / 40 % 3).unwrap()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes five minutes and needs Chromium: just pictures"]
async fn the_status_page() {
    let site = Site::with(&records()).await;
    let url = site.nats.url();
    let mut stage = Vec::new();
    for (_, id, pause, fails) in ROLES {
        let behaviour = played(*pause, *fails);
        stage.push(Extension::at(&url, &format!("beamline.ext.{id}.v1"), behaviour).await);
    }
    let rag = "beamline.ext.support_rag.v1";
    stage.push(Extension::at(&url, rag, played(40, 0)).await);
    stage.push(Extension::at(&url, CANARY.0, played(CANARY.1, CANARY.2)).await);
    stage.push(Extension::at(&url, "beamline.ext.large_model.v1", busy()).await);
    let crm = Extension::at(&url, "beamline.ext.crm_lookup.v1", played(25, 0)).await;
    let daemon = site.start(site.named("router-7")).await;
    let _other = site.start(site.named("router-8")).await;

    let mut callers = tokio::task::JoinSet::new();
    let ids = ROLES.iter().map(|role| role.1);
    for (id, place) in ids
        .chain(["support_rag", "large_model", "crm_lookup"])
        .zip(1..)
    {
        let every = Duration::from_millis(40 + 30 * place);
        callers.spawn(calls(url.clone(), id.to_owned(), every));
    }
    let browser = Browser::start(1440, 900).await;
    open(&browser, &daemon).await;
    tokio::time::sleep(Duration::from_secs(170)).await;
    drop(crm);
    tokio::time::sleep(Duration::from_secs(130)).await;

    let page = format!("http://{}/", daemon.http_addr().await);
    let take = async |name: &str| {
        browser.picture(name).await;
        let made =
            std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("browser/{name}.png"));
        std::fs::copy(made, file(&format!("docs/images/{name}.png"))).unwrap();
    };
    take("status-page").await;
    browser.prefer("dark").await;
    browser.open(&format!("{page}#/support_rag")).await;
    browser
        .wait(
            "the details",
            "return document.querySelector('.record table')",
        )
        .await;
    take("status-page-dark").await;
    browser.prefer("light").await;
    browser.resize(390, 844).await;
    browser.open(&page).await;
    open(&browser, &daemon).await;
    take("status-page-phone").await;
}

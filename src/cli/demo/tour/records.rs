//! Lookups, listings, and a record that changes.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::visit::{Visit, field};

pub(super) async fn lookups(visit: &mut Visit) -> Result<(), String> {
    let screen = visit.screen;
    screen.chapter("A router knows an extension by its id and asks who serves it.");
    visit.show("lookup", "normalize_text").await?;
    screen.chapter("A whole policy in one round trip, all of one revision.");
    let policy = r#"{"ids":["normalize_text","pii_guard","no_such_extension"]}"#;
    visit.show("lookup", policy).await?;
    screen.chapter("An error has a stable code and says why.");
    visit.show("lookup", "no_such_extension").await
}

pub(super) async fn operators(visit: &mut Visit) -> Result<(), String> {
    visit
        .screen
        .chapter("An operator looks around: all providers, and why a lookup answers what it does.");
    visit.show("list", r#"{"type":"provider"}"#).await?;
    let why = r#"{"id":"pii_guard","context":{"tenant_id":"acme"}}"#;
    visit.show("explain", why).await
}

pub(super) async fn change(visit: &mut Visit, fixtures: &Path) -> Result<(), String> {
    let screen = visit.screen;
    screen.chapter("A change needs no restart: version v2 for one tenant, saved to the file.");
    let file = fixtures.join("normalize_text.json");
    let edited = with_canary(&fs::read_to_string(&file).map_err(|e| e.to_string())?)?;
    fs::write(&file, edited).map_err(|e| e.to_string())?;
    screen.command(
        "$EDITOR normalize_text.json   # adds versions: [v2, for tenant acme, keeps upper case]",
    );
    let acme = lookup_of("acme");
    let is_v2 = |reply: &_| field(reply, "/version").as_deref() == Some("v2");
    visit
        .until("the change was not served", "lookup", &acme, is_v2)
        .await?;
    visit.hear_that("registry_reloaded").await?;
    screen.chapter("Tenant acme gets v2, everybody else keeps v1.");
    visit.show("lookup", &acme).await?;
    visit.show("lookup", &lookup_of("globex")).await
}

pub(super) async fn glance(visit: &mut Visit) -> Result<(), String> {
    visit.screen.chapter("This sidecar at a glance.");
    visit.show("stats", "").await
}

fn lookup_of(tenant: &str) -> String {
    format!(r#"{{"id":"normalize_text","context":{{"tenant_id":"{tenant}"}}}}"#)
}

/// The fixture with a second version that only tenant `acme` gets.
fn with_canary(text: &str) -> Result<String, String> {
    let mut fixture: Value = serde_json::from_str(text).map_err(|e| e.to_string())?;
    let fields = fixture.as_object_mut().ok_or("the fixture is no object")?;
    fields.insert(
        "versions".to_owned(),
        json!([{
            "version": "v2",
            "subject": "beamline.ext.pre.normalize_text.v2",
            "routing_rules": {"tenant_id": ["acme"]},
            "config": {"lowercase": false, "trim_whitespace": true}
        }]),
    );
    serde_json::to_string_pretty(&fixture).map_err(|e| e.to_string())
}

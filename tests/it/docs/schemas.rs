//! `docs/schemas` and `docs/asyncapi.json`: written from the code, and what they say is true: a validator in another language
//! marks what the daemon refuses, and nothing of what it serves.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use beamline_registry::documents::event::KINDS;
use serde_json::{Value, json};

use super::volatile::MARK;
use super::{asyncapi, file, files, fixtures, settle};
use crate::api_tools::run;
use crate::events_seen::SAMPLES;
use crate::golden::FOLDER;
use crate::harness::{Client, Daemon, NatsServer};
use crate::http_admin::openapi::references;

/// The schema of a fixtures file, beside those of documents.
const FIXTURES: &str = "docs/schemas/fixtures.json";
const SCHEMAS: &str = "docs/schemas";

#[test]
fn the_schema_of_fixtures_is_that_of_the_code() {
    let schema = fixtures::schema();
    let text = serde_json::to_string_pretty(&schema).unwrap();
    settle(FIXTURES, &(text + "\n"));
}

/// Entries with one fault each: the field, and what stands there.
fn faulty() -> Vec<(&'static str, Value)> {
    let version = json!([{"version": "v2", "routing_rules": {"tenant_id": "acme"}}]);
    vec![
        ("subject", Value::Null),
        ("type", json!("filter")),
        ("timout_ms", json!(100)),
        ("timeout_ms", json!(0)),
        ("retry", json!("1")),
        ("subject", json!("beamline.ext.*")),
        ("rollout", json!({"by": "tenant_id", "percent": 120})),
        ("circuit_breaker", json!({"failure_treshold": 3})),
        ("routing_rules", json!({"tenant_id": {"is": "acme"}})),
        ("versions", version),
    ]
}

fn entry(n: usize) -> Value {
    json!({
        "id": format!("x{n}"), "type": "pre", "subject": format!("beamline.ext.x{n}"),
        "timeout_ms": 100.0, "retry": null, "config": {"any": [1, {"thing": null}]},
        "rollout": {}, "metadata": {"team": "z", "stream": {"gap_ms": 500}},
        "circuit_breaker": {"timeout_seconds": "1m 30s"},
        "versions": {"v2": {"subject": "beamline.ext.v2", "rollout": {"by": "user_id", "percent": 0.5}}},
        "instances": [{"instance_id": "a", "subject": "beamline.ext.a", "weight": 0}]
    })
}

#[tokio::test]
#[ignore = "installs its tools first; `just api-test`"]
async fn ten_faults_are_marked_and_what_serves_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let mut entries = Vec::new();
    for (n, (field, value)) in faulty().into_iter().enumerate() {
        let mut entry = entry(n);
        entry[field] = value;
        entries.push(entry);
    }
    assert_eq!(entries.len(), 10);
    entries.push(json!({"$schema": "../any.json", "id": "sound", "type": "post", "subject": "beamline.ext.sound"}));
    std::fs::write(
        folder.path().join("faulty.json"),
        Value::from(entries).to_string(),
    )
    .unwrap();
    let one = |n: usize| {
        let mut entry = entry(n);
        entry["circuit_breaker"]["slow_call_rate_threshold"] = json!("off");
        entry["circuit_breaker"]["slow_call_ms"] = json!("off");
        entry
    };
    let mut map = json!({"$schema": "any", "m1": one(101)});
    map["m1"].as_object_mut().unwrap().remove("id");
    let single =
        json!({"$schema": "any", "id": "alone", "type": "pre", "subject": "beamline.ext.alone"});
    for (name, sound) in [("map.json", map), ("single.json", single)] {
        std::fs::write(folder.path().join(name), sound.to_string()).unwrap();
    }

    // The daemon's word.
    let nats = NatsServer::start().await;
    let daemon = Daemon::builder()
        .nats(&nats.url())
        .fixtures(folder.path())
        .setting("SOURCE", "fixtures")
        .spawn()
        .await;
    daemon.wait_ready().await;
    let client = Client::connect(&nats.url()).await;
    let stats = client.request("beamline.registry.stats", "").await.ok();
    let refused: Vec<_> = stats["quarantined"].as_array().unwrap().iter().collect();
    assert_eq!(refused.len(), 10, "{refused:#?}");
    for id in ["sound", "m1", "alone"] {
        client.request("beamline.registry.lookup", id).await.ok();
    }

    // The validator's.
    let mut files = vec![folder.path().join("faulty.json")];
    let marks = marks(&file(FIXTURES), &files).await;
    let mut marked: Vec<usize> = marks
        .iter()
        .map(|mark| mark.split(['[', ']']).nth(1).unwrap().parse().unwrap())
        .collect();
    marked.dedup();
    assert_eq!(marked, Vec::from_iter(0..10), "{marks:#?}");

    files = ["map.json", "single.json"]
        .map(|name| folder.path().join(name))
        .into();
    for shipped in [
        "fixtures/extensions",
        "tests/golden/fixtures",
        "examples/fixtures",
        "src/cli/demo/fixtures",
    ] {
        let entries = std::fs::read_dir(file(shipped)).unwrap();
        files.extend(entries.map(|entry| entry.unwrap().path()));
    }
    assert!(files.len() > 9, "where are they? {files:?}");
    assert_eq!(self::marks(&file(FIXTURES), &files).await, [""; 0]);
}

/// What a validator marks in `files` by a schema: a line each, with its place.
async fn marks(schema: &Path, files: &[PathBuf]) -> Vec<String> {
    let script = file("tests/it/docs/marks.py");
    let mut arguments = vec![script.to_str().unwrap(), schema.to_str().unwrap()];
    arguments.extend(files.iter().map(|path| path.to_str().unwrap()));
    let (ran, said) = run(file("target").as_path(), &arguments).await;
    assert!(ran, "{said}");
    said.lines().map(str::to_owned).collect()
}

#[test]
fn each_document_has_its_schema() {
    let mut paths = vec![FIXTURES.to_owned()];
    for (name, schema) in &asyncapi::schemas() {
        let mut found = Vec::new();
        references(schema, &mut found);
        for reference in found {
            let pointer = reference.strip_prefix('#').unwrap();
            assert!(schema.pointer(pointer).is_some(), "{name}: {reference}");
        }
        assert_eq!(schema["$id"], format!("urn:beamline-registry:{name}"));
        let path = format!("{SCHEMAS}/{name}.json");
        settle(
            &path,
            &(serde_json::to_string_pretty(schema).unwrap() + "\n"),
        );
        paths.push(path);
    }
    paths.sort();
    assert_eq!(files(SCHEMAS, &["json"]), paths);
    let described = |name: &str| paths.contains(&format!("{SCHEMAS}/{name}.json"));
    for name in [
        "served_extension",
        "invoke_request",
        "stats",
        "error",
        "circuit_opened_event",
    ] {
        assert!(described(name), "{name}");
    }
}

#[tokio::test]
#[ignore = "installs its tools first; `just api-test`"]
async fn golden_replies_conform_to_their_schemas() {
    let folder = tempfile::tempdir().unwrap();
    for (schema, exchange) in [
        ("served_extension", "lookup"),
        ("served_extensions", "lookup_many"),
        ("call_rehearsal", "dry_run"),
        ("error", "lookup_unknown"),
    ] {
        let text = std::fs::read_to_string(file(FOLDER).join(format!("{exchange}.json")));
        let exchange: Value = serde_json::from_str(&text.unwrap()).unwrap();
        let reply = folder.path().join("reply.json");
        std::fs::write(&reply, exchange["reply"]["body"].to_string()).unwrap();
        let schema = file(&format!("{SCHEMAS}/{schema}.json"));
        let mut marks = marks(&schema, std::slice::from_ref(&reply)).await;
        // What differs from run to run.
        marks.retain(|mark| !mark.contains(MARK));
        assert_eq!(marks, [""; 0], "{}", schema.display());
        std::fs::write(&reply, "{}").unwrap();
        let marks = self::marks(&schema, std::slice::from_ref(&reply)).await;
        assert_ne!(marks, [""; 0], "{} takes anything", schema.display());
    }
}

/// What goes over NATS.
const ASYNCAPI: &str = "docs/asyncapi.json";

#[test]
fn asyncapi_is_that_of_the_code() {
    let document = asyncapi::document();
    let text = serde_json::to_string_pretty(&document).unwrap();
    settle(ASYNCAPI, &(text + "\n"));
    let kinds = asyncapi::KINDS.map(|kind| kind.name);
    let kinds = BTreeSet::from(kinds);
    assert_eq!(kinds, BTreeSet::from(KINDS));
    let mut found = Vec::new();
    references(&document, &mut found);
    for reference in &found {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
    for name in document["components"]["schemas"]
        .as_object()
        .unwrap()
        .keys()
    {
        let used = found.iter().any(|it| it.ends_with(&format!("/{name}")));
        assert!(used, "{name} is not used");
    }
}

#[tokio::test]
#[ignore = "installs its tools first; `just api-test`"]
async fn asyncapi_is_valid_and_true_of_every_example() {
    let specs = file("scripts/asyncapi");
    let mut install = std::process::Command::new(file("scripts/npm-tool"));
    assert!(
        install
            .arg("install")
            .arg(&specs)
            .status()
            .unwrap()
            .success()
    );
    let schema = specs.join("node_modules/@asyncapi/specs/schemas/3.0.0.json");
    let document = file(ASYNCAPI);
    assert_eq!(
        marks(&schema, std::slice::from_ref(&document)).await,
        [""; 0]
    );

    let mut arguments = vec![
        file("tests/it/docs/conforms.py"),
        document,
        file(FOLDER),
        SAMPLES.into(),
    ];
    let pages = std::fs::read_dir(file("docs")).unwrap();
    let pages = pages.map(|page| page.unwrap().path());
    arguments.extend(pages.filter(|page| page.extension().is_some_and(|kind| kind == "md")));
    let arguments: Vec<_> = arguments
        .iter()
        .map(|path| path.to_str().unwrap())
        .collect();
    let (ran, said) = run(&file("target"), &arguments).await;
    assert!(ran && said.is_empty(), "{said}");
}

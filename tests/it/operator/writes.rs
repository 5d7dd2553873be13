use serde_json::{Value, json};

use super::{row, run, said, with_input};
use crate::harness::Daemon;
use crate::rig::Rig;

async fn started() -> (Rig, Daemon, String) {
    let rig = Rig::start().await;
    let daemon = rig.daemon().spawn().await;
    daemon.wait_ready().await;
    let url = rig.nats.url();
    (rig, daemon, url)
}

#[tokio::test]
async fn every_write_works_and_is_audited() {
    let (rig, _daemon, url) = started().await;
    for (line, answer) in [
        (
            "create a type=pre subject=beamline.ext.a config={\"rate\":1.50}",
            "a: created, revision 1",
        ),
        (
            "update a timeout_ms=300 --if-revision 1",
            "a: updated, revision 2",
        ),
        (
            "put-version a v2 subject=beamline.ext.a.v2 routing_rules={\"tenant_id\":\"acme\"}",
            "a: version stored, revision 3",
        ),
        (
            "put-instance a blue subject=beamline.ext.a.blue weight=50",
            "a: instance stored, revision 4",
        ),
        ("delete-instance a blue", "a: instance deleted, revision 5"),
        ("promote a v2", "a: promoted, revision 6"),
        ("delete-version a v1", "a: version deleted, revision 7"),
        ("disable a", "a: disabled, revision 8"),
        ("enable a --as alice", "a: enabled, revision 9"),
    ] {
        assert_eq!(said(&url, line).await.trim(), answer, "{line}");
    }
    let record = rig.ask("get", &json!({"id": "a"})).await;
    let text = std::str::from_utf8(&record.payload).unwrap();
    assert!(text.contains(r#"{"rate":1.50}"#), "digits as typed: {text}");
    let circuit = said(&url, "circuit a open --ttl 10m --reason maintenance").await;
    assert_eq!(row(&circuit, "a")[1..3], ["v2", "open"]);
    assert!(
        circuit.contains(" in 10m") || circuit.contains(" in 9m"),
        "{circuit}"
    );
    assert_eq!(
        said(&url, "delete a").await.trim(),
        "a: deleted, revision 10"
    );

    let audit = said(&url, "audit a").await;
    let entries: Vec<&str> = audit.lines().skip(1).collect();
    assert_eq!(entries.len(), 11, "{audit}");
    let entry = |number: usize, parts: [&str; 3]| {
        let line = entries[number];
        assert!(
            parts.iter().all(|part| line.contains(part)),
            "{parts:?}: {line}"
        );
    };
    entry(1, ["circuit_override", "action open", "reason maintenance"]);
    entry(2, ["enabled", "alice (subject)", "enabled"]);
    entry(9, ["updated", "(header)", "timeout_ms"]);
    let limited = said(&url, "audit --limit 3").await;
    assert!(limited.contains("the first 3; there are more"), "{limited}");
}

#[tokio::test]
async fn of_several_ids_the_unknown_one_gets_the_one_that_was_meant() {
    let (_rig, _daemon, url) = started().await;
    for id in ["mask_pii", "pii_guard"] {
        said(
            &url,
            &format!("create {id} type=pre subject=beamline.ext.{id}"),
        )
        .await;
    }
    let ran = run(&url, "disable mask_pii pii_gard").await;
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("did you mean `pii_guard`?"), "{}", ran.err);
}

#[tokio::test]
async fn a_request_comes_from_a_file_or_standard_input_too() {
    let (rig, _daemon, url) = started().await;
    let body = json!({"type": "pre", "subject": "beamline.ext.a", "retry": 2}).to_string();
    let ran = with_input(&url, "create a retry=3 --body -", &body).await;
    assert_eq!(ran.code, 0, "{}", ran.err);
    let record: Value = rig.ask("get", &json!({"id": "a"})).await.ok();
    assert_eq!(
        record["retry"], 3,
        "the command line replaces what is in the body"
    );

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.json");
    std::fs::write(&file, r#"{"id":"a","retry":4}"#).unwrap();
    let line = |id: &str| format!("update {id} --body @{}", file.display());
    assert_eq!(run(&url, &line("a")).await.code, 0);
    let other = run(&url, &line("b")).await;
    assert_eq!(other.code, 64);
    assert!(other.err.contains("`id` differs"), "{}", other.err);
    for line in [
        "update b id=a retry=5",
        "put-version a v2 version=v3 subject=beamline.ext.a",
        "put-instance a blue instance_id=green subject=beamline.ext.a",
    ] {
        let other = run(&url, line).await;
        assert_eq!(other.code, 64, "{line}");
        assert!(other.err.contains("` differs"), "{line}: {}", other.err);
    }
    for line in [
        "update a id=a retry=5",
        r#"update a --body {"id":"\u0061","retry":6}"#,
    ] {
        assert_eq!(run(&url, line).await.code, 0, "the same: {line}");
    }
    for (line, input) in [
        ("create b --body {", ""),
        ("create b --body [1]", ""),
        ("update a --body {\"retry\":1,\"retry\":2}", ""),
        ("update a --body -", r#"{"retry":1,"\ud800":2}"#),
        ("create b --body @/no/such/file", ""),
        ("create b --body -", "no json"),
        ("create b subject", ""),
    ] {
        assert_eq!(with_input(&url, line, input).await.code, 64, "{line}");
    }
}

#[tokio::test]
async fn what_is_refused_is_told_in_full() {
    let (_rig, _daemon, url) = started().await;
    said(&url, "create a type=pre subject=beamline.ext.a").await;
    for (line, told) in [
        (
            "create a type=pre subject=beamline.ext.b",
            "the id is taken [already_exists]",
        ),
        ("update a retry=2 --if-revision 7", "[conflict, revision 1]"),
        ("promote a v9", "[version_not_found"),
        ("delete nobody", "[extension_not_found, reason unknown]"),
    ] {
        let ran = run(&url, line).await;
        assert_eq!((ran.code, ran.out.as_str()), (1, ""), "{line}");
        assert!(
            ran.err.starts_with("error: ") && ran.err.contains(told),
            "{}",
            ran.err
        );
    }
    let ran = run(&url, "create b type=first subject=elsewhere timeout_ms=-1").await;
    assert_eq!(ran.code, 1);
    let faults: Vec<&str> = ran.err.lines().skip(1).collect();
    assert_eq!(faults.len(), 3, "{}", ran.err);
    assert!(
        faults.iter().any(|fault| fault.ends_with(", not -1")),
        "{}",
        ran.err
    );
}

#[tokio::test]
async fn nothing_in_a_record_reaches_the_terminal_as_a_command() {
    let (_rig, _daemon, url) = started().await;
    let body = r#"{"type":"pre","subject":"beamline.ext.a","config":{"k":"a\u009b2Jb\u001b[2J"}}"#;
    assert_eq!(with_input(&url, "create a --body -", body).await.code, 0);
    let record = said(&url, "get a").await;
    assert!(!record.contains('\u{9b}'), "{record}");
    assert!(record.contains(r"\u{9b}2Jb"), "{record}");
}

#[tokio::test]
async fn a_number_beyond_every_float_hides_nothing() {
    let (_rig, _daemon, url) = started().await;
    for id in ["a", "b"] {
        let config = r#"{"big":1e400,"n":1.50}"#;
        let body = format!(r#"{{"type":"pre","subject":"beamline.ext.{id}","config":{config}}}"#);
        let ran = with_input(&url, &format!("create {id} --body -"), &body).await;
        assert_eq!(ran.code, 0, "{}", ran.err);
    }
    let digits = "0".repeat(400);
    for line in ["get a", "lookup a", "lookup a b", "list", "audit"] {
        let table = said(&url, line).await;
        assert!(table.contains("a "), "{line}: {table}");
        let raw = said(&url, &format!("{line} --json")).await;
        assert!(raw.contains(&digits) || line == "list", "{line}: {raw}");
    }
    let record = said(&url, "get a").await;
    assert!(
        record.contains(&digits) && record.contains("1.50"),
        "{record}"
    );
    let told = said(&url, "invoke a --dry-run").await;
    assert!(told.starts_with("a: v1 serves at beamline.ext.a"), "{told}");
    assert!(told.contains(&digits), "{told}");
}

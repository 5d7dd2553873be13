use serde_json::{Value, json};

use super::{row, run, said};
use crate::harness::{Answer, Daemon, Extension};
use crate::site::{Site, extension, extensions};

#[tokio::test]
async fn every_read_is_a_table() {
    let (site, _daemon) = Site::served().await;
    let url = site.nats.url();
    let list = said(&url, "list").await;
    let plain = row(&list, "plain");
    let expected = [
        "plain",
        "pre",
        "v1",
        "yes",
        "no_data",
        "closed",
        "beamline.ext.plain.v1",
        "100",
        "0",
    ];
    assert_eq!(plain, expected);
    assert_eq!(row(&list, "off")[3], "no", "also those that are disabled");
    assert_eq!(list.lines().count(), 5, "{list}");
    assert!(!said(&url, "list --enabled true").await.contains("\noff"));
    assert_eq!(said(&url, "list --type post").await.lines().count(), 2);

    let get = said(&url, "get routed").await;
    assert_eq!(row(&get, "timeout_ms"), ["timeout_ms", "200"]);
    assert!(row(&get, "v5").contains(&"no"), "{get}");
    assert_eq!(row(&get, "green")[3], "70");

    let lookup = said(&url, "lookup routed --context environment=staging").await;
    assert_eq!(row(&lookup, "version")[1], "v2");
    let many = run(&url, "lookup plain off").await;
    assert_eq!(many.code, 1, "one of them is not found");
    assert_eq!(row(&many.out, "plain")[2], "v1");
    assert!(
        many.err.contains("extension `off` is disabled"),
        "{}",
        many.err
    );

    let explain = said(&url, "explain routed --context tenant_id=acme").await;
    assert!(explain.starts_with("routed: v1 serves at "), "{explain}");
    assert_eq!(row(&explain, "v1")[1], "chosen");
    assert_eq!(row(&explain, "v2")[1], "out");

    assert_eq!(said(&url, "circuits").await.trim(), "no circuits");
    assert_eq!(
        said(&url, "report plain failure --latency 5ms")
            .await
            .trim(),
        "reported"
    );
    let health = said(&url, "health plain").await;
    let cells = row(&health, "plain");
    assert_eq!(cells[2], "ok");
    assert_eq!(cells[4..8], ["0.0%", "closed", "0", "1"]);
    let health = said(&url, "health").await;
    assert!(health.contains("total=4 enabled=3 "), "{health}");
    assert_eq!(said(&url, "circuits").await.lines().count(), 2);
    assert_eq!(said(&url, "circuits plain").await.lines().count(), 2);
    assert_eq!(said(&url, "circuits off").await.trim(), "no circuits");
    let unknown = run(&url, "circuits plan").await;
    assert_eq!(unknown.code, 1);
    assert!(unknown.err.contains("did you mean `plain`?"), "{unknown:?}");

    let stats = said(&url, "stats").await;
    assert_eq!(row(&stats, "active_source")[1..], ["fixtures"]);
    assert!(
        stats.contains("is not within the allowed subjects"),
        "what is in quarantine: {stats}"
    );
    assert!(said(&url, "ping").await.contains(" answers in "));
    let reload = said(&url, "reload").await;
    assert!(
        reload.starts_with("0 added, 0 updated, 0 removed; 4"),
        "{reload}"
    );
}

#[tokio::test]
async fn who_rests_is_shown_with_the_time_that_is_left() {
    let mut fixtures = extensions();
    fixtures[0]["timeout_ms"] = json!(20_000);
    let (site, _daemon) = Site::serving(&fixtures).await;
    let url = site.nats.url();
    let busy = Answer::error(429).header("Beamline-Retry-After-Ms", "60000");
    let _plain = Extension::at(&url, "beamline.ext.plain.v1", busy.into()).await;
    site.ask("invoke.plain", &json!({"payload": {}})).await;
    let explain = said(&url, "explain plain").await;
    assert!(explain.contains("resting, called again: in "), "{explain}");
    for line in ["circuits plain", "circuits plain --all"] {
        let circuits = said(&url, line).await;
        let head = circuits.lines().next().unwrap();
        assert!(head.ends_with("  resting"), "{circuits}");
        let row = circuits.lines().nth(1).unwrap();
        assert!(row.contains("  closed  ") && row.contains("  in "), "{row}");
    }
}

#[tokio::test]
async fn json_is_what_nats_answers() {
    let (site, _daemon) = Site::served().await;
    let url = site.nats.url();
    let context = json!({"id": "routed", "context": {"environment": "staging", "n": 1}});
    for (line, verb, body) in [
        ("get routed", "get", json!({"id": "routed"})),
        ("list", "list", json!({"enabled": "all"})),
        (
            "list --limit 2",
            "list",
            json!({"enabled": "all", "limit": 2}),
        ),
        (
            "lookup plain acme_only",
            "lookup",
            json!({"ids": ["plain", "acme_only"]}),
        ),
        (
            "lookup routed --version v4",
            "lookup",
            json!({"id": "routed", "version": "v4"}),
        ),
        (
            "explain routed --context environment=staging --context n=1",
            "explain",
            context,
        ),
        ("health", "health", json!({})),
        ("health plain", "health", json!({"id": "plain"})),
        ("circuits", "circuits", json!({})),
        ("ping", "ping", json!({})),
    ] {
        let reply = site.ask(verb, &body).await;
        let ran = run(&url, &format!("{line} --json")).await;
        assert_eq!(
            ran.out.as_bytes(),
            [&reply.payload[..], b"\n"].concat(),
            "{line}"
        );
    }
    let error = site.send("get", "nobody").await;
    let ran = run(&url, "get nobody --json").await;
    assert_eq!((ran.code, ran.out.as_str()), (1, ""));
    assert_eq!(ran.err.as_bytes(), [&error.payload[..], b"\n"].concat());
}

#[tokio::test]
async fn pages_are_followed_to_their_end_or_limit() {
    let many: Vec<Value> = (0..1003)
        .map(|n| extension("pre", &format!("e{n:04}")))
        .collect();
    let (site, _daemon) = Site::serving(&json!(many)).await;
    let url = site.nats.url();
    for line in ["list", "health"] {
        let all = said(&url, line).await;
        let rows = all
            .lines()
            .filter(|line| line.starts_with("e0") || line.starts_with("e1"));
        assert_eq!(rows.count(), 1003, "{line}");
        let pages = said(&url, &format!("{line} --json")).await;
        assert_eq!(pages.lines().count(), 2, "a document per page: {line}");
    }
    let some = said(&url, "list --limit 1001").await;
    assert!(some.ends_with("\n\n1001 of 1003\n"), "{some}");
}

#[tokio::test]
async fn data_that_stands_in_for_the_database_is_told() {
    let site = Site::with(&extensions()).await;
    let daemon = Daemon::builder()
        .nats(&site.nats.url())
        .fixtures(site.fixtures())
        .database("postgres://nobody@127.0.0.1:1/none")
        .setting("INSTANCE_ID", "east");
    let _daemon = site.start(daemon).await;
    let url = site.nats.url();
    let origin = "from fixtures, as no database could be used yet\n";
    for line in ["list", "lookup plain", "invoke plain --dry-run"] {
        let ran = run(&url, line).await;
        assert_eq!(ran.err, format!("note: {origin}"), "{line}");
        assert_eq!(ran.code, 0, "{line}");
    }
    let ran = run(&url, "stats --all --json").await;
    assert_eq!(ran.err, format!("note: sidecar `east`: {origin}"));
}

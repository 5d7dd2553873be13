use serde_json::Value;

use super::{row, run, said};
use crate::site::{Site, extensions};

#[tokio::test]
async fn one_is_asked_by_name_and_all_have_a_row_each() {
    let site = Site::with(&extensions()).await;
    let _east = site.start(site.named("east")).await;
    let _west = site.start(site.named("west")).await;
    let url = site.nats.url();
    for name in ["east", "west"] {
        let pong = said(&url, &format!("ping --local {name}")).await;
        assert!(pong.starts_with(&format!("{name} answers in ")), "{pong}");
    }
    said(&url, "circuit plain open --local west").await;
    let circuits = said(&url, "circuits --all").await;
    assert_eq!(row(&circuits, "west")[1..4], ["plain", "v1", "open"]);
    assert!(!circuits.contains("east"), "its own circuit: {circuits}");
    for (line, cells) in [
        ("ping", 2),
        ("stats", 11),
        ("health", 8),
        ("health plain", 11),
        ("reload", 8),
    ] {
        let table = said(&url, &format!("{line} --all")).await;
        assert_eq!(table.lines().count(), 3, "{line}: {table}");
        for name in ["east", "west"] {
            assert!(row(&table, name).len() >= cells, "{line}: {table}");
        }
    }
    let lines = said(&url, "ping --all --json").await;
    let lines: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let names: Vec<&str> = lines
        .iter()
        .map(|line| line["instance_id"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["east", "west"]);
    assert!(
        lines.iter().all(|line| line["answer"]["ok"] == true),
        "{lines:?}"
    );

    let ran = run(&url, "health nobody --all").await;
    assert_eq!(ran.code, 1, "each told why: {}", ran.err);
    assert_eq!(
        ran.err.matches("[extension_not_found").count(),
        2,
        "{}",
        ran.err
    );
}

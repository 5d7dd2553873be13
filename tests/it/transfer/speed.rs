//! How long 10,000 extensions take, and that they come back as they went. Run in release:
//! `just soak transfer::speed`.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use super::{Place, files, ok};

const COUNT: usize = 10_000;

/// Every extension has a version and an instance, every tenth a second version.
fn fixtures() -> String {
    let mut text = String::from("[");
    for n in 0..COUNT {
        let comma = if n == 0 { "" } else { "," };
        let second = if n % 10 == 0 {
            format!(
                r#",{{"version": "v3", "subject": "beamline.ext.e{n}.v3", "timeout_ms": 7,
                    "routing_rules": {{"tenant_id": ["acme", "umbrella"]}}}}"#
            )
        } else {
            String::new()
        };
        write!(
            text,
            r#"{comma}{{"id": "e{n}", "type": "pre", "subject": "beamline.ext.e{n}",
                "config": {{"n": {n}, "mode": "strict"}}, "metadata": {{"team": "a"}},
                "versions": [{{"version": "v2", "subject": "beamline.ext.e{n}.v2", "priority": 1,
                    "rollout": {{"by": "tenant_id", "percent": 10}}}}{second}],
                "instances": [{{"instance_id": "blue", "subject": "beamline.ext.e{n}.blue"}}]}}"#
        )
        .unwrap();
    }
    text + "]"
}

#[tokio::test]
#[ignore = "a measurement"]
async fn ten_thousand_extensions() {
    let (first, second) = (Place::new().await, Place::new().await);
    let root = tempfile::tempdir().unwrap();
    let source = root.path().join("source");
    std::fs::create_dir(&source).unwrap();
    std::fs::write(source.join("all.json"), fixtures()).unwrap();
    let (a, b) = (root.path().join("a"), root.path().join("b"));

    let imported = timed("import into an empty database", first.import(&source, &[])).await;
    timed("export", first.export(&a, &[])).await;
    let from_export = timed("import of an export", second.import(&a, &[])).await;
    timed("export again", second.export(&b, &[])).await;
    timed("import of what is there", second.import(&b, &[])).await;
    timed("export with --force", second.export(&b, &["--force"])).await;
    let update = "UPDATE extensions SET retry = 3";
    crate::schema::run(&second.sql, update).await;
    timed("overwrite", second.import(&a, &["--overwrite"])).await;

    let (a, b) = (files(&a), files(&b));
    assert_eq!(a.len(), COUNT);
    assert!(a == b, "byte for byte");
    let slower = imported.max(from_export);
    assert!(slower < Duration::from_secs(2), "{slower:?}");
}

async fn timed(what: &str, command: impl Future<Output = super::Said>) -> Duration {
    let start = Instant::now();
    ok(command.await);
    let took = start.elapsed();
    eprintln!("{what}: {} ms", took.as_millis());
    took
}

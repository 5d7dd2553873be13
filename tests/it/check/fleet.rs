//! The sidecars that run, held against each other.

use super::{Found, sound};
use crate::site::Site;

#[tokio::test]
async fn who_differs_is_named() {
    let site = Site::with(&sound()).await;
    let alone = Found::with(site.daemon(), &["--fleet"]).await;
    alone.names("fleet", "a sidecar answers");

    let _one = site.start(site.named("one")).await;
    let _two = site.start(site.named("two")).await;
    Found::with(site.named("asker"), &["--fleet"])
        .await
        .is_sound();

    let odd = site.named("odd").setting("SYNC_INTERVAL_SECONDS", 7);
    let odd = site.start(odd).await;
    let found = Found::with(site.named("asker"), &["--fleet"]).await;
    found.names("fleet", "have the same settings");
    let line = found.marked("bad")[0]["problem"].as_str().unwrap();
    assert!(
        line.contains(": odd") && line.contains(": one, two"),
        "{line}"
    );

    // The same at a glance.
    let (code, out, _) = site.daemon().arg("stats").arg("--all").run().await;
    assert_eq!(code, 0, "{out}");
    let differs: Vec<_> = out
        .lines()
        .filter(|line| line.contains("differs"))
        .collect();
    assert!(
        differs.len() == 1 && differs[0].starts_with("odd "),
        "{out}"
    );

    drop(odd);
    let _again = site.start(site.named("one")).await;
    let found = Found::with(site.named("asker"), &["--fleet"]).await;
    found.names("fleet", "one: 2 times");
}

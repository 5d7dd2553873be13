//! What the size of a catalog costs its changes: `just soak reload::large`.

use std::time::{Duration, Instant};

use serde_json::json;

use super::wait_listening;
use crate::harness::{DEADLINE, Daemon, eventually};
use crate::rig::{Rig, set_timeout_ms};
use crate::schema::run;

const LARGE: usize = 300_000;
const SMALL: usize = 1_000;
const CHANGES: usize = 200;
/// Pages of `health`, each with the summary of all extensions.
const PAGES: usize = 50;
/// Extensions in a transaction of the set-up.
const AT_A_TIME: usize = 25_000;

/// A database of this size, a nats-server and a daemon.
struct Side {
    rig: Rig,
    daemon: Daemon,
    size: usize,
    commits: Vec<Duration>,
    /// From the return of COMMIT to the first lookup that has the change.
    visible: Vec<Duration>,
    pages: Vec<Duration>,
}

impl Side {
    async fn of(size: usize) -> Self {
        let rig = Rig::start().await;
        for first in (0..size).step_by(AT_A_TIME) {
            let last = size.min(first + AT_A_TIME) - 1;
            let sql = format!(
                r#"INSERT INTO extensions (id, type, subject, config, metadata)
                   SELECT 'e' || n, 'pre', 'beamline.ext.pre.e' || n,
                          jsonb_build_object('n', n, 'mode', 'strict'), '{{"team": "a"}}'
                   FROM generate_series({first}, {last}) n"#
            );
            run(&rig.sql, &sql).await;
        }
        // Nobody has to be told of the set-up.
        let told = "UPDATE event_claims SET revision = (SELECT revision FROM registry_revision)";
        run(&rig.sql, told).await;
        run(&rig.sql, "VACUUM ANALYZE").await;
        let daemon = rig.daemon().spawn().await;
        eventually("it has them all", DEADLINE * 6, async || {
            daemon.get("/readyz").await.status == 200
        })
        .await;
        wait_listening(&rig, &daemon).await;
        assert_eq!(rig.stats().await["total_extensions"], size);
        Self {
            rig,
            daemon,
            size,
            commits: Vec::new(),
            visible: Vec::new(),
            pages: Vec::new(),
        }
    }

    /// One row changes, each time another.
    async fn change(&mut self, number: usize) {
        let id = format!("e{}", number * (self.size / CHANGES));
        let timeout_ms = 6000 + i64::try_from(number).unwrap();
        let sql = set_timeout_ms(&id, timeout_ms);
        let begun = Instant::now();
        run(&self.rig.sql, &sql).await;
        let committed = Instant::now();
        self.commits.push(committed - begun);
        while self.rig.lookup(&id).await.ok()["timeout_ms"] != timeout_ms {
            assert!(committed.elapsed() < DEADLINE, "{id} is not visible");
        }
        self.visible.push(committed.elapsed());
    }

    async fn page(&mut self) {
        let begun = Instant::now();
        let page = self.rig.ask("health", &json!({"limit": 100})).await;
        self.pages.push(begun.elapsed());
        let page = page.ok();
        assert_eq!(page["extensions"].as_array().unwrap().len(), 100);
        assert_eq!(page["summary"]["total"], self.size);
    }
}

/// p50, p95 and p99.
fn percentiles(took: &[Duration]) -> [Duration; 3] {
    let mut took = took.to_vec();
    took.sort_unstable();
    [50, 95, 99].map(|percent| took[took.len() * percent / 100])
}

/// By how much these times of the large one exceed the small one's.
fn ratios([small, large]: [&Side; 2], times: fn(&Side) -> &Vec<Duration>) -> [f64; 3] {
    let (small, large) = (percentiles(times(small)), percentiles(times(large)));
    [0, 1, 2].map(|place| large[place].as_secs_f64() / small[place].as_secs_f64())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "300,000 extensions: just soak reload::large"]
async fn a_change_among_300_000_extensions_is_visible_as_soon_as_among_a_thousand() {
    let mut sides = [Side::of(LARGE).await, Side::of(SMALL).await];
    for number in 0..CHANGES {
        for side in &mut sides {
            side.change(number).await;
        }
        // Who is first has what the other one leaves to do.
        sides.reverse();
    }
    for _ in 0..PAGES {
        for side in &mut sides {
            side.page().await;
        }
        sides.reverse();
    }
    sides.sort_by_key(|side| side.size);
    let [small, large] = sides;
    let both = [&small, &large];
    for side in both {
        println!(
            "{} extensions, {} MB at most: p50, p95 and p99 of {CHANGES} commits {:?}, \
             from commit to visible {:?}, of {PAGES} pages of health {:?}",
            side.size,
            side.daemon.peak_memory() / 1_000_000,
            percentiles(&side.commits),
            percentiles(&side.visible),
            percentiles(&side.pages),
        );
    }
    let visible = ratios(both, |side| &side.visible);
    println!(
        "{LARGE} against {SMALL}, p50, p95 and p99: commits {:.2?}, visible {visible:.2?} (asked: \
         p99 at most 3), pages of health {:.2?}",
        ratios(both, |side| &side.commits),
        ratios(both, |side| &side.pages),
    );
    assert!(visible[2] <= 3.0, "{visible:.2?}");
}

//! As many files as are read: `just soak quarantine::many`.

use std::fs;
use std::time::{Duration, Instant};

use super::files::{Files, extension};
use crate::harness::{DEADLINE, eventually};

const FILES: u64 = 10_000;
const EDITS: u64 = 20;
/// Files that changed a moment ago are read again at each look. After this time they are no longer.
const SETTLED: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "ten thousand files: just soak quarantine::many"]
async fn an_edit_of_one_of_ten_thousand_files_is_served_within_a_second() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    for number in 0..FILES {
        let id = format!("e{number}");
        fs::write(path(&format!("{id}.json")), extension(&id, 1).to_string()).unwrap();
    }
    let written = Instant::now();
    let files = Files::serve(folder.path()).await;
    assert_eq!(files.stats().await["total_extensions"], FILES);
    eventually("the files are settled", DEADLINE, async || {
        written.elapsed() > SETTLED
    })
    .await;

    let mut delays = Vec::new();
    for edit in 1..=EDITS {
        let id = format!("e{}", edit * 487 % FILES);
        let (file, text) = (
            path(&format!("{id}.json")),
            extension(&id, edit + 1).to_string(),
        );
        // As a shell redirects, and as an editor saves.
        if edit % 2 == 0 {
            fs::write(&file, text).unwrap();
        } else {
            fs::write(path("saved"), text).unwrap();
            fs::rename(path("saved"), &file).unwrap();
        }
        delays.push(files.wait(&id, edit + 1).await);
    }
    delays.sort_unstable();
    let at = |percent: usize| delays[(delays.len() - 1) * percent / 100];
    println!(
        "{EDITS} edits among {FILES} files: p50 {:?}, p90 {:?}, longest {:?}; all of them {delays:?}",
        at(50),
        at(90),
        at(100)
    );
    assert!(at(100) < Duration::from_secs(1), "{delays:?}");
}

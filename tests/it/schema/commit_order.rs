//! Two and three writers in every order of their changes and ends, each committing or rolling
//! back, against a reader that follows by revision and compares with everything after each step.

use std::collections::BTreeMap;

use tokio_postgres::{Client, IsolationLevel};

use super::{insert, migrated, revision, run, value};
use crate::writers::{Writer, interleavings};

/// Knows the catalog only by what it reads above its own revision.
#[derive(Default)]
struct Follower {
    revision: i64,
    rows: BTreeMap<String, String>,
}

impl Follower {
    /// Reads what is new and compares with everything, in one snapshot.
    async fn follow(&mut self, client: &mut Client) {
        let builder = client
            .build_transaction()
            .isolation_level(IsolationLevel::RepeatableRead);
        let snapshot = builder.read_only(true).start().await.unwrap();
        let rows = snapshot
            .query(
                "SELECT id, revision || ' ' || digest, false FROM extensions WHERE revision > $1
                 UNION ALL SELECT id, '', true FROM registry_tombstones WHERE revision > $1",
                &[&self.revision],
            )
            .await
            .unwrap();
        for row in rows {
            if row.get(2) {
                self.rows.remove(row.get::<_, &str>(0));
            } else {
                self.rows.insert(row.get(0), row.get(1));
            }
        }
        let all = "SELECT id, revision || ' ' || digest FROM extensions";
        let all = snapshot.query(all, &[]).await.unwrap();
        let all: BTreeMap<String, String> =
            all.iter().map(|row| (row.get(0), row.get(1))).collect();
        assert_eq!(self.rows, all, "followed, and read in full");
        let now = snapshot
            .query_one("SELECT revision FROM registry_revision", &[])
            .await
            .unwrap();
        let now: i64 = now.get(0);
        assert!(now >= self.revision, "the revision went back");
        self.revision = now;
    }
}

/// The changes that writers make: of a row that all change, of a new one, a deletion, of a part.
fn change(kind: usize, writer: usize) -> String {
    match kind % 4 {
        0 => "UPDATE extensions SET timeout_ms = timeout_ms + 1 WHERE id = 'shared'".to_owned(),
        1 => insert(&format!("new{writer}")),
        2 => format!("DELETE FROM extensions WHERE id = 'old{writer}'"),
        _ => format!(
            "INSERT INTO extension_versions (id, version, subject)
             VALUES ('shared', 'v{writer}', 's')"
        ),
    }
}

/// Runs every interleaving with every outcome; `kinds` says which changes a case makes.
async fn check(count: usize, kinds: impl Fn(usize) -> Vec<usize>, rounds: usize) {
    let (database, mut observer) = migrated().await;
    let mut writers = Vec::new();
    for _ in 0..count {
        writers.push(Writer::connect(&database).await);
    }
    let mut follower = Follower::default();
    let olds = (0..count).map(|writer| insert(&format!("old{writer}")));
    let start: Vec<String> = olds.chain([insert("shared")]).collect();
    let start = format!("DELETE FROM extensions; {}", start.join("; "));
    let mut case = 0;
    for order in interleavings(count, 2) {
        for commits in 0..1_usize << count {
            for _ in 0..rounds {
                let kinds = kinds(case);
                case += 1;
                run(&observer, &start).await;
                follower.follow(&mut observer).await;

                let base = revision(&observer).await;
                let mut begun = vec![false; count];
                for &writer in &order {
                    let sql = if !begun[writer] {
                        format!("BEGIN; {}", change(kinds[writer], writer))
                    } else if commits >> writer & 1 == 1 {
                        "COMMIT".to_owned()
                    } else {
                        "ROLLBACK".to_owned()
                    };
                    begun[writer] = true;
                    writers[writer].send(sql, &observer).await;
                    follower.follow(&mut observer).await;
                }
                for writer in &mut writers {
                    writer.finish().await;
                }
                follower.follow(&mut observer).await;
                let taken = follower.revision - base;
                assert_eq!(
                    taken,
                    i64::from(commits.count_ones()),
                    "{order:?} {commits:b} {kinds:?}"
                );
            }
        }
    }
    let audited = value(
        &observer,
        "SELECT array_agg(DISTINCT revision ORDER BY revision)
            = ARRAY(SELECT generate_series(1, max(revision))) FROM extension_audit_log",
    );
    assert_eq!(
        audited.await,
        "true",
        "one entry or more for each revision, and no gap"
    );
    let ordered = value(
        &observer,
        "SELECT bool_and(ordered) FROM (
            SELECT revision >= lag(revision, 1, 0::bigint) OVER (ORDER BY id) AS ordered
            FROM extension_audit_log) AS entries",
    );
    assert_eq!(ordered.await, "true", "entries are in commit order");
}

#[tokio::test]
async fn two_writers_in_every_order() {
    // All pairs of changes for each order and outcome.
    check(2, |case| vec![case % 4, case / 4 % 4], 16).await;
}

#[tokio::test]
async fn three_writers_in_every_order() {
    // 5 is no divisor of the number of outcomes, so every change meets every order and outcome.
    check(3, |case| vec![case % 5, case % 5 + case / 5, case / 3], 1).await;
}

#[tokio::test]
async fn a_catalog_wide_update_and_single_writers_do_not_deadlock() {
    let (database, client) = migrated().await;
    run(
        &client,
        "INSERT INTO extensions (id, type, subject)
         SELECT 'e' || i, 'pre', 's.' || i FROM generate_series(1, 200) AS i",
    )
    .await;
    let mut tasks = Vec::new();
    for writer in 0..6_i32 {
        let client = database.connect().await;
        tasks.push(tokio::spawn(async move {
            for turn in 0..20_i32 {
                let sql = match writer {
                    0 => "UPDATE extensions SET retry = retry + 1".to_owned(),
                    1 => "WITH picked AS (SELECT id FROM extensions ORDER BY id DESC)
                          UPDATE extensions e SET retry = e.retry + 1 FROM picked
                          WHERE picked.id = e.id"
                        .to_owned(),
                    _ => format!(
                        "BEGIN; UPDATE extensions SET retry = 9 WHERE id = 'e{}';
                         INSERT INTO extension_versions (id, version, subject)
                         VALUES ('e{}', 'v{turn}-{writer}', 's'); COMMIT",
                        (turn * 7 + writer) % 200 + 1,
                        (turn * 3 + writer) % 200 + 1
                    ),
                };
                run(&client, &sql).await;
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(revision(&client).await, 1 + 6 * 20);
}

//! What is reported of attempts, and that a version is halted once, by its figures, over a steady
//! link.

use std::sync::Mutex;
use std::time::Instant;

use super::*;
use crate::domain::catalog::{Catalog, CatalogWriter, Change};
use crate::domain::extension::Extension;
use crate::domain::health::Counts;
use crate::domain::outcome::{Failure, Neutral, Outcome};
use crate::domain::testing::{change, entry, extension, version_with};
use crate::service::fleet::link::SETTLING;
use crate::service::observe::Observer;
use crate::service::status::INVOCATIONS;
use crate::service::testing::tools;
use crate::service::trouble::{DatabaseError, Trouble};

/// Adds up what is reported, as the database does.
#[derive(Debug, Default)]
struct Store {
    told: Mutex<BTreeMap<u128, Vec<Tried>>>,
    halted: Mutex<Vec<String>>,
    away: Mutex<bool>,
    /// Whose row somebody keeps locked.
    locked: Option<ExtensionId>,
    /// The revision since which all figures are.
    since: u64,
}

impl Rollouts for Store {
    async fn tell(
        &self,
        batch: u128,
        tried: &[Tried],
        windows: &BTreeMap<ExtensionId, Duration>,
    ) -> Result<Vec<Share>, StoreError> {
        let mut told = self.told.lock().unwrap();
        told.insert(batch, tried.to_vec());
        if *self.away.lock().unwrap() {
            let away = DatabaseError::new(Trouble::Conflict, "a test");
            return Err(StoreError::Unknown(away));
        }
        let sum = |wanted: &str| {
            let all = told.values().flatten();
            let mut sum = Counts::default();
            for it in all.filter(|it| it.version.as_str() == wanted) {
                sum.successes += it.attempts.counts.successes;
                sum.failures += it.attempts.counts.failures;
            }
            sum
        };
        let shares = windows.keys().map(|id| Share {
            id: id.clone(),
            version: VersionName::parse("v2").unwrap(),
            since: self.since,
            figures: Comparison {
                version: sum("v2"),
                current: sum("v1"),
            },
        });
        Ok(shares.collect())
    }

    async fn halt(&self, share: &Share, figures: &str) -> Result<Option<u64>, StoreError> {
        if self.locked.as_ref() == Some(&share.id) {
            return Err(DatabaseError::new(Trouble::Locked, "a test").into());
        }
        let mut halted = self.halted.lock().unwrap();
        halted.push(format!("{} {} {figures}", share.id, share.version));
        Ok((halted.len() == 1).then_some(2))
    }
}

struct Rig {
    halter: Halter<Store>,
    batch: Batch,
    writer: CatalogWriter,
}

/// A canary's share, that may be halted.
const HALT: &str = r#","halt":{"min_requests":10}"#;

/// `a` with a canary that may be halted, `b` with one that may not.
fn rig() -> Rig {
    serving([("a", HALT), ("b", "")], Store::default())
}

/// These extensions with a canary each.
fn serving(canaries: [(&str, &str); 2], store: Store) -> Rig {
    let (catalog, mut writer) = Catalog::new();
    let with = |(id, halt): (&str, &str)| {
        let rollout = format!(r#"{{"rollout":{{"by":"tenant_id","percent":10{halt}}}}}"#);
        entry(Extension {
            versions: vec![version_with("v2", &rollout)],
            ..extension(id)
        })
    };
    writer.apply(Change {
        upserts: canaries.map(with).into(),
        ..change(1)
    });
    let tools = tools(catalog);
    let link = Arc::new(Link::new(Arc::clone(&tools.circuits), SETTLING));
    let observe = |up| {
        let connection = INVOCATIONS;
        link.observe(&Observation::NatsUp { connection, up });
    };
    observe(true);
    Rig {
        halter: Halter {
            store: Arc::new(store),
            link,
            tools,
            interval: Duration::from_secs(5),
            write_figures: |share, _| share.figures.version.failures.to_string(),
        },
        batch: Batch::default(),
        writer,
    }
}

impl Rig {
    fn attempts(&self, id: &str, version: &str, outcome: Outcome, times: u32) {
        let catalog = self.halter.tools.selector.catalog();
        let runtime = self.halter.tools.runtimes.of(&catalog.get(id).unwrap());
        let version = runtime.versions.of(&VersionName::parse(version).unwrap());
        for _ in 0..times {
            version.compare(outcome, 1, Instant::now());
        }
    }

    async fn turn(&mut self) -> Result<(), StoreError> {
        self.halter.turn(&mut self.batch).await
    }

    fn halted(&self) -> Vec<String> {
        self.halter.store.halted.lock().unwrap().clone()
    }
}

const FAILED: Outcome = Outcome::Failure(Failure::Timeout);

#[tokio::test]
async fn a_version_that_fails_is_halted_by_its_figures_and_only_where_that_is_wanted() {
    let mut rig = rig();
    for id in ["a", "b"] {
        rig.attempts(id, "v1", Outcome::Success, 100);
        rig.attempts(id, "v2", FAILED, 9);
    }
    rig.turn().await.unwrap();
    assert_eq!(rig.halted(), [""; 0], "below the minimum");
    rig.attempts("a", "v2", FAILED, 1);
    rig.turn().await.unwrap();
    assert_eq!(rig.halted(), ["a v2 10"]);
}

/// It is tried again at the next look.
#[tokio::test]
async fn one_that_cannot_be_halted_holds_up_no_other() {
    let store = Store {
        locked: Some(ExtensionId::parse("a").unwrap()),
        ..Store::default()
    };
    let mut rig = serving([("a", HALT), ("b", HALT)], store);
    for id in ["a", "b"] {
        rig.attempts(id, "v1", Outcome::Success, 100);
        rig.attempts(id, "v2", FAILED, 100);
    }
    rig.turn().await.unwrap_err();
    assert_eq!(rig.halted(), ["b v2 200"]);
}

/// As of a sidecar without notifications, which has not read that the version may fail more often.
#[tokio::test]
async fn a_sidecar_that_is_behind_does_not_judge_by_what_the_version_was_allowed_before() {
    let store = Store {
        since: 2,
        ..Store::default()
    };
    let mut rig = serving([("a", HALT), ("b", "")], store);
    rig.attempts("a", "v2", FAILED, 100);
    rig.turn().await.unwrap();
    assert_eq!(rig.halted(), [""; 0]);
    rig.writer.apply(change(2));
    rig.turn().await.unwrap();
    assert_eq!(rig.halted(), ["a v2 100"]);
}

#[tokio::test]
async fn what_is_neutral_counts_for_nothing_and_a_link_that_is_not_steady_decides_nothing() {
    let mut rig = rig();
    rig.attempts("a", "v2", Outcome::Neutral(Neutral::Disconnected), 1_000);
    rig.turn().await.unwrap();
    assert_eq!(rig.halted(), [""; 0]);
    rig.attempts("a", "v2", FAILED, 100);
    let up = |up| Observation::NatsUp {
        connection: INVOCATIONS,
        up,
    };
    rig.halter.link.observe(&up(false));
    rig.turn().await.unwrap();
    rig.halter.link.observe(&up(true));
    rig.turn().await.unwrap();
    assert_eq!(rig.halted(), [""; 0], "down, and only just back");
}

#[tokio::test]
async fn a_batch_whose_fate_is_unknown_is_told_again_as_it_was() {
    let mut rig = rig();
    rig.attempts("a", "v2", Outcome::Success, 3);
    *rig.halter.store.away.lock().unwrap() = true;
    rig.turn().await.unwrap_err();
    rig.attempts("a", "v2", Outcome::Success, 4);
    *rig.halter.store.away.lock().unwrap() = false;
    rig.turn().await.unwrap();
    rig.turn().await.unwrap();
    let told = rig.halter.store.told.lock().unwrap();
    let counts = |batch: &Vec<Tried>| {
        let successes = batch.iter().map(|it| it.attempts.counts.successes);
        successes.sum::<u64>()
    };
    let mut told: Vec<_> = told.values().map(counts).collect();
    told.sort_unstable();
    assert_eq!(told, [3, 4]);
}

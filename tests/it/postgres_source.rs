//! What the Postgres adapter promises to the reload path:
//!
//! - [`reads`]: nothing, what changed, or everything, each of one moment,
//! - [`faults`]: a bad row is set aside and named, the rest is served,
//! - [`digest`]: what a reader holds sums up to what the database computes,
//! - [`listener`]: changes are heard, and a connection that hears nothing is noticed,
//! - [`failures`]: an absent, stalled or outdated database is an error in bounded time,
//! - [`tls`]: every `sslmode` checks what it says,
//! - [`speed`]: how long reads of large catalogs take (ignored; run in release).

use std::collections::BTreeMap;
use std::sync::Arc;

use beamline_registry::adapters::postgres::migrate::migrate;
use beamline_registry::adapters::postgres::{Pool, PostgresSource};
use beamline_registry::config::{DatabaseSettings, Settings, Surroundings};
use beamline_registry::domain::extension::Extension;
use beamline_registry::domain::policy::Policy;
use beamline_registry::domain::reconcile::{Delta, Everything};
use beamline_registry::domain::subject::SubjectPattern;
use beamline_registry::service::source::{Database, Known, Read, Want};
use tokio_postgres::Client;

use crate::harness::{DEADLINE, TestDatabase};

mod digest;
mod failures;
mod faults;
mod listener;
mod reads;
mod speed;
mod tls;

/// A migrated, empty database, a connection to it, and a source that reads it.
async fn migrated() -> (TestDatabase, Client, PostgresSource) {
    let database = TestDatabase::create().await;
    let mut client = database.connect().await;
    migrate(&mut client, DEADLINE).await.unwrap();
    let source = source(&database.url());
    (database, client, source)
}

/// The settings of a database, with everything else by default.
pub(crate) fn settings(url: &str) -> DatabaseSettings {
    let name = "EXTENSION_REGISTRY_DB_URL";
    let surroundings = Surroundings {
        env: BTreeMap::from([(name.into(), url.into())]),
        read_file: &|path| Ok(std::fs::read(path)?),
        host_name: "test".to_owned(),
        memory_limit: None,
        terminal: false,
        reads_everything: true,
    };
    let (settings, _, _) = Settings::load(BTreeMap::new(), &surroundings).unwrap();
    settings.database.unwrap()
}

fn source(url: &str) -> PostgresSource {
    let pool = Pool::new(&settings(url), "test-1").unwrap();
    PostgresSource::new(Arc::new(pool), Arc::new(policy()))
}

/// What a deployment allows by default.
pub(crate) fn policy() -> Policy {
    Policy {
        allowed_subjects: vec![SubjectPattern::parse("beamline.ext.>").unwrap()],
        forbidden_prefixes: vec!["beamline.registry".to_owned()],
        max_timeout_ms: 120_000,
        max_retries: 10,
    }
}

/// Runs statements that must succeed.
async fn run(client: &Client, sql: &str) {
    let result = tokio::time::timeout(DEADLINE, client.batch_execute(sql)).await;
    result
        .unwrap_or_else(|_| panic!("no end of: {sql}"))
        .unwrap_or_else(|error| panic!("{:?} from: {sql}", error.as_db_error()));
}

/// Adds `count` extensions named `e1`, `e2`...
async fn add(client: &Client, count: usize) {
    let sql = format!(
        "INSERT INTO extensions (id, type, subject)
         SELECT 'e' || n, 'pre', 'beamline.ext.pre.e' || n FROM generate_series(1, {count}) n"
    );
    run(client, &sql).await;
}

async fn read_everything(source: &PostgresSource) -> Everything {
    match source.read(&Want::default()).await.unwrap() {
        Read::Everything(everything) => everything,
        other => panic!("not everything: {other:?}"),
    }
}

/// What the catalog would know after `everything`.
fn known(everything: &Everything) -> Known {
    Known {
        epoch: everything.epoch.clone().unwrap(),
        revision: everything.revision,
    }
}

async fn read_since(source: &PostgresSource, known: &Known) -> Read {
    let want = Want {
        known: Some(known.clone()),
        also: None,
        told: false,
    };
    source.read(&want).await.unwrap()
}

/// The same, told that there is something new.
async fn read_told(source: &PostgresSource, known: &Known) -> Read {
    let want = Want {
        known: Some(known.clone()),
        also: None,
        told: true,
    };
    source.read(&want).await.unwrap()
}

async fn delta_since(source: &PostgresSource, known: &Known) -> Delta {
    match read_since(source, known).await {
        Read::Delta(delta) => delta,
        other => panic!("not a delta: {other:?}"),
    }
}

fn ids(extensions: &[Extension]) -> Vec<&str> {
    let mut ids: Vec<_> = extensions.iter().map(|it| it.id.as_str()).collect();
    ids.sort_unstable();
    ids
}

fn touched(delta: &Delta) -> Vec<&str> {
    let mut ids: Vec<_> = delta.touched.iter().map(|id| id.as_str()).collect();
    ids.sort_unstable();
    ids
}

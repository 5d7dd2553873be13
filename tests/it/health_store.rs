//! What the fleet may rely on when it shares health and decisions through the database:
//!
//! - [`flush`]: each call counts once, whoever flushes beside it, and no lock stops a flush,
//! - [`chaos`]: also through lost answers, kills and folds,
//! - [`circuits`]: states of the whole fleet, what is restored, and operators' overrides,
//! - [`switch`]: the cap holds whoever tries at the same time, one sidecar probes,
//! - [`claims`]: every revision is published by exactly one,
//! - [`skipped`]: rows that cannot be used are named until they are repaired.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use beamline_registry::adapters::postgres::migrate::migrate;
use beamline_registry::adapters::postgres::{Pool, PostgresHealth};
use beamline_registry::config::{Settings, Surroundings};
use beamline_registry::domain::breaker::{CircuitState, View};
use beamline_registry::domain::extension::Incarnation;
use beamline_registry::domain::health::{Counts, HealthSums};
use beamline_registry::domain::ids::{ExtensionId, VersionName};
use beamline_registry::service::circuits::Listed;
use beamline_registry::service::clock::Clock;
use beamline_registry::service::health_store::ledger::Ledger;
use beamline_registry::service::health_store::{
    Boot, Figures, Flush, Flushed, HealthReports, HeldCircuit, Report, Written,
};
use beamline_registry::service::observe::Observers;
use beamline_registry::service::skipped::Skipped;
use tokio_postgres::Client;

use crate::harness::{DEADLINE, TestDatabase};

mod chaos;
mod circuits;
mod claims;
mod flush;
mod skipped;
mod switch;

/// Between flushes, as far as the database knows.
const INTERVAL: Duration = Duration::from_secs(5);

/// A migrated database with extensions `e1`, `e2`... and a connection to it.
async fn fleet(extensions: usize) -> (TestDatabase, Client) {
    let database = TestDatabase::create().await;
    let mut client = database.connect().await;
    migrate(&mut client, DEADLINE).await.unwrap();
    let sql = format!(
        "INSERT INTO extensions (id, type, subject)
         SELECT 'e' || n, 'pre', 'beamline.ext.pre.e' || n FROM generate_series(1, {extensions}) n"
    );
    run(&client, &sql).await;
    (database, client)
}

/// The store as a sidecar of this name uses it.
pub(crate) fn store(database: &TestDatabase, instance_id: &str) -> PostgresHealth {
    store_naming(database, instance_id, Arc::default())
}

/// The same, whose `skipped` names the rows that cannot be used.
fn store_naming(
    database: &TestDatabase,
    instance_id: &str,
    skipped: Arc<Skipped>,
) -> PostgresHealth {
    let name = "EXTENSION_REGISTRY_DB_URL";
    let surroundings = Surroundings {
        env: BTreeMap::from([(name.into(), database.url().into())]),
        read_file: &|path| Ok(std::fs::read(path)?),
        host_name: "test".to_owned(),
        memory_limit: None,
        terminal: false,
        reads_everything: true,
    };
    let (settings, _, _) = Settings::load(BTreeMap::new(), &surroundings).unwrap();
    let pool = Pool::new(&settings.database.unwrap(), instance_id).unwrap();
    let nobody = Observers::new(Vec::new());
    PostgresHealth::new(Arc::new(pool), instance_id, skipped, nobody)
}

/// Runs statements that must succeed.
async fn run(client: &Client, sql: &str) {
    let result = tokio::time::timeout(DEADLINE, client.batch_execute(sql)).await;
    result
        .unwrap_or_else(|_| panic!("no end of: {sql}"))
        .unwrap_or_else(|error| panic!("{:?} from: {sql}", error.as_db_error()));
}

fn id(number: usize) -> ExtensionId {
    ExtensionId::parse(&format!("e{number}")).unwrap()
}

fn v1() -> VersionName {
    VersionName::parse("v1").unwrap()
}

/// So many successes and failures, 2 ms each.
pub(crate) fn report(extension: ExtensionId, successes: u64, failures: u64) -> Report {
    let now = Instant::now();
    let calls = successes + failures;
    Report {
        figures: Figures {
            extension,
            incarnation: None,
            sums: HealthSums {
                counts: Counts {
                    successes,
                    failures,
                },
                latency_count: calls,
                latency_sum_us: 2000 * calls,
                last_success: (successes > 0).then_some(now),
                last_failure: (failures > 0).then_some(now),
            },
        },
        last_answer: (successes > 0).then_some(now),
        failure_threshold: 5,
        half_open_max_requests: 3,
    }
}

fn open(extension: ExtensionId) -> Listed {
    let now = Clock::default().tick();
    Listed {
        id: extension,
        version: v1(),
        incarnation: None,
        view: View {
            state: CircuitState::Open,
            consecutive_failures: 5,
            error_rate: None,
            success_rate: None,
            first_failure: None,
            opened_at: Some(now),
            retry_at: Some(now.plus(Duration::from_secs(50))),
            trials_out: 0,
            forced_until: None,
            hearsay: false,
            frozen: false,
        },
    }
}

fn written(sequence: u64) -> Flushed {
    let held_back = Vec::new();
    Flushed::Written(Written {
        sequence,
        held_back,
    })
}

/// One flush by hand.
async fn flush(
    store: &PostgresHealth,
    boot: &Boot,
    sequence: u64,
    reports: &[Report],
    circuits: &[Listed],
) -> Flushed {
    let interval = INTERVAL;
    let flush = Flush {
        boot,
        sequence,
        interval,
        reports,
        circuits,
    };
    store.flush(flush).await.unwrap()
}

/// A sidecar that flushes these circuits once, under a new boot.
async fn holds(store: &PostgresHealth, circuits: &[Listed]) -> Boot {
    let boot = store.register(INTERVAL).await.unwrap();
    assert_eq!(flush(store, &boot, 1, &[], circuits).await, written(1));
    boot
}

/// Successes and failures of one extension, all boots together.
async fn sums(client: &Client, extension: &ExtensionId) -> (u64, u64) {
    let sql = "SELECT success_count, failure_count FROM extension_health WHERE extension_id = $1";
    let row = client.query_opt(sql, &[&extension.as_str()]).await.unwrap();
    row.map_or((0, 0), |row| {
        (
            row.get::<_, i64>(0).cast_unsigned(),
            row.get::<_, i64>(1).cast_unsigned(),
        )
    })
}

/// The one value of a query, as text.
async fn value(client: &Client, sql: &str) -> String {
    let row = client
        .query_one(&format!("SELECT ({sql})::text"), &[])
        .await
        .unwrap();
    row.get::<_, Option<String>>(0).unwrap_or_default()
}

/// Lets boots look silent for so long; all of them with the filter `true`.
async fn silence(client: &Client, age: &str, which: &str) {
    let sql =
        format!("UPDATE sidecar_boots SET flushed_at = now() - interval '{age}' WHERE {which}");
    run(client, &sql).await;
}

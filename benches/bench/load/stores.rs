//! What a router could ask instead of the registry: JetStream KV, Redis, Postgres. Each through
//! its own client library, by as many workers as there are requests in flight.

use std::cell::RefCell;
use std::time::Instant;

use futures_util::future::join_all;
use rand::RngExt;
use rand::rngs::SmallRng;
use redis::AsyncCommands;

use super::requests;
use super::tally::{Outcome, Tally};
use super::{Job, Target};
use crate::bench::records;
use crate::harness::postgres;

/// `DB_POOL_SIZE` of the contract.
const POSTGRES_CONNECTIONS: usize = 4;

/// Runs `job` with `in_flight` workers.
pub(super) async fn run(job: &Job, in_flight: usize) -> Outcome {
    match &job.target {
        Target::KeyValue { url, bucket } => {
            let client = async_nats::connect(url).await.unwrap();
            let bucket = async_nats::jetstream::new(client)
                .get_key_value(bucket)
                .await
                .unwrap();
            let get = async |_, id: &str| Ok(bucket.get(id).await.map_err(text)?.is_some());
            work(job, in_flight, get).await
        }
        Target::Redis { url } => {
            let client = redis::Client::open(url.as_str()).unwrap();
            let connection = client.get_multiplexed_async_connection().await.unwrap();
            let get = async |_, id: &str| {
                let record: Option<Vec<u8>> = connection.clone().get(id).await.map_err(text)?;
                Ok(record.is_some())
            };
            work(job, in_flight, get).await
        }
        Target::Postgres { url } => {
            let pool = join_all((0..POSTGRES_CONNECTIONS).map(|_| prepared(url))).await;
            let get = async |worker: usize, id: &str| {
                let (client, select) = &pool[worker % pool.len()];
                let row = client.query_opt(select, &[&id]).await.map_err(text)?;
                Ok(row.is_some_and(|row| row.get::<_, &str>(0) == id))
            };
            work(job, in_flight, get).await
        }
        Target::Nats { .. } | Target::Same { .. } => panic!("the registry is asked in another way"),
    }
}

async fn prepared(url: &str) -> (tokio_postgres::Client, tokio_postgres::Statement) {
    let client = postgres::connect(url).await.unwrap();
    let select = "SELECT id, type, subject, timeout_ms, retry, enabled, version,
        config::text, metadata::text FROM extensions WHERE id = $1";
    let select = client.prepare(select).await.unwrap();
    (client, select)
}

/// Workers that each ask for one random record after the other; `get` says whether it was there.
async fn work(
    job: &Job,
    in_flight: usize,
    get: impl AsyncFn(usize, &str) -> Result<bool, String>,
) -> Outcome {
    let ids = records::ids(job.extensions);
    let random: RefCell<SmallRng> = requests::random().into();
    let tally = RefCell::new(Tally::start(job, 1));
    let end = tally.borrow().end();
    let worker = async |worker: usize| {
        loop {
            let sent = Instant::now();
            if sent >= end {
                return;
            }
            let id = &ids[random.borrow_mut().random_range(0..ids.len())];
            let verdict = match get(worker, id).await {
                Ok(true) => Ok(()),
                Ok(false) => Err(format!("{id} was not found")),
                Err(reason) => Err(reason),
            };
            tally.borrow_mut().answered(sent, Instant::now(), verdict);
        }
    };
    join_all((0..in_flight).map(worker)).await;
    tally.into_inner().outcome()
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
